"""Threaded and asyncio actors, concurrency groups and limits."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import ray
from ray.exceptions import PendingCallsLimitExceeded

pytestmark = pytest.mark.usefixtures("cluster")


def test_async_methods_interleave():
    @ray.remote
    class Meeting:
        def __init__(self):
            self.here = asyncio.Event()

        async def wait(self):
            await self.here.wait()
            return "met"

        async def come(self):
            self.here.set()

    meeting = Meeting.remote()
    waiting = [meeting.wait.remote() for _ in range(5)]
    ray.get(meeting.come.remote())
    assert ray.get(waiting) == ["met"] * 5


def test_async_actor_runs_many_at_once():
    @ray.remote
    class Barrier:
        def __init__(self, n):
            self.n, self.here, self.all = n, 0, asyncio.Event()

        async def arrive(self):
            self.here += 1
            if self.here == self.n:
                self.all.set()
            await self.all.wait()
            return self.here

    barrier = Barrier.remote(500)
    assert ray.get([barrier.arrive.remote() for _ in range(500)], timeout=30) == [500] * 500


def test_async_actor_with_a_limit():
    @ray.remote(max_concurrency=3)
    class Limited:
        def __init__(self):
            self.now = self.most = 0

        async def work(self):
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.02)
            self.now -= 1

        async def peak(self):
            return self.most

    limited = Limited.remote()
    ray.get([limited.work.remote() for _ in range(12)])
    assert ray.get(limited.peak.remote()) == 3


def test_sync_methods_of_an_async_actor_run_on_its_loop():
    @ray.remote
    class Mixed:
        async def loop(self):
            return id(asyncio.get_running_loop()), threading.get_ident()

        def sync(self):
            return threading.get_ident()

    mixed = Mixed.remote()
    _, thread = ray.get(mixed.loop.remote())
    assert ray.get(mixed.sync.remote()) == thread


def test_async_actor_awaits_refs_and_other_actors():
    @ray.remote
    def double(x):
        return 2 * x

    @ray.remote
    class Actor:
        async def one(self):
            return await double.remote(4)

        async def many(self):
            return await asyncio.gather(*[double.remote(i) for i in range(3)])

        async def ready(self):
            refs = [double.remote(i) for i in range(2)]
            done, _ = await asyncio.wait([asyncio.ensure_future(self.take(r)) for r in refs])
            return sorted(task.result() for task in done)

        async def take(self, ref):
            return await ref

    actor = Actor.remote()
    assert ray.get(actor.one.remote()) == 8
    assert ray.get(actor.many.remote()) == [0, 2, 4]
    assert ray.get(actor.ready.remote()) == [0, 2]


def test_error_of_an_async_method():
    @ray.remote
    class Actor:
        async def fail(self):
            await asyncio.sleep(0)
            raise ValueError("async words")

    with pytest.raises(ValueError, match="async words"):
        ray.get(Actor.remote().fail.remote())


def test_await_of_a_failed_ref_raises_in_the_coroutine():
    @ray.remote(max_retries=0)
    def fail():
        raise KeyError("x")

    @ray.remote
    class Actor:
        async def catch(self):
            try:
                await fail.remote()
            except KeyError:
                return "caught"

    assert ray.get(Actor.remote().catch.remote()) == "caught"


def test_threaded_actor_runs_calls_at_the_same_time():
    @ray.remote(max_concurrency=4)
    class Pool:
        def __init__(self):
            self.barrier = threading.Barrier(4)

        def meet(self):
            self.barrier.wait(timeout=10)
            return threading.get_ident()

    assert len(set(ray.get([Pool.remote().meet.remote() for _ in range(0)]))) == 0
    pool = Pool.remote()
    assert len(set(ray.get([pool.meet.remote() for _ in range(4)]))) == 4


def test_threaded_actor_has_a_limit():
    @ray.remote(max_concurrency=2)
    class Pool:
        def __init__(self):
            self.lock = threading.Lock()
            self.now = self.most = 0

        def work(self):
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.02)
            with self.lock:
                self.now -= 1

        def peak(self):
            return self.most

    pool = Pool.remote()
    ray.get([pool.work.remote() for _ in range(8)])
    assert ray.get(pool.peak.remote()) == 2


def test_threads_of_an_actor_may_get_and_submit():
    @ray.remote
    def double(x):
        return 2 * x

    @ray.remote(max_concurrency=4)
    class Pool:
        def work(self, x):
            return ray.get(double.remote(x))

    pool = Pool.remote()
    assert ray.get([pool.work.remote(i) for i in range(8)]) == [2 * i for i in range(8)]


def test_concurrency_groups_have_limits_of_their_own():
    @ray.remote(concurrency_groups={"io": 2, "compute": 1})
    class Actor:
        def __init__(self):
            self.opened = False

        @ray.method(concurrency_group="io")
        async def wait(self):
            while not self.opened:
                await asyncio.sleep(0.01)
            return "io"

        @ray.method(concurrency_group="compute")
        async def compute(self):
            return "computed"

        async def open(self):
            self.opened = True

    actor = Actor.remote()
    waiting = [actor.wait.remote() for _ in range(2)]
    assert ray.get(actor.compute.remote(), timeout=10) == "computed"
    ray.get(actor.open.remote(), timeout=10)
    assert ray.get(waiting, timeout=10) == ["io", "io"]


def test_concurrency_groups_of_threads():
    @ray.remote(concurrency_groups={"io": 2})
    class Actor:
        def __init__(self):
            self.gate = threading.Event()

        @ray.method(concurrency_group="io")
        def wait(self):
            assert self.gate.wait(10)
            return threading.current_thread().ident

        def open(self):
            self.gate.set()

    actor = Actor.remote()
    waiting = [actor.wait.remote() for _ in range(2)]
    ray.get(actor.open.remote(), timeout=10)
    assert len(set(ray.get(waiting, timeout=10))) == 2


def test_concurrency_group_of_one_call():
    @ray.remote(concurrency_groups={"io": 1})
    class Actor:
        def __init__(self):
            self.opened = False

        async def wait(self):
            while not self.opened:
                await asyncio.sleep(0.01)
            return "done"

        async def open(self):
            self.opened = True

    actor = Actor.remote()
    waiting = actor.wait.options(concurrency_group="io").remote()
    ray.get(actor.open.remote(), timeout=10)
    assert ray.get(waiting, timeout=10) == "done"


def test_unknown_concurrency_group_is_an_error():
    @ray.remote(concurrency_groups={"io": 1})
    class Actor:
        async def f(self):
            return 1

    actor = Actor.remote()
    with pytest.raises(Exception, match=r"nowhere|group"):
        ray.get(actor.f.options(concurrency_group="nowhere").remote(), timeout=10)


def test_max_pending_calls_refuses_at_the_call():
    @ray.remote(max_pending_calls=5)
    class Slow:
        def work(self):
            time.sleep(0.5)

    slow = Slow.remote()
    refs = []
    with pytest.raises(PendingCallsLimitExceeded):
        for _ in range(20):
            refs.append(slow.work.remote())
    assert 5 <= len(refs) <= 7
    ray.kill(slow)


def test_async_generator_method():
    @ray.remote
    class Actor:
        async def count(self, n):
            for i in range(n):
                await asyncio.sleep(0)
                yield i

    actor = Actor.remote()
    assert [ray.get(ref) for ref in actor.count.options(num_returns="streaming").remote(3)] == [0, 1, 2]


def test_context_variables_are_apart():
    import contextvars

    @ray.remote
    class Actor:
        def __init__(self):
            self.name = contextvars.ContextVar("name", default="none")

        async def use(self, name):
            before = self.name.get()
            self.name.set(name)
            await asyncio.sleep(0.01)
            return before, self.name.get()

    actor = Actor.remote()
    assert ray.get([actor.use.remote(str(i)) for i in range(3)]) == [("none", str(i)) for i in range(3)]


def test_await_in_the_driver():
    @ray.remote
    def double(x):
        return 2 * x

    @ray.remote(max_retries=0)
    def fail():
        raise ValueError("awaited")

    async def main():
        assert await double.remote(4) == 8
        assert await asyncio.gather(*[double.remote(i) for i in range(20)]) == [2 * i for i in range(20)]
        with pytest.raises(ValueError, match="awaited"):
            await fail.remote()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(sleep.remote(5), 0.1)
        done, pending = await asyncio.wait([asyncio.wrap_future(double.remote(1).future())], timeout=10)
        assert [task.result() for task in done] == [2] and not pending
        ref = double.remote(7)
        assert await ref == 14
        assert await ref == 14
        return [await c for c in asyncio.as_completed([double.remote(i) for i in range(3)])]

    @ray.remote
    def sleep(seconds):
        time.sleep(seconds)

    assert sorted(asyncio.run(main())) == [0, 2, 4]


def test_driver_loops_one_after_the_other():
    @ray.remote
    def f():
        return 1

    async def main():
        return await f.remote()

    assert [asyncio.run(main()) for _ in range(3)] == [1, 1, 1]


def test_allow_out_of_order_execution(signal):
    gate = signal()

    @ray.remote(allow_out_of_order_execution=True)
    class Actor:
        def f(self, x):
            return x

    actor = Actor.remote()
    late = actor.f.remote(gate.wait.remote())
    assert ray.get(actor.f.remote("fast"), timeout=10) == "fast"
    ray.get(gate.send.remote())
    assert ray.get(late, timeout=10) is None
