"""Refs in event loops, of drivers and of actors."""

from __future__ import annotations

import asyncio
import time

import pytest
import ray

pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote(num_cpus=0)
def sleep(seconds, value=None):
    """Sleeps."""
    time.sleep(seconds)
    return value


@ray.remote(num_cpus=0, max_retries=0)
def fail(text):
    """Fails."""
    raise ValueError(text)


def test_gather_with_exceptions():
    async def main():
        return await asyncio.gather(sleep.remote(0, 1), fail.remote("no"), return_exceptions=True)

    one, error = asyncio.run(main())
    assert one == 1
    assert isinstance(error, ValueError)


def test_wait_takes_refs():
    async def main():
        fast, slow = asyncio.ensure_future(sleep.remote(0, "fast")), asyncio.ensure_future(sleep.remote(5, "slow"))
        done, pending = await asyncio.wait([fast, slow], return_when=asyncio.FIRST_COMPLETED)
        assert done == {fast} and pending == {slow}
        slow.cancel()
        return fast.result()

    assert asyncio.run(main()) == "fast"


def test_timeout_leaves_the_task_alone():
    async def main():
        ref = sleep.remote(0.6, "value")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(ref.future()), 0.1)
        return await ref

    assert asyncio.run(main()) == "value"


def test_a_ref_is_awaited_by_many():
    async def main():
        ref = sleep.remote(0.1, "value")

        async def one():
            return await ref

        return await asyncio.gather(*[one() for _ in range(10)])

    assert asyncio.run(main()) == ["value"] * 10


def test_loop_stays_free_while_refs_are_awaited():
    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticker = asyncio.create_task(tick())
        await sleep.remote(0.5)
        ticker.cancel()
        return ticks

    assert asyncio.run(main()) > 10


def test_task_group_and_as_completed():
    async def take(ref):
        return await ref

    async def main():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(take(sleep.remote(0, i))) for i in range(4)]
        first = [await each for each in asyncio.as_completed([take(sleep.remote(s, s)) for s in (0.3, 0)])]
        return [task.result() for task in tasks], first

    assert asyncio.run(main()) == ([0, 1, 2, 3], [0, 0.3])


def test_refs_in_loops_of_threads():
    import threading

    results = []

    def run(i):
        async def main():
            return await sleep.remote(0.05, i)

        results.append(asyncio.run(main()))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(results) == [0, 1, 2, 3]


def test_many_awaits_at_once():
    @ray.remote(num_cpus=0.5)
    def f(i):
        return i

    async def main():
        return await asyncio.gather(*[f.remote(i) for i in range(500)])

    assert asyncio.run(main()) == list(range(500))


def test_an_async_actor_as_a_queue():
    @ray.remote(num_cpus=0)
    class Queue:
        def __init__(self):
            self.items = asyncio.Queue(maxsize=2)

        async def put(self, x):
            await self.items.put(x)

        async def get(self):
            return await self.items.get()

    @ray.remote(num_cpus=0.5)
    def produce(queue, n):
        for i in range(n):
            ray.get(queue.put.remote(i))

    queue = Queue.remote()
    produce.remote(queue, 10)
    assert [ray.get(queue.get.remote(), timeout=20) for _ in range(10)] == list(range(10))


def test_an_async_actor_streams_what_it_awaits():
    @ray.remote(num_cpus=0)
    class Streamer:
        async def stream(self, n):
            for i in range(n):
                yield await sleep.remote(0.01, i)

    async def main(streamer):
        return [await ref async for ref in streamer.stream.remote(5)]

    streamer = Streamer.remote()
    assert asyncio.run(main(streamer)) == [0, 1, 2, 3, 4]


def test_two_streams_of_an_async_actor_interleave():
    @ray.remote(num_cpus=0)
    class Streamer:
        def __init__(self):
            self.turn = asyncio.Condition()
            self.next = 0

        async def stream(self, who):
            for i in range(3):
                async with self.turn:
                    await self.turn.wait_for(lambda: self.next == who)
                    self.next = 1 - who
                    self.turn.notify_all()
                yield i

    streamer = Streamer.remote()
    a, b = streamer.stream.remote(0), streamer.stream.remote(1)
    assert [ray.get(r, timeout=20) for r in a] == [0, 1, 2]
    assert [ray.get(r, timeout=20) for r in b] == [0, 1, 2]


def test_background_tasks_of_an_async_actor():
    @ray.remote(num_cpus=0)
    class Clock:
        def __init__(self):
            self.ticks = 0
            self.task = asyncio.get_running_loop().create_task(self.run()) if self.in_loop() else None

        def in_loop(self):
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                return False
            return True

        async def run(self):
            while True:
                await asyncio.sleep(0.01)
                self.ticks += 1

        async def start(self):
            if self.task is None:
                self.task = asyncio.create_task(self.run())

        async def get(self):
            return self.ticks

    clock = Clock.remote()
    ray.get(clock.start.remote())
    end = time.monotonic() + 20
    while ray.get(clock.get.remote()) < 3:
        assert time.monotonic() < end


def test_run_in_executor_inside_of_an_async_actor():
    @ray.remote(num_cpus=0)
    class Actor:
        async def work(self, x):
            return await asyncio.get_running_loop().run_in_executor(None, lambda: ray.get(sleep.remote(0.01, x)))

    actor = Actor.remote()
    assert ray.get([actor.work.remote(i) for i in range(4)]) == [0, 1, 2, 3]


def test_a_constructor_that_is_async():
    @ray.remote(num_cpus=0)
    class Actor:
        async def __init__(self, x, *, more=0):
            self.ticked = asyncio.create_task(self.tick())
            self.x = x + await sleep.remote(0.01, more)
            self.loop = asyncio.get_running_loop()

        async def tick(self):
            await asyncio.sleep(0.1)
            return "ticked"

        async def get(self):
            return self.x, asyncio.get_running_loop() is self.loop, await self.ticked

        def plain(self):
            return self.x

    actor = Actor.remote(1, more=2)
    assert ray.get(actor.get.remote(), timeout=20) == (3, True, "ticked")
    assert ray.get(actor.plain.remote(), timeout=20) == 3


def test_a_constructor_that_is_async_and_nothing_else():
    @ray.remote(num_cpus=0)
    class Actor:
        async def __init__(self):
            self.x = 5

        def get(self):
            return self.x

    assert ray.get(Actor.remote().get.remote(), timeout=20) == 5


@pytest.mark.parametrize(("outcome", "words"), [("raise ValueError('within')", "within"), ("return 5", "TypeError")])
def test_a_constructor_that_is_async_and_fails(outcome, words):
    made = {}
    exec(f"class Actor:\n  async def __init__(self): {outcome}\n  async def get(self): return 1", made)
    with pytest.raises(ray.exceptions.ActorDiedError, match=words):
        ray.get(ray.remote(num_cpus=0)(made["Actor"]).remote().get.remote(), timeout=20)
