"""A right program: actors, those whose methods a checker knows and others. It is checked as a strict one, and run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type, cast

import mobula
from mobula import ActorClass, ActorHandle, ObjectRef, ObjectRefGenerator


class Counter(mobula.Actor):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @mobula.method
    def add(self, n: int, times: int = 1) -> int:
        self.value += self.product(n, times)  # inside of the actor it is a method
        return self.value

    @mobula.method(max_task_retries=1)
    def product(self, n: int, times: int) -> int:
        return n * times

    @mobula.method(num_returns=2)
    def both(self) -> tuple[int, str]:
        return self.value, str(self.value)

    @mobula.method
    def items(self, n: int) -> Iterator[int]:
        yield from range(n)

    def plain(self) -> int:
        return self.value


class Meeting(mobula.Actor):
    @mobula.method
    async def wait(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return await self.end("met")

    @mobula.method
    async def end(self, word: str) -> str:
        return word

    @mobula.method
    async def ticks(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i


class Plain:
    def __init__(self, value: int) -> None:
        self.value = value

    def get(self) -> int:
        return self.value


Counters = mobula.remote(Counter)
Meetings = mobula.remote(max_concurrency=10, num_cpus=0)(Meeting)
Plains: ActorClass[Plain] = mobula.remote(Plain)


@mobula.remote
def use(counter: type[Counter], n: int) -> int:
    return mobula.get(counter.add.remote(n))


def calls() -> None:
    counter = Counters.remote(1)
    assert_type(counter, type[Counter])
    assert_type(counter.add.remote(1), ObjectRef[int])
    assert_type(mobula.get(counter.add.remote(1, times=2)), int)
    assert mobula.get(counter.add.remote(mobula.put(1))) == 5
    assert mobula.get(counter.add.options(name="one").remote(1)) == 6
    value, text = counter.both.remote()
    assert mobula.get([value, text]) == [6, "6"]
    assert_type(counter.items.remote(2), ObjectRefGenerator[int])
    assert mobula.get(use.remote(counter, 1)) == 7
    assert_type(mobula.get(counter.__ray_ready__.remote()), bool)
    mobula.kill(counter)


def options() -> None:
    counter = Counters.options(name="counter", lifetime="detached", max_restarts=1).remote(mobula.put(1))
    assert_type(counter, type[Counter])
    found = cast("type[Counter]", mobula.get_actor("counter"))
    assert_type(mobula.get(found.add.remote(1)), int)
    mobula.kill(found)


async def asynchronous() -> None:
    meeting = Meetings.remote()
    assert_type(meeting.wait.remote(0), ObjectRef[str])
    assert_type(await meeting.wait.remote(0), str)
    ticks = meeting.ticks.remote(2)
    assert_type(ticks, ObjectRefGenerator[int])
    assert [await ref async for ref in ticks] == [0, 1]


def other_classes() -> None:
    handle = Plains.remote(3)
    assert_type(handle, ActorHandle[Plain])
    ref: Any = handle.get.remote()  # of any class a checker lets all methods be
    assert mobula.get(ref) == 3
    mobula.kill(handle)


if __name__ == "__main__":
    calls()
    options()
    asyncio.run(asynchronous())
    other_classes()
    print("done")
