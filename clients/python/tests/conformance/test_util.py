"""ray.util: ActorPool, Queue, multiprocessing.Pool, metrics."""

from __future__ import annotations

import asyncio
import time

import pytest
import ray
from ray.util import ActorPool
from ray.util.queue import Empty, Full, Queue

pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote(num_cpus=0)
class Worker:
    """Works."""

    def double(self, x):
        return 2 * x

    def sleep(self, seconds):
        time.sleep(seconds)
        return seconds

    def fail(self, x):
        raise ValueError(f"no {x}")


@pytest.fixture
def pool():
    return ActorPool([Worker.remote() for _ in range(2)])


def test_pool_map_keeps_order(pool):
    assert list(pool.map(lambda a, x: a.double.remote(x), range(6))) == [0, 2, 4, 6, 8, 10]


def test_pool_map_unordered(pool):
    assert sorted(pool.map_unordered(lambda a, x: a.double.remote(x), range(6))) == [0, 2, 4, 6, 8, 10]
    assert list(pool.map_unordered(lambda a, x: a.sleep.remote(x), [0.6, 0])) == [0, 0.6]


def test_pool_submit_and_get_next(pool):
    for x in range(4):
        pool.submit(lambda a, x: a.double.remote(x), x)
    assert pool.has_next()
    assert [pool.get_next() for _ in range(4)] == [0, 2, 4, 6]
    assert not pool.has_next()
    with pytest.raises(StopIteration):
        pool.get_next()
    with pytest.raises(StopIteration):
        pool.get_next_unordered()


def test_pool_timeout(pool):
    pool.submit(lambda a, x: a.sleep.remote(x), 2)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.1)
    assert pool.get_next(timeout=10) == 2
    pool.submit(lambda a, x: a.sleep.remote(x), 1)
    with pytest.raises(TimeoutError):
        pool.get_next_unordered(timeout=0.1)


def test_pool_has_free_push_and_pop(pool):
    assert pool.has_free()
    first = pool.pop_idle()
    second = pool.pop_idle()
    assert first is not None and second is not None
    assert pool.pop_idle() is None
    assert not pool.has_free()
    pool.push(first)
    assert pool.has_free()
    with pytest.raises(ValueError):
        pool.push(first)


def test_pool_error_is_raised_and_the_pool_goes_on(pool):
    pool.submit(lambda a, x: a.fail.remote(x), 1)
    with pytest.raises(ValueError, match="no 1"):
        pool.get_next()
    assert list(pool.map(lambda a, x: a.double.remote(x), [1, 2])) == [2, 4]


def test_queue_put_and_get():
    queue = Queue()
    for i in range(3):
        queue.put(i)
    assert queue.qsize() == queue.size() == len(queue) == 3
    assert [queue.get() for _ in range(3)] == [0, 1, 2]
    assert queue.empty()
    queue.shutdown()


def test_queue_empty_and_full():
    queue = Queue(maxsize=1)
    with pytest.raises(Empty):
        queue.get_nowait()
    with pytest.raises(Empty):
        queue.get(timeout=0.1)
    with pytest.raises(Empty):
        queue.get(block=False)
    queue.put(1)
    assert queue.full()
    with pytest.raises(Full):
        queue.put_nowait(2)
    with pytest.raises(Full):
        queue.put(2, timeout=0.1)
    with pytest.raises(Full):
        queue.put(2, block=False)
    with pytest.raises(ValueError):
        queue.get(timeout=-1)
    with pytest.raises(ValueError):
        queue.put(1, timeout=-1)
    queue.shutdown(force=True)


def test_queue_batches():
    queue = Queue(maxsize=4)
    queue.put_nowait_batch([1, 2, 3])
    with pytest.raises(Full):
        queue.put_nowait_batch([4, 5])
    assert queue.get_nowait_batch(2) == [1, 2]
    with pytest.raises(Empty):
        queue.get_nowait_batch(2)
    with pytest.raises(TypeError):
        queue.get_nowait_batch("2")
    queue.shutdown()


def test_queue_between_tasks():
    queue = Queue(maxsize=2)

    @ray.remote
    def produce(queue):
        for i in range(6):
            queue.put(i, timeout=10)

    @ray.remote
    def consume(queue):
        return [queue.get(timeout=10) for _ in range(6)]

    produce.remote(queue)
    assert ray.get(consume.remote(queue)) == list(range(6))
    queue.shutdown()


def test_queue_from_asyncio():
    queue = Queue(maxsize=2)

    async def main():
        await queue.put_async(1)
        await queue.put_async(2)
        with pytest.raises(Full):
            await queue.put_async(3, timeout=0.1)
        assert await queue.get_async() == 1
        assert await queue.get_async(timeout=5) == 2
        with pytest.raises(Empty):
            await queue.get_async(timeout=0.1)

    asyncio.run(main())
    queue.shutdown()


def test_queue_with_actor_options():
    queue = Queue(actor_options={"name": "queue by name", "num_cpus": 0})
    queue.put("x")
    assert ray.get(ray.get_actor("queue by name").qsize.remote()) == 1
    queue.shutdown()


def square(x):
    return x * x


def add(x, y):
    return x + y


@pytest.fixture(scope="module")
def processes(cluster):
    from ray.util.multiprocessing import Pool

    pool = Pool(2)
    yield pool
    pool.terminate()
    pool.join()


def test_processes_map(processes):
    assert processes.map(square, range(10)) == [x * x for x in range(10)]
    assert processes.map(square, range(10), chunksize=3) == [x * x for x in range(10)]
    assert processes.map(square, []) == []


def test_processes_apply(processes):
    assert processes.apply(add, (1, 2)) == 3
    assert processes.apply(add, (1,), {"y": 5}) == 6
    result = processes.apply_async(add, (3, 4))
    assert result.get(timeout=10) == 7
    assert result.ready() and result.successful()


def test_processes_callbacks(processes):
    seen, failed = [], []
    processes.apply_async(square, (3,), callback=seen.append).get(timeout=10)
    result = processes.apply_async(divide, (0,), error_callback=failed.append)
    with pytest.raises(ZeroDivisionError):
        result.get(timeout=10)
    from .waiting import wait_until

    wait_until(lambda: seen and failed)
    assert seen == [9]
    assert "division by zero" in str(failed[0])


def divide(x):
    return 1 / x


def test_processes_starmap(processes):
    assert processes.starmap(add, [(1, 2), (3, 4)]) == [3, 7]
    assert processes.starmap_async(add, [(1, 2)]).get(timeout=10) == [3]


def test_processes_imap(processes):
    assert list(processes.imap(square, range(5))) == [0, 1, 4, 9, 16]
    assert sorted(processes.imap_unordered(square, range(5), chunksize=2)) == [0, 1, 4, 9, 16]
    iterator = processes.imap(square, [7])
    assert iterator.next(timeout=10) == 49
    with pytest.raises(StopIteration):
        next(iterator)


def test_processes_map_async_and_errors(processes):
    result = processes.map_async(square, range(4))
    result.wait(timeout=10)
    assert result.get() == [0, 1, 4, 9]
    with pytest.raises(ZeroDivisionError):
        processes.map(divide, [1, 0])


def test_processes_timeout(processes):
    import multiprocessing

    with pytest.raises(multiprocessing.TimeoutError):
        processes.apply_async(time.sleep, (1,)).get(timeout=0.1)


def test_processes_closed_pool_refuses():
    from ray.util.multiprocessing import Pool

    pool = Pool(1)
    pool.close()
    with pytest.raises(ValueError):
        pool.map(square, [1])
    pool.join()


def test_processes_initializer_and_context():
    from ray.util.multiprocessing import Pool

    def prepare(value):
        import builtins

        builtins.conformance_value = value

    def look(_):
        import builtins

        return builtins.conformance_value

    with Pool(1, initializer=prepare, initargs=(5,)) as pool:
        assert pool.map(look, range(2)) == [5, 5]


def test_metrics_can_be_recorded():
    from ray.util.metrics import Counter, Gauge, Histogram

    counter = Counter("conformance_counter", description="counts", tag_keys=("kind",))
    counter.set_default_tags({"kind": "a"})
    counter.inc()
    counter.inc(2, tags={"kind": "b"})
    gauge = Gauge("conformance_gauge", description="stands")
    gauge.set(3)
    histogram = Histogram("conformance_histogram", description="spreads", boundaries=[1, 10])
    histogram.observe(5)
    with pytest.raises(ValueError):
        counter.inc(0)
    with pytest.raises(ValueError):
        counter.inc(-1)
    with pytest.raises(TypeError):
        Counter("conformance_wrong", tag_keys="kind")
    with pytest.raises(ValueError):
        Counter("")


def test_joblib():
    joblib = pytest.importorskip("joblib")
    from ray.util.joblib import register_ray

    register_ray()
    with joblib.parallel_backend("ray", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(square)(i) for i in range(5)) == [0, 1, 4, 9, 16]
