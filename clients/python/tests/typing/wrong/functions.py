"""Wrong programs: calls of remote functions. What mypy and pyright say of a line stands behind it."""

from __future__ import annotations

from collections.abc import Iterator

import mobula


@mobula.remote
def scale(x: int, y: int = 0, *, by: float = 1.0) -> float:
    return (x + y) * by


@mobula.remote(num_returns=2)
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


@mobula.remote
def numbers(n: int) -> Iterator[int]:
    yield from range(n)


@mobula.remote(num_cpus=1)
def upper(text: str) -> str:
    return text.upper()


@mobula.remote(max_restarts=1)  # wrong: type-var reportCallIssue
def of_an_actor(x: int) -> int:
    return x


@mobula.remote(num_returns="streaming")  # wrong: arg-type reportArgumentType
def no_stream(x: int) -> int:
    return x


def arguments() -> None:
    scale.remote("1")  # wrong: call-overload reportCallIssue
    scale.remote()  # wrong: call-overload reportCallIssue
    scale.remote(1, 2, 3)  # wrong: call-overload reportCallIssue
    scale.remote(1, z=2)  # wrong: call-overload reportCallIssue
    scale.remote(1, by="2")  # wrong: call-overload reportArgumentType
    upper.remote(1)  # wrong: call-overload reportCallIssue
    pair.remote("x")  # wrong: call-overload reportCallIssue
    numbers.remote("x")  # wrong: call-overload reportCallIssue
    scale.options(num_cpus=2).remote("1")  # wrong: call-overload reportCallIssue
    scale(1)  # wrong: operator reportCallIssue
    scale.remove(1)  # wrong: attr-defined reportAttributeAccessIssue


def refs() -> None:
    text = mobula.put("x")
    scale.remote(text)  # wrong: arg-type reportCallIssue
    scale.remote(1, text)  # wrong: arg-type reportCallIssue
    scale.remote(mobula.put(1), text)  # wrong: arg-type reportCallIssue
    upper.remote(scale.remote(1))  # wrong: arg-type reportCallIssue
    upper.remote([text])  # wrong: call-overload reportCallIssue
    upper.remote(numbers.remote(1))  # wrong: call-overload reportCallIssue


def options() -> None:
    scale.options(num_cpu=2)  # wrong: call-overload reportCallIssue
    scale.options(num_cpus="2")  # wrong: call-overload reportArgumentType
    scale.options(max_restarts=2)  # wrong: call-overload reportCallIssue
    scale.options(resources=["tpu"])  # wrong: call-overload reportArgumentType
    numbers.options(lifetime="detached")  # wrong: call-overload reportCallIssue
    mobula.remote(num_cpu=1)  # wrong: call-overload reportCallIssue
    mobula.remote(5)  # wrong: call-overload reportCallIssue


def results() -> None:
    scale.remote(1) + 1  # wrong: operator reportOperatorIssue
    length: str = mobula.get(scale.remote(1))  # wrong: assignment reportAssignmentType
    for item in numbers.remote(3):
        word: str = mobula.get(item)  # wrong: assignment reportAssignmentType
        print(length, word)
    for item in pair.remote(1):
        item.upper()  # wrong: attr-defined reportAttributeAccessIssue


async def awaited() -> str:
    return await scale.remote(1)  # wrong: return-value reportReturnType
