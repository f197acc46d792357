"""The worker's half of calls from other languages: finding what a name says, and results that every language reads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mobula import _values

if TYPE_CHECKING:
    from mobula._run import Entry


class RefusalError(Exception):
    """A call that fails by what was asked, not by what the user's code did: its text and its kind are those of the task's error."""

    def __init__(self, kind: int, execution: int, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.execution = execution

    def encode(self, entry: Entry, m: Any, pid: int) -> bytes:
        """Returns the error value of the task."""
        from mobula._gen import value_pb2

        return value_pb2.ErrorValue(
            kind=self.kind,  # type: ignore[arg-type]
            execution=self.execution,  # type: ignore[arg-type]
            message=str(self),
            function=entry.name,
            task_id=m.task_id,
            attempt=m.attempt,
            pid=pid,
        ).SerializeToString()


def pack(value: object, path: str) -> _values.Packed:
    """Packs a result, which ``path`` names, so that every language reads it.

    Raises RefusalError, with the path to the part that has no portable form.
    """
    from mobula._gen import value_pb2
    from mobula._msgpack import NotPortableError

    try:
        return _values.pack(value, portable=True)
    except NotPortableError as e:
        text = f"{path}{e.path}: {e.reason}"
        raise RefusalError(value_pb2.ERROR_KIND_BAD_VALUE, value_pb2.EXECUTION_FAILED, text) from None


def find(name: str) -> Callable[..., Any]:
    """Returns the function or class with that full name, without what ``remote`` has made of it.

    Raises RefusalError when there is none, and what the user's module raises when it is imported.
    """
    import importlib

    from mobula._actor import ActorClass
    from mobula._remote import RemoteFunction

    module, _, rest = name.rpartition(".")
    tail = [rest]
    while module:
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as e:
            if e.name is None or not f"{module}.".startswith(f"{e.name}."):
                raise  # the module is there, and what it imports is not
            module, _, rest = module.rpartition(".")
            tail.insert(0, rest)
            continue
        for part in tail:
            found = getattr(found, part, None)
        if isinstance(found, RemoteFunction):
            found = found._function
        elif isinstance(found, ActorClass):
            found = found._class
        if not callable(found):
            what = "has no" if found is None else "has, but as neither a function nor a class,"
            raise _not_found(f"module {module} {what} {'.'.join(tail)}")
        return found  # type: ignore[no-any-return]
    raise _not_found(f"no module of {name} can be imported by the Python worker; its path is {sys.path}")


def _not_found(message: str) -> RefusalError:
    from mobula._gen import value_pb2

    return RefusalError(value_pb2.ERROR_KIND_NOT_FOUND, value_pb2.EXECUTION_NOT_EXECUTED, message)
