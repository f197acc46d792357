"""Streams whose producers are quicker than their readers: items have a part of the job's budgets, and what waits for them never waits for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

np = pytest.importorskip("numpy")

import mobula  # noqa: E402
from mobula.util import state  # noqa: E402

_STORE = 128 << 20
_LARGE = 4 << 20
_MOST = _STORE // 4 + (8 << 20) + 2 * _LARGE
"""A quarter of the store, the credit that workers have beforehand, and what is under way."""


@pytest.fixture(scope="module", autouse=True)
def small_node(binary: str) -> Iterator[None]:
    mobula.init(num_cpus=4, object_store_memory=_STORE, namespace="streams")
    yield
    mobula.shutdown()


def generate(count: int, size: int) -> Iterator[Any]:
    for i in range(count):
        yield np.full(size // 8, i, dtype=np.float64)


class Streamer:
    def items(self, count: int, size: int) -> Iterator[Any]:
        yield from generate(count, size)

    def ping(self) -> str:
        return "pong"


class AsyncStreamer:
    async def items(self, count: int, size: int) -> AsyncIterator[Any]:
        for item in generate(count, size):
            yield item

    async def ping(self) -> str:
        return "pong"


def start(kind: str, count: int, size: int) -> Any:
    """Starts a stream; returns it and what has to stay alive for it."""
    if kind == "task":
        return mobula.remote(num_cpus=0)(generate).options(num_returns="streaming").remote(count, size), None
    if kind == "threads":
        actor = mobula.remote(num_cpus=0, max_concurrency=4)(Streamer).remote()
    elif kind == "async":
        actor = mobula.remote(num_cpus=0)(AsyncStreamer).remote()
    else:
        actor = mobula.remote(num_cpus=0)(Streamer).remote()
    return actor.items.options(num_returns="streaming").remote(count, size), actor


KINDS = pytest.mark.parametrize("kind", ["task", "actor", "threads", "async"])


def items_bytes() -> int:
    return sum(o.object_size or 0 for o in state.list_objects(limit=10_000))


def settled() -> int:
    """Returns what the node's objects occupy when that has grown, and then not for a while."""
    most, since = 0, time.monotonic()
    while time.monotonic() - since < (1 if most > _LARGE else 20):
        now = items_bytes()
        if now > most:
            most, since = now, time.monotonic()
        time.sleep(0.05)
    return most


@KINDS
def test_a_producer_waits_for_its_slow_reader(kind: str) -> None:
    count = 40
    stream, actor = start(kind, count, _LARGE)
    ahead = settled()
    assert _LARGE < ahead <= _MOST, "items that nobody has read leave room for others"
    if kind in ("threads", "async"):
        assert mobula.get(actor.ping.remote(), timeout=20) == "pong"
    assert mobula.get(mobula.put(np.ones(8 << 20))).size == 8 << 20
    assert [int(mobula.get(ref)[0]) for ref in stream] == list(range(count))


@KINDS
def test_a_reader_that_keeps_all_items_gets_all(kind: str) -> None:
    count = 25  # of 4 MiB: three times as much as items may have
    stream, _actor = start(kind, count, _LARGE)
    refs = list(stream)
    assert [int(mobula.get(ref)[0]) for ref in refs] == list(range(count))


@KINDS
def test_a_stream_that_waits_can_be_cancelled(kind: str) -> None:
    stream, _actor = start(kind, 1000, _LARGE)
    first = next(stream)
    settled()
    mobula.cancel(first)
    del first
    with pytest.raises((mobula.exceptions.TaskCancelledError, mobula.exceptions.RayTaskError)):
        while True:
            mobula.get(next(stream), timeout=30)


def test_two_streams_whose_readers_take_turns_do_not_wait_for_each_other() -> None:
    actor = mobula.remote(num_cpus=0)(AsyncStreamer).remote()
    first, second = (actor.items.options(num_returns="streaming").remote(20, _LARGE) for _ in range(2))
    settled()
    assert [int(mobula.get(ref)[0]) for ref in second] == list(range(20))
    assert [int(mobula.get(ref)[0]) for ref in first] == list(range(20))


def test_an_async_reader_paces_a_producer() -> None:
    stream, _ = start("task", 30, _LARGE)

    async def read() -> list[int]:
        got = []
        async for ref in stream:
            got.append(int((await ref)[0]))
        return got

    assert asyncio.run(asyncio.wait_for(read(), 60)) == list(range(30))


def test_who_waits_for_the_end_need_not_read() -> None:
    stream, _ = start("task", 25, _LARGE)
    mobula.get(stream.completed(), timeout=30)
    assert len(list(stream)) == 25
