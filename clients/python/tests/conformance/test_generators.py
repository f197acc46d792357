"""Generators: streams, dynamic returns, backpressure and their errors."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
import ray
from ray import ObjectRefGenerator

from .waiting import wait_until

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.filterwarnings("ignore:num_returns='dynamic'")]


@ray.remote(num_cpus=0)
def count(n, seconds=0):
    """Counts."""
    for i in range(n):
        time.sleep(seconds)
        yield i


def test_generator_functions_stream_by_default():
    stream = count.remote(3)
    assert isinstance(stream, ObjectRefGenerator)
    refs = list(stream)
    assert all(isinstance(ref, ray.ObjectRef) for ref in refs)
    assert ray.get(refs) == [0, 1, 2]


def test_stream_by_option():
    assert [ray.get(ref) for ref in count.options(num_returns="streaming").remote(4)] == [0, 1, 2, 3]


def test_next_and_stop_iteration():
    stream = count.remote(1)
    assert ray.get(next(stream)) == 0
    with pytest.raises(StopIteration):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


def test_empty_stream():
    assert list(count.remote(0)) == []


def test_items_come_before_the_end(signal):
    @ray.remote(num_cpus=0)
    def gated(gate):
        yield "first"
        ray.get(gate.wait.remote())
        yield "second"

    gate = signal()
    stream = gated.remote(gate)
    assert ray.get(next(stream), timeout=10) == "first"
    ray.get(gate.send.remote())
    assert ray.get(next(stream), timeout=10) == "second"


def test_large_items():
    @ray.remote
    def big():
        for i in range(3):
            yield bytes([i]) * 500_000

    assert [ray.get(ref)[:1] for ref in big.remote()] == [b"\0", b"\1", b"\2"]


def test_error_in_the_stream_is_its_next_item():
    @ray.remote(max_retries=0)
    def fail():
        yield 1
        raise ValueError("in the stream")

    stream = fail.remote()
    assert ray.get(next(stream)) == 1
    with pytest.raises(ValueError, match="in the stream"):
        ray.get(next(stream))
    with pytest.raises(StopIteration):
        next(stream)


def test_crash_in_the_stream_is_an_error():
    @ray.remote(max_retries=0)
    def die():
        yield 1
        os._exit(1)

    from ray.exceptions import RayError

    with pytest.raises(RayError):
        for ref in die.remote():
            ray.get(ref)


def test_backpressure_pauses_the_generator(tmp_path):
    path = str(tmp_path / "made")

    @ray.remote(num_cpus=0, _generator_backpressure_num_objects=2)
    def make(path):
        for i in range(8):
            with open(path, "a") as file:
                file.write(".")
            yield i

    stream = make.remote(path)
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path) >= 2)
    time.sleep(0.3)
    assert os.path.getsize(path) <= 3
    assert [ray.get(ref) for ref in stream] == list(range(8))


def test_a_generator_that_is_dropped_lets_its_producer_end(tmp_path):
    path = str(tmp_path / "made")

    @ray.remote(num_cpus=0, _generator_backpressure_num_objects=1)
    def make(path):
        for i in range(8):
            with open(path, "a") as file:
                file.write(".")
            yield i

    stream = make.remote(path)
    assert ray.get(next(stream)) == 0
    del stream
    wait_until(lambda: os.path.getsize(path) == 8)


def test_paused_generators_of_an_async_actor_keep_no_other_out():
    @ray.remote(num_cpus=0)
    class Counter:
        async def count(self, n):
            for i in range(n):
                yield i

    counter = Counter.remote()
    streams = [counter.count.options(num_returns="streaming", _generator_backpressure_num_objects=1).remote(3) for _ in range(20)]
    for stream in reversed(streams):
        assert [ray.get(ref) for ref in stream] == [0, 1, 2]


def test_completed_ref():
    stream = count.remote(3)
    ray.get(stream.completed())
    assert [ray.get(ref) for ref in stream] == [0, 1, 2]


def test_completed_of_a_failed_stream_is_ready_too():
    @ray.remote(max_retries=0)
    def fail():
        yield 1
        raise KeyError("end")

    done = fail.remote().completed()
    assert ray.wait([done], timeout=20) == ([done], [])


def test_wait_takes_streams():
    slow, fast = count.remote(1, 30), count.remote(2)
    ready, rest = ray.wait([slow, fast], num_returns=1, timeout=10)
    assert (ready, rest) == ([fast], [slow])
    assert ray.get(next(fast)) == 0
    ray.cancel(slow, force=True)


def test_wait_takes_streams_and_refs_together():
    ref, stream = ray.put(1), count.remote(1)
    ready, rest = ray.wait([ref, stream], num_returns=2, timeout=10)
    assert len(ready) == 2 and not rest


def test_async_iteration_in_the_driver():
    async def main():
        return [await ref async for ref in count.remote(3)]

    assert asyncio.run(main()) == [0, 1, 2]


def test_stream_of_a_method():
    @ray.remote(num_cpus=0)
    class Actor:
        def count(self, n):
            for i in range(n):  # noqa: UP028 - the methods of Ray's actors cannot delegate
                yield i

        @ray.method(num_returns="streaming")
        def declared(self):
            yield "a"
            yield "b"

    actor = Actor.remote()
    assert [ray.get(ref) for ref in actor.count.options(num_returns="streaming").remote(3)] == [0, 1, 2]
    assert [ray.get(ref) for ref in actor.count.remote(2)] == [0, 1]
    assert [ray.get(ref) for ref in actor.declared.remote()] == ["a", "b"]


def test_two_streams_of_one_actor_come_in_order():
    @ray.remote(num_cpus=0)
    class Actor:
        def count(self, start):
            for i in range(start, start + 3):  # noqa: UP028 - the methods of Ray's actors cannot delegate
                yield i

    actor = Actor.remote()
    first, second = actor.count.remote(0), actor.count.remote(10)
    assert [ray.get(r) for r in second] == [10, 11, 12]
    assert [ray.get(r) for r in first] == [0, 1, 2]


def test_items_are_refs_like_others():
    @ray.remote
    def double(x):
        return 2 * x

    assert ray.get([double.remote(ref) for ref in count.remote(3)]) == [0, 2, 4]


def test_dynamic_returns():
    ref = count.options(num_returns="dynamic").remote(3)
    assert isinstance(ref, ray.ObjectRef)
    assert [ray.get(r) for r in ray.get(ref)] == [0, 1, 2]
    assert [ray.get(r) for r in ray.get(ref)] == [0, 1, 2]


def test_dynamic_returns_can_be_passed_on():
    @ray.remote
    def total(refs):
        return sum(ray.get(ref) for ref in refs)

    assert ray.get(total.remote(count.options(num_returns="dynamic").remote(4))) == 6


def test_dynamic_returns_of_a_failing_generator():
    @ray.remote(num_returns="dynamic", max_retries=0)
    def fail():
        yield 1
        raise ValueError("dynamic")

    ref = fail.remote()
    with pytest.raises(ValueError, match="dynamic"):
        for item in ray.get(ref):
            ray.get(item)


def test_a_stream_cannot_be_sent():
    @ray.remote
    def take(x):
        return x

    with pytest.raises(TypeError):
        take.remote([count.remote(1)])


def test_cancel_of_a_stream_ends_it():
    stream = count.remote(1000, 0.1)
    assert ray.get(next(stream)) == 0
    ray.cancel(stream)
    with pytest.raises(ray.exceptions.RayError):
        for ref in stream:
            ray.get(ref, timeout=20)


def test_stream_that_is_dropped_half_way():
    stream = count.remote(100)
    next(stream)
    del stream
    assert ray.get(next(count.remote(1))) == 0


def test_many_items():
    assert ray.get(list(count.remote(500))) == list(range(500))


def test_generators_call_tasks():
    @ray.remote
    def double(x):
        return 2 * x

    @ray.remote
    def pipeline():
        for i in range(3):
            yield ray.get(double.remote(i))

    assert [ray.get(ref) for ref in pipeline.remote()] == [0, 2, 4]


@pytest.mark.parametrize("method", [False, True])
def test_a_number_of_returns_takes_that_many_items(method):
    @ray.remote(num_cpus=0)
    class Actor:
        def count(self, n):
            for i in range(n):  # noqa: UP028 - the methods of Ray's actors cannot delegate
                yield i

    f = Actor.remote().count if method else count
    assert ray.get(f.options(num_returns=1).remote(3)) == 0
    assert ray.get(f.options(num_returns=2).remote(3)) == [0, 1]
    with pytest.raises(ValueError):
        ray.get(f.options(num_returns=4).remote(3))


def test_next_ready_and_is_finished():
    stream = count.remote(2)
    wait_until(stream.next_ready)
    assert not stream.is_finished()
    assert [ray.get(ref) for ref in stream] == [0, 1]
    assert stream.is_finished()


@pytest.mark.parametrize("call", [lambda s: s.send(1), lambda s: s.throw(ValueError), lambda s: s.close()], ids=["send", "throw", "close"])
def test_a_stream_cannot_be_spoken_to(call):
    with pytest.raises(NotImplementedError):
        call(count.remote(1))


@pytest.mark.parametrize("method", [False, True])
def test_items_that_are_missing_have_the_error_and_the_others_their_value(method):
    def short(self=None):
        yield 0

    def broken(self=None):
        yield 0
        raise KeyError("in the middle")

    actor = ray.remote(num_cpus=0)(type("Both", (), {"short": short, "broken": broken})).remote() if method else None
    for f, error, words in ((short, ValueError, "Task returned 1 objects, but num_returns=3"), (broken, KeyError, "in the middle")):
        call = getattr(actor, f.__name__) if method else ray.remote(num_cpus=0)(f)
        first, *rest = call.options(num_returns=3).remote()
        assert ray.get(first) == 0
        for ref in rest:
            with pytest.raises(error, match=words):
                ray.get(ref)


async def ticks(n):
    """Counts, in its own time."""
    for i in range(n):
        await asyncio.sleep(0.001)
        yield i
    if n > 5:
        raise ValueError("too many")


@pytest.mark.mobula_only("Ray takes such a function, and its calls raise TypeError")
def test_functions_that_are_async_generators():
    f = ray.remote(num_cpus=0)(ticks)
    assert [ray.get(ref) for ref in f.remote(3)] == [0, 1, 2]
    assert ray.get(f.options(num_returns=2).remote(3)) == [0, 1]
    assert [ray.get(ref) for ref in ray.get(f.options(num_returns="dynamic").remote(2))] == [0, 1]
    *items, last = f.remote(6)
    assert ray.get(items) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="too many"):
        ray.get(last)


@pytest.mark.mobula_only("Ray takes such a function, and its calls raise TypeError")
def test_an_async_generator_can_be_cancelled():
    @ray.remote(num_cpus=0, max_retries=0)
    async def forever():
        yield 1
        await asyncio.sleep(60)

    stream = forever.remote()
    assert ray.get(next(stream)) == 1
    ray.cancel(stream)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(next(stream), timeout=20)
