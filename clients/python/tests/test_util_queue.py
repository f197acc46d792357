"""A Queue is shared by whoever has a copy of it."""

from __future__ import annotations

import asyncio
import queue
import threading
import time

import pytest

import mobula
from mobula.util.queue import Empty, Full, Queue

pytestmark = pytest.mark.usefixtures("node")


def test_items_come_out_in_their_order() -> None:
    q = Queue()
    items = [1, "two", [3], None, {"four": 4}]
    for item in items:
        q.put(item)
    assert len(q) == q.size() == q.qsize() == 5
    assert [q.get() for _ in items] == items
    assert q.empty()


def test_a_queue_without_room_or_items_says_so() -> None:
    q = Queue(maxsize=1)
    assert q.empty() and not q.full()
    with pytest.raises(Empty):
        q.get_nowait()
    with pytest.raises(Empty):
        q.get(block=False)
    with pytest.raises(Empty):
        q.get(timeout=0.01)
    q.put(1)
    assert q.full() and not q.empty()
    with pytest.raises(Full):
        q.put_nowait(2)
    with pytest.raises(Full):
        q.put(2, block=False)
    with pytest.raises(Full):
        q.put(2, timeout=0.01)
    assert q.get() == 1


def test_the_errors_are_those_of_the_standard_queue() -> None:
    q = Queue(maxsize=1)
    with pytest.raises(queue.Empty):
        q.get_nowait()
    q.put(1)
    with pytest.raises(queue.Full):
        q.put_nowait(2)


def test_negative_timeouts_are_refused() -> None:
    q = Queue()
    with pytest.raises(ValueError):
        q.put(1, timeout=-1)
    with pytest.raises(ValueError):
        q.get(timeout=-1)


def test_a_get_waits_for_a_put_and_a_put_for_room() -> None:
    q = Queue(maxsize=1)
    got = []
    consumer = threading.Thread(target=lambda: got.extend(q.get(timeout=20) for _ in range(3)))
    consumer.start()
    for i in range(3):
        q.put(i, timeout=20)
    consumer.join(20)
    assert got == [0, 1, 2]


def test_tasks_and_actors_share_it() -> None:
    @mobula.remote
    def produce(q: Queue, start: int) -> None:
        for i in range(start, start + 5):
            q.put(i)

    @mobula.remote
    class Consumer:
        def __init__(self, q: Queue) -> None:
            self.q = q

        def take(self, count: int) -> list[int]:
            return [self.q.get(timeout=20) for _ in range(count)]

    q = Queue(maxsize=3)
    consumer = Consumer.remote(q)
    taken = consumer.take.remote(10)
    mobula.get([produce.remote(q, 0), produce.remote(q, 100)])
    assert sorted(mobula.get(taken)) == [*range(5), *range(100, 105)]


def test_batches_are_all_or_nothing() -> None:
    q = Queue(maxsize=4)
    q.put_nowait_batch([1, 2, 3])
    with pytest.raises(Full):
        q.put_nowait_batch([4, 5])
    assert q.size() == 3
    with pytest.raises(Empty):
        q.get_nowait_batch(4)
    assert q.get_nowait_batch(0) == []
    assert q.get_nowait_batch(2) == [1, 2]
    q.put_nowait_batch(iter([4, 5]))
    assert q.get_nowait_batch(3) == [3, 4, 5]
    with pytest.raises(TypeError):
        q.put_nowait_batch(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        q.get_nowait_batch("2")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        q.get_nowait_batch(-1)


def test_coroutines_have_their_own_forms() -> None:
    q = Queue(maxsize=2)

    async def both() -> list[int]:
        async def produce() -> None:
            for i in range(5):
                await q.put_async(i)

        async def consume() -> list[int]:
            return [await q.get_async() for _ in range(5)]

        _, taken = await asyncio.gather(produce(), consume())
        with pytest.raises(Empty):
            await q.get_async(block=False)
        with pytest.raises(Empty):
            await q.get_async(timeout=0.01)
        await q.put_async(1)
        await q.put_async(2, block=False)
        with pytest.raises(Full):
            await q.put_async(3, block=False)
        with pytest.raises(Full):
            await q.put_async(3, timeout=0.01)
        return taken

    assert asyncio.run(both()) == [0, 1, 2, 3, 4]


def test_options_go_to_the_actor() -> None:
    q = Queue(actor_options={"name": "the queue", "num_cpus": 0})
    q.put(1)
    other = mobula.get_actor("the queue")
    assert mobula.get(other.qsize.remote()) == 1


def test_a_ref_put_inside_a_list_stays_a_ref() -> None:
    q = Queue()
    q.put([mobula.put("value")])
    (ref,) = q.get()
    assert mobula.get(ref) == "value"


def test_shutdown_ends_the_queue() -> None:
    q = Queue()
    q.put(1)
    actor = q.actor
    q.shutdown()
    assert q.actor is None
    with pytest.raises(mobula.exceptions.RayActorError):
        mobula.get(actor.qsize.remote(), timeout=20)
    q.shutdown()


def test_forced_shutdown_does_not_wait() -> None:
    q = Queue()
    waiting = q.actor.get.remote(60)
    start = time.monotonic()
    q.shutdown(force=True)
    with pytest.raises(mobula.exceptions.RayActorError):
        mobula.get(waiting, timeout=20)
    assert time.monotonic() - start < 10


def test_many_waiting_gets_do_not_block_a_put() -> None:
    q = Queue()
    gets = [q.actor.get.remote(30) for _ in range(50)]
    for i in range(50):
        q.put(i)
    assert sorted(mobula.get(gets)) == list(range(50))
