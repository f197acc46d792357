"""Wrong programs: actors. What mypy and pyright say of a line stands behind it."""

from __future__ import annotations

import mobula


class Counter(mobula.Actor):
    def __init__(self, start: int) -> None:
        self.value = start

    @mobula.method
    def add(self, n: int) -> int:
        self.twice("x")  # wrong: arg-type reportArgumentType
        self.twice.remote(1)  # wrong: attr-defined reportFunctionMemberAccess
        return n

    @mobula.method(concurrency_group="io")
    def twice(self, n: int) -> int:
        return 2 * n

    @mobula.method
    async def slow(self, seconds: float) -> str:
        return str(seconds)

    @mobula.method(num_return=2)  # wrong: call-overload reportCallIssue
    def misspelt(self) -> int:
        return 1

    def plain(self) -> int:
        return self.value


class Plain:
    def get(self) -> int:
        return 1


Counters = mobula.remote(Counter)
counter = Counters.remote(1)
handle = mobula.remote(Plain).remote()


def constructors() -> None:
    Counters.remote("1")  # wrong: call-overload reportCallIssue
    Counters.remote()  # wrong: call-overload reportCallIssue
    Counters.remote(mobula.put("1"))  # wrong: arg-type reportCallIssue
    Counters(1)  # wrong: operator reportCallIssue
    Counters.options(num_cpus=1).remote("1")  # wrong: call-overload reportCallIssue
    Counters.options(max_retries=1)  # wrong: call-arg reportCallIssue
    Counters.options(lifetime="forever")  # wrong: arg-type reportArgumentType
    mobula.remote(Plain)()  # wrong: operator reportCallIssue


def methods() -> None:
    counter.add.remote("1")  # wrong: call-overload reportCallIssue
    counter.add.remote()  # wrong: call-overload reportCallIssue
    counter.add.remote(1, 2)  # wrong: call-overload reportCallIssue
    counter.add.remote(k=1)  # wrong: call-overload reportCallIssue
    counter.add.remote(mobula.put("1"))  # wrong: arg-type reportCallIssue
    counter.ad.remote(1)  # wrong: attr-defined reportAttributeAccessIssue
    counter.add(1)  # wrong: operator reportCallIssue
    counter.plain.remote()  # wrong: attr-defined reportFunctionMemberAccess
    print(counter.value)  # wrong: misc reportAttributeAccessIssue
    counter.add.options(num_cpus=1)  # wrong: call-overload reportCallIssue
    handle.get()  # wrong: operator reportCallIssue


def results() -> None:
    done: int = mobula.get(counter.slow.remote(1))  # wrong: assignment reportAssignmentType
    word: str = mobula.get(counter.add.remote(1))  # wrong: assignment reportAssignmentType
    print(done, word)
    mobula.kill(Plain)  # wrong: arg-type reportArgumentType
    mobula.kill(counter.add.remote(1))  # wrong: arg-type reportArgumentType


async def awaited() -> int:
    return await counter.slow.remote(1)  # wrong: return-value reportReturnType
