"""Why a value cannot be pickled: the search for the culprit, and its report for people."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, TextIO

_TRIED_MAX = 2000
"""Most parts that one search pickles."""


class FailureTuple:
    """A part that cannot be pickled: the part, the name by which its owner has it, the owner, and the way to it."""

    __slots__ = ("name", "obj", "parent", "path")

    def __init__(self, obj: object, name: str, parent: object, path: str = "") -> None:
        self.obj = obj
        self.name = name
        self.parent = parent
        self.path = path

    def __repr__(self) -> str:
        return f"FailTuple({self.name} [path={self.path}, obj={_short(self.obj)}, parent={_short(self.parent)}])"


def _short(obj: object, most: int = 200) -> str:
    """Return the repr of an object, which may fail or be endless."""
    try:
        text = repr(obj)
    except Exception as e:
        text = f"<{type(obj).__qualname__} whose repr raises {type(e).__name__}>"
    return text if len(text) <= most else f"{text[:most]}…"


def parts(obj: Any) -> Iterator[tuple[str, object]]:
    """Yield what a value is pickled of, each with the step that leads there."""
    if isinstance(obj, types.FunctionType):
        closure = inspect.getclosurevars(obj)
        for name, part in (*closure.nonlocals.items(), *closure.globals.items()):
            yield f".{name}", part
        for i, part in enumerate(obj.__defaults__ or ()):
            yield f".__defaults__[{i}]", part
        for name, part in (obj.__kwdefaults__ or {}).items():
            yield f".__kwdefaults__[{name!r}]", part
        for name, part in obj.__dict__.items():
            yield f".{name}", part
    elif isinstance(obj, types.MethodType):
        yield ".__self__", obj.__self__
        yield ".__func__", obj.__func__
    elif isinstance(obj, functools.partial):
        yield ".func", obj.func
        for i, part in enumerate(obj.args):
            yield f".args[{i}]", part
        for name, part in obj.keywords.items():
            yield f".keywords[{name!r}]", part
    elif isinstance(obj, dict):
        for key, part in obj.items():
            yield f"[key {key!r}]", key
            yield f"[{key!r}]", part
    elif isinstance(obj, (list, tuple)):
        for i, part in enumerate(obj):
            yield f"[{i}]", part
    elif isinstance(obj, (set, frozenset)):
        for part in obj:
            yield f"[{_short(part, 40)}]", part
    elif isinstance(obj, (staticmethod, classmethod)):
        yield "", obj.__func__
    elif isinstance(obj, property):
        yield from ((f".{name}", part) for name in ("fget", "fset", "fdel") if (part := getattr(obj, name)) is not None)
    elif isinstance(obj, type):
        for name, part in vars(obj).items():
            if name not in ("__dict__", "__weakref__", "__doc__", "__module__"):
                yield f".{name}", part
    else:
        yield from _state(obj)


def _state(obj: Any) -> Iterator[tuple[str, object]]:
    """Yield the parts of an instance: what __getstate__ gives, or its attributes."""
    try:
        state = obj.__getstate__()
    except Exception:
        state = getattr(obj, "__dict__", None)
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        state = {**(state[0] or {}), **state[1]}  # attributes and slots
    if isinstance(state, dict):
        for name, part in state.items():
            yield f".{name}", part
    elif state is not None and state is not obj:
        yield ".__getstate__()", state
    if isinstance(obj, BaseException):
        yield ".args", obj.args


def find(obj: object, failure: Callable[[object], BaseException | None]) -> tuple[str, object]:
    """Return the way to the innermost part that cannot be pickled, as ``[0].model.lock``, and that part.

    `failure` says why a part cannot be pickled, or None. What cannot be pickled only as a whole is found itself.
    """
    path, tried, seen = "", 0, {id(obj)}
    while True:
        for step, part in _safely(parts(obj)):
            tried += 1
            if tried > _TRIED_MAX:
                return path, obj
            if id(part) not in seen and failure(part) is not None:
                seen.add(id(part))
                path, obj = path + step, part
                break
        else:
            return path, obj


def _safely(steps: Iterator[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    """Yield from an iterator over an object of the user, which may raise anything."""
    while True:
        try:
            step = next(steps)
        except StopIteration:
            return
        except Exception:
            return
        yield step


class _Report:
    """The search as a tree of lines."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.depth = 0
        self.failures: list[FailureTuple] = []
        self.color = out.isatty()

    def line(self, text: str) -> None:
        self.out.write("    " * self.depth + text + "\n")

    def red(self, text: str) -> str:
        return f"\x1b[31m{text}\x1b[39m" if self.color else text

    def check(self, obj: object, name: str, parent: object, path: str, depth: int) -> bool:
        """Check one part and, if it cannot be pickled, what it is made of; return whether it can."""
        from mobula import _values

        error = _values.try_dumps(obj)
        if error is None:
            return True
        self.line(f"{self.red('!!! FAIL')} serialization: {error}")
        before = len(self.failures)
        if depth > 0:
            self.search(obj, name, path, depth)
        if len(self.failures) == before:
            if depth > 0:
                self.line(f"No part of {name!r} fails by itself: it cannot be pickled as a whole.")
            self.failures.append(FailureTuple(obj, name, parent, path))
        return False

    def search(self, obj: object, name: str, path: str, depth: int) -> None:
        """Check the parts of an object that cannot be pickled."""
        if isinstance(obj, types.FunctionType):
            self.line(f"Inspecting closure of {name!r}:")
            self.closure(obj)
        for step, part in _safely(parts(obj)):
            from mobula import _values

            if _values.try_dumps(part) is not None:
                self.depth += 1
                part_name = step.lstrip(".")
                self.line(f"Serializing {part_name!r} {_short(part)}...")
                self.check(part, part_name, obj, (path + step).lstrip("."), depth - 1)
                self.depth -= 1
                return

    def closure(self, obj: types.FunctionType) -> None:
        with_globals = inspect.getclosurevars(obj)
        for count, what in ((len(with_globals.nonlocals), "nonlocal"), (len(with_globals.globals), "global")):
            if count:
                self.line(f"Detected {count} {what} variables. Checking serializability...")


def inspect_serializability(
    base_obj: object, name: str | None = None, depth: int = 3, print_file: TextIO | None = None
) -> tuple[bool, set[FailureTuple]]:
    """Find out why an object cannot be pickled, and print the search as a tree.

    Returns whether it can be pickled, and the parts that cannot, `depth` levels deep at most. The report goes to
    `print_file`, or to standard output.
    """
    out = sys.stdout if print_file is None else print_file
    report = _Report(out)
    title = f"Checking Serializability of {_short(base_obj)}"
    rule = "=" * min(len(title), 80)
    for text in (rule, title, rule):
        report.line(text)
    fine = report.check(base_obj, name or getattr(base_obj, "__name__", None) or type(base_obj).__name__, None, "", depth)
    if not fine:
        report.line(rule)
        report.line("Variable: ")
        report.depth = 1
        for failure in report.failures:
            report.line("")
            report.line(repr(failure))
        report.depth = 0
        report.line("")
        report.line("was found to be non-serializable. There may be multiple other undetected variables that were non-serializable.")
        report.line("Make it inside the function or class that uses it, leave it out with __getstate__, or register a serializer.")
    report.line(rule)
    return fine, set(report.failures)
