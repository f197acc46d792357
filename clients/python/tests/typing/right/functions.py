"""A right program: remote functions. It is checked as a strict one, and run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

import mobula
from mobula import DynamicObjectRefGenerator, ObjectRef, ObjectRefGenerator, RemoteFunction


@mobula.remote
def scale(x: int, y: int = 0, *, by: float = 1.0) -> float:
    return (x + y) * by


@mobula.remote(num_cpus=1)
def name(x: int) -> str:
    return str(x)


@mobula.remote(max_retries=0, num_cpus=0.5, retry_exceptions=[ValueError])
def once(x: int | str, *more: int) -> str:
    return str(x) + str(sum(more))


@mobula.remote(num_returns=2)
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


@mobula.remote(num_returns=0)
def nothing(x: int) -> None:
    assert x == 1


@mobula.remote(num_returns="dynamic")
def parts(n: int) -> Iterator[int]:
    yield from range(n)


@mobula.remote
def numbers(n: int) -> Iterator[int]:
    yield from range(n)


@mobula.remote
async def ticks(n: int) -> AsyncIterator[int]:
    for i in range(n):
        yield i


@mobula.remote(num_returns="streaming", num_cpus=1)
def letters(text: str) -> Iterator[str]:
    yield from text


@mobula.remote
def total(values: list[float], weight: float) -> float:
    return sum(values) * weight


def apply(f: RemoteFunction[[int], str], x: int) -> ObjectRef[str]:
    return f.remote(x)


def calls() -> None:
    assert_type(scale.remote(1, 2), ObjectRef[float])
    assert_type(scale.remote(1, y=2, by=2), ObjectRef[float])
    assert_type(mobula.get(scale.remote(1)), float)
    assert_type(name.remote(1), ObjectRef[str])
    assert_type(once.remote(1, 2, 3), ObjectRef[str])
    assert mobula.get(apply(name, 5)) == "5"


def refs_as_arguments() -> None:
    one = mobula.put(1)
    assert_type(one, ObjectRef[int])
    assert mobula.get(scale.remote(one)) == 1
    assert mobula.get(scale.remote(one, 2)) == 3
    assert mobula.get(scale.remote(1, one)) == 2
    assert mobula.get(scale.remote(one, one)) == 2
    assert mobula.get(once.remote(one, one, 2)) == "13"
    assert mobula.get(total.remote(mobula.put([1.0, 2.0]), scale.remote(3))) == 9
    loose: RemoteFunction[..., float] = scale  # by keyword a checker is not told of refs
    assert mobula.get(loose.remote(one, y=one)) == 2


def options() -> None:
    assert_type(scale.options(num_cpus=1, max_retries=3, name="scale").remote(1), ObjectRef[float])
    refs = pair.options(num_cpus=1).remote(1)
    assert_type(refs, list[ObjectRef[Any]])


def several_results() -> None:
    number, text = pair.remote(1)
    assert mobula.get([number, text]) == [1, "1"]
    assert_type(name.options(num_returns=3).remote(1), list[ObjectRef[Any]])
    assert_type(nothing.remote(1), None)
    generator = parts.remote(3)
    assert_type(generator, ObjectRef[DynamicObjectRefGenerator])
    assert [mobula.get(ref) for ref in mobula.get(generator)] == [0, 1, 2]


def streams() -> None:
    stream = numbers.remote(3)
    assert_type(stream, ObjectRefGenerator[int])
    for ref in stream:
        assert_type(mobula.get(ref), int)
    assert_type(ticks.remote(2), ObjectRefGenerator[int])
    assert_type(letters.remote(mobula.put("abc")), ObjectRefGenerator[str])
    assert [mobula.get(ref) for ref in letters.options(num_cpus=1).remote("ab")] == ["a", "b"]


async def asynchronous() -> None:
    assert_type(await scale.remote(1), float)
    assert_type(await asyncio.gather(scale.remote(1), name.remote(2)), tuple[float, str])
    async for ref in numbers.remote(3):
        assert_type(await ref, int)


if __name__ == "__main__":
    calls()
    refs_as_arguments()
    options()
    several_results()
    streams()
    asyncio.run(asynchronous())
    print("done")
