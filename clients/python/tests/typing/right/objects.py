"""A right program: refs and what is done with them. It is checked as a strict one, and run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import assert_type

import mobula
from mobula import ObjectRef, ObjectRefGenerator


@mobula.remote
def inner() -> ObjectRef[int]:
    return mobula.put(1)


@mobula.remote
def items() -> Iterator[str]:
    yield "item"


def values() -> None:
    number, text = mobula.put(1), mobula.put("x")
    assert_type(number, ObjectRef[int])
    assert_type(mobula.get(number), int)
    assert_type(mobula.get(number, timeout=5), int)
    assert_type(mobula.get([number, number]), list[int])
    assert_type(mobula.get([mobula.put(i) for i in range(3)]), list[int])
    mixed: list[ObjectRef[int] | ObjectRef[str]] = [number, text]
    assert mobula.get(mixed) == [1, "x"]
    assert mobula.get([number, text]) == [1, "x"]
    assert_type(number.future(), Future[int])


def waiting() -> None:
    refs = [mobula.put(i) for i in range(3)]
    ready, rest = mobula.wait(refs, num_returns=2, timeout=5)
    assert_type(ready, list[ObjectRef[int]])
    assert_type(rest, list[ObjectRef[int]])
    while rest:
        done, rest = mobula.wait(rest)
        assert_type(mobula.get(done[0]), int)
    assert_type(mobula.get(mobula.get(inner.remote())), int)


def cancelling() -> None:
    ref = inner.remote()
    mobula.cancel(ref)
    streams = [items.remote(), items.remote()]
    mobula.cancel(streams[0], recursive=False)
    ready, _ = mobula.wait(streams, timeout=5)
    assert_type(ready, list[ObjectRefGenerator[str]])
    mobula.wait([ref, items.remote()], timeout=5)


if __name__ == "__main__":
    values()
    waiting()
    cancelling()
    print("done")
