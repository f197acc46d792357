"""Wrong programs: refs and what is done with them. What mypy and pyright say of a line stands behind it."""

from __future__ import annotations

import mobula
from mobula import ObjectRef

number, text = mobula.put(1), mobula.put("x")


def values() -> None:
    number + 1  # wrong: operator reportOperatorIssue
    wrong: str = mobula.get(number)  # wrong: assignment reportAssignmentType
    several: list[str] = mobula.get([number])  # wrong: list-item reportAssignmentType
    print(wrong, several)
    mobula.get(1)  # wrong: call-overload reportCallIssue
    mobula.get([1])  # wrong: arg-type reportCallIssue
    mobula.get((number, number))  # wrong: call-overload reportCallIssue
    mobula.get(number, 5)  # wrong: call-overload reportCallIssue
    other: ObjectRef[str] = mobula.put(1)  # wrong: arg-type reportAssignmentType
    print(other)


def waiting() -> None:
    mobula.wait(number)  # wrong: call-overload reportCallIssue
    mobula.wait([1])  # wrong: type-var reportCallIssue
    mobula.wait([number], num_returns="1")  # wrong: call-overload reportArgumentType
    ready: list[ObjectRef[int]] = mobula.wait([number])  # wrong: assignment reportAssignmentType
    done, rest = mobula.wait([number])
    word: str = mobula.get(done[0])  # wrong: assignment reportAssignmentType
    print(ready, rest, word)


def cancelling() -> None:
    mobula.cancel(1)  # wrong: arg-type reportArgumentType
    mobula.cancel([number])  # wrong: arg-type reportArgumentType
    mobula.cancel(number, True)  # wrong: call-arg reportCallIssue
