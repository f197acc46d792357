"""ray.util beyond its first page: what its classes say when they cannot, and their less known arguments."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
import ray
from ray.util import ActorPool
from ray.util.metrics import Counter, Gauge, Histogram
from ray.util.multiprocessing import Pool
from ray.util.queue import Empty, Full, Queue

from .waiting import wait_until

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def worker(cluster):
    @ray.remote(num_cpus=0)
    class Worker:
        def double(self, x):
            return 2 * x

        def fail(self, x):
            raise ValueError(f"no {x}")

        def wait(self, refs):
            return ray.get(refs[0])

    return Worker


def double(actor, x):
    return actor.double.remote(x)


# ActorPool.


def test_pool_without_work(worker):
    pool = ActorPool([worker.remote()])
    assert not pool.has_next()
    assert pool.has_free()
    for take in (pool.get_next, pool.get_next_unordered):
        with pytest.raises(StopIteration, match="No more results to get"):
            take()


def test_pool_that_takes_too_long(worker, signal):
    gate = signal()
    pool = ActorPool([worker.remote()])
    pool.submit(lambda a, x: a.wait.remote([gate.wait.remote()]), 1)
    for take in (pool.get_next, pool.get_next_unordered):
        with pytest.raises(TimeoutError, match="Timed out waiting for result"):
            take(timeout=0.01)
    assert pool.has_next()
    with pytest.raises(TimeoutError, match="has been ignored"):
        pool.get_next(timeout=0.01, ignore_if_timedout=True)
    assert not pool.has_next()
    ray.get(gate.send.remote())


def test_pool_takes_in_two_ways(worker):
    pool = ActorPool([worker.remote(), worker.remote()])
    for i in range(4):
        pool.submit(double, i)
    taken = [pool.get_next(), pool.get_next_unordered()]
    assert pool.has_next()
    taken += [pool.get_next_unordered() for _ in range(2)]
    assert sorted(taken) == [0, 2, 4, 6]


def test_pool_gets_and_gives_actors(worker):
    pool, more = ActorPool([worker.remote()]), worker.remote()
    pool.push(more)
    with pytest.raises(ValueError, match="Actor already belongs to current ActorPool"):
        pool.push(more)
    assert {pool.pop_idle(), pool.pop_idle()} >= {more}
    assert pool.pop_idle() is None
    assert not pool.has_free()


def test_pool_goes_on_after_a_failure(worker):
    pool = ActorPool([worker.remote()])
    with pytest.raises(ValueError, match="no 1"):
        list(pool.map(lambda a, x: a.fail.remote(x), [1, 2]))
    assert list(pool.map(double, [1, 2])) == [2, 4]
    assert sorted(pool.map_unordered(double, range(5))) == [0, 2, 4, 6, 8]


# Queue.


@pytest.fixture
def queue(cluster):
    queue = Queue(maxsize=3)
    yield queue
    queue.shutdown()


def test_queue_sizes(queue):
    assert (queue.qsize(), queue.size(), len(queue), queue.empty(), queue.full()) == (0, 0, 0, True, False)
    for i in range(3):
        queue.put(i)
    assert (queue.qsize(), queue.size(), len(queue), queue.empty(), queue.full()) == (3, 3, 3, False, True)


@pytest.mark.parametrize(
    "take", [lambda q: q.get_nowait(), lambda q: q.get(block=False), lambda q: q.get(timeout=0.01)], ids=["nowait", "block", "timeout"]
)
def test_queue_that_is_empty(queue, take):
    with pytest.raises(Empty):
        take(queue)


@pytest.mark.parametrize(
    "put", [lambda q: q.put_nowait(0), lambda q: q.put(0, block=False), lambda q: q.put(0, timeout=0.01)], ids=["nowait", "block", "timeout"]
)
def test_queue_that_is_full(queue, put):
    queue.put_nowait_batch([1, 2, 3])
    with pytest.raises(Full):
        put(queue)


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda q: q.put(1, timeout=-1), ValueError, "'timeout' must be a non-negative number"),
        (lambda q: q.get(timeout=-1), ValueError, "'timeout' must be a non-negative number"),
        (lambda q: q.put_nowait_batch(5), TypeError, "Argument 'items' must be an Iterable"),
        (lambda q: q.get_nowait_batch("a"), TypeError, "Argument 'num_items' must be an int"),
        (lambda q: q.get_nowait_batch(-1), ValueError, "'num_items' must be nonnegative"),
        (lambda q: q.get_nowait_batch(1), Empty, "Cannot get 1 items from queue of size 0"),
        (lambda q: q.put_nowait_batch([1] * 4), Full, "Cannot add 4 items to queue of size 0 and maxsize 3"),
    ],
)
def test_queue_refuses(queue, use, error, words):
    with pytest.raises(error, match=words):
        use(queue)
    assert queue.empty()


def test_queue_of_asyncio(queue):
    async def main():
        await queue.put_async(1)
        assert await queue.get_async() == 1
        for arguments in ({"block": False}, {"timeout": 0.01}):
            with pytest.raises(Empty):
                await queue.get_async(**arguments)
        for i in range(3):
            await queue.put_async(i)
        with pytest.raises(Full):
            await queue.put_async(4, block=False)

    asyncio.run(main())


def test_queue_that_waits_is_woken(queue):
    @ray.remote
    def take(queue):
        return queue.get(timeout=20)

    taken = take.remote(queue)
    queue.put("woken")
    assert ray.get(taken, timeout=30) == "woken"


@pytest.mark.parametrize("force", [False, True])
def test_queue_after_its_end(cluster, force):
    queue = Queue()
    queue.put(1)
    queue.shutdown(force=force, grace_period_s=5)
    assert queue.actor is None


# Pool of processes.


def square(x):
    return x * x


def add(a, b=0):
    return a + b


def bad(x):
    raise ValueError(f"no {x}")


@pytest.fixture(scope="module")
def processes(cluster):
    with Pool(2) as pool:
        yield pool


@pytest.mark.parametrize(
    ("use", "result"),
    [
        (lambda p: p.map(square, range(5)), [0, 1, 4, 9, 16]),
        (lambda p: p.map(square, []), []),
        (lambda p: p.map(square, range(5), chunksize=2), [0, 1, 4, 9, 16]),
        (lambda p: p.map(square, iter([3])), [9]),
        (lambda p: p.starmap(add, [(1, 2), (3, 4)]), [3, 7]),
        (lambda p: p.starmap_async(add, [(1, 2)]).get(), [3]),
        (lambda p: p.apply(add, (1, 2)), 3),
        (lambda p: p.apply(add, (1,), {"b": 3}), 4),
        (lambda p: p.apply_async(square, (3,)).get(timeout=30), 9),
        (lambda p: list(p.imap(square, range(4))), [0, 1, 4, 9]),
        (lambda p: list(p.imap(square, range(4), chunksize=3)), [0, 1, 4, 9]),
        (lambda p: sorted(p.imap_unordered(square, range(4))), [0, 1, 4, 9]),
        (lambda p: next(p.imap(square, [3])), 9),
    ],
)
def test_processes(processes, use, result):
    assert use(processes) == result


@pytest.mark.parametrize(
    "use",
    [lambda p: p.map(bad, [1]), lambda p: p.apply(bad, (1,)), lambda p: p.map_async(bad, [1]).get(), lambda p: p.starmap(bad, [(1,)])],
    ids=["map", "apply", "map_async", "starmap"],
)
def test_processes_raise_what_the_function_raised(processes, use):
    with pytest.raises(ValueError, match="no 1"):
        use(processes)


def test_processes_results(processes):
    result = processes.map_async(square, [1, 2])
    result.wait(30)
    assert (result.ready(), result.successful(), result.get()) == (True, True, [1, 4])
    result = processes.apply_async(bad, (1,))
    result.wait(30)
    assert (result.ready(), result.successful()) == (True, False)


def test_processes_results_that_are_not_there(processes, tmp_path):
    path = str(tmp_path / "go")

    def wait_for(path):
        while not os.path.exists(path):
            time.sleep(0.01)

    result = processes.apply_async(wait_for, (path,))
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises((TimeoutError, ray.util.multiprocessing.TimeoutError)):
        result.get(timeout=0.01)
    open(path, "w").close()
    result.get(timeout=30)


def test_processes_callbacks(processes):
    seen = []
    processes.apply_async(square, (2,), callback=seen.append)
    processes.apply_async(bad, (2,), error_callback=lambda error: seen.append("error"))
    wait_until(lambda: len(seen) == 2)
    assert set(map(str, seen)) == {"4", "error"}


@pytest.mark.parametrize("count", [0, -1])
def test_processes_need_one(cluster, count):
    with pytest.raises(ValueError, match="Processes in the pool must be >0"):
        Pool(count)


def test_processes_that_are_closed(cluster):
    pool = Pool(1)
    with pytest.raises(ValueError):
        pool.join()
    pool.close()
    for use in (lambda: pool.map(square, [1]), lambda: pool.apply(square, (1,))):
        with pytest.raises(ValueError):
            use()
    pool.join()


def test_processes_initializer(cluster):
    def set_up(value):
        os.environ["POOL_VALUE"] = value

    with Pool(1, initializer=set_up, initargs=("set",)) as pool:
        assert pool.map(lambda _: os.environ.get("POOL_VALUE"), [1, 2]) == ["set", "set"]


# Metrics.


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: Counter(""), ValueError, "Empty name is not allowed. Please provide a metric name"),
        (lambda: Counter("a", tag_keys=1), TypeError, "tag_keys should be a tuple type, got: <class 'int'>"),
        (lambda: Counter("a").inc(-1), ValueError, "value must be >0, got -1"),
        (lambda: Counter("a").inc(0), ValueError, "value must be >0, got 0"),
        (lambda: Counter("a").inc("1"), TypeError, "value must be int or float, got <class 'str'>"),
        (lambda: Counter("a", tag_keys=("x",)).inc(1), ValueError, r"Missing value for tag key\(s\): x"),
        (lambda: Counter("a", tag_keys=("x",)).set_default_tags({"z": "y"}), ValueError, "Unrecognized tag key z"),
        (lambda: Counter("a", tag_keys=("x",)).set_default_tags({"x": 1}), TypeError, "Tag values must be str, got <class 'int'>"),
        (lambda: Gauge("a").set("1"), TypeError, "value must be int or float, got <class 'str'>"),
        (lambda: Histogram("a"), ValueError, "boundaries argument should be provided when using the Histogram class"),
        (lambda: Histogram("a", boundaries=[]), ValueError, "boundaries argument should be provided"),
        (lambda: Histogram("a", boundaries=[-1, 1]), ValueError, "Invalid `boundaries` argument at index 0.*Use positive values"),
        (lambda: Histogram("a", boundaries=[1]).observe("1"), TypeError, "value must be int or float, got <class 'str'>"),
    ],
)
def test_metrics_refuse(use, error, words):
    with pytest.raises(error, match=words):
        use()


@pytest.mark.parametrize(
    "use",
    [
        lambda: Counter("a").inc(),
        lambda: Counter("a").inc(2.5),
        lambda: Counter("a", tag_keys=("x",)).inc(1, tags={"x": "y"}),
        lambda: Gauge("a").set(-1.5),
        lambda: Histogram("a", boundaries=[1, 2]).observe(1.5),
    ],
    ids=["counter", "by a number", "with tags", "gauge", "histogram"],
)
def test_metrics_take(use):
    assert use() is None


def test_metrics_know_themselves():
    counter = Counter("a", description="words", tag_keys=("x",))
    counter.set_default_tags({"x": "y"})
    assert counter.info == {"name": "a", "description": "words", "tag_keys": ("x",), "default_tags": {"x": "y"}}
