"""Errors to ErrorValue messages and back.

A failed task sends its exception as a chain of links, outermost first: each has the exception's text and type for every
language, and its pickle for Python. The stack is the traceback as Python prints it, without Mobula's own frames. The
reader rebuilds the exception, with its causes, and raises a RayTaskError that is also an instance of its class.

An exception that does not survive pickling is sent as well as it can be: without calling its ``__init__``, then without
the attributes that cannot be pickled, then as text.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from mobula import _values
from mobula import exceptions as x
from mobula._gen import value_pb2 as pb
from mobula._msgpack import Buffer

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_HIDDEN = (_PACKAGE, f"{os.sep}cloudpickle{os.sep}cloudpickle.py")
"""Where frames lie that say nothing to a user."""

_TEXT_MAX = 64 << 10
"""Longest text of an error in bytes."""
_CHAIN_MAX = 32
_PAYLOAD_MAX = 256 << 10
"""Most bytes of pickles in one error: an error must fit a frame."""


# Writing.


def pack_exception(
    exc: BaseException,
    *,
    function: str = "",
    task_id: bytes = b"",
    attempt: int = 0,
    pid: int = 0,
    node: str = "",
    call_site: str = "",
    title: str = "",
    actor_id: str = "",
    actor_repr: str = "",
    cancelled: bool = False,
) -> bytes:
    """Return the ErrorValue of what a task raised.

    `function` is its whole name, `title` what people read above the traceback ("f", "Counter.add"), beside the id and the
    repr of its actor. A KeyboardInterrupt means that the task was cancelled, a SystemExit that it ended its process. Whatever
    the exception is, this does not raise.
    """
    v = pb.ErrorValue(
        kind=_kind_of(exc, cancelled),  # type: ignore[arg-type]
        message=_clip(_one_line(exc)),
        execution=pb.EXECUTION_FAILED,
        function=function[:1024],
        task_id=task_id,
        attempt=attempt,
        pid=pid or os.getpid(),
        node=node,
        call_site=call_site,
    )
    if isinstance(exc, SystemExit):
        v.message = f"the task ended its process with sys.exit({'' if exc.code is None else repr(exc.code)})"
    if isinstance(exc, x.RayError) and exc._encoded:
        v.cause.ParseFromString(exc._encoded)
        if v.cause.ByteSize() > _PAYLOAD_MAX:
            v.ClearField("cause")
    notes: list[str] = []
    _write_chain(v, exc, notes)
    header = x.header(title or function.rpartition(".")[2] or "task", v.pid, actor_id, _clip_text(actor_repr, 200))
    v.stack = _clip(_headed(header, format_exception(exc)) + "".join(f"(mobula: {n})\n" for n in notes))
    return v.SerializeToString()


def _headed(header: str, text: str) -> str:
    """Put what ran, and where, in the place of the line with which Python begins a traceback."""
    lines = text.split("\n")
    if _HEAD not in lines:
        return f"{header}\n{text}"
    return "\n".join([header if line == _HEAD else line for line in lines])


_HEAD = "Traceback (most recent call last):"


def _kind_of(exc: BaseException, cancelled: bool) -> int:
    if cancelled or (isinstance(exc, (KeyboardInterrupt, x.TaskCancelledError)) and not isinstance(exc, x.RayTaskError)):
        return pb.ERROR_KIND_CANCELLED
    if isinstance(exc, SystemExit):
        return pb.ERROR_KIND_WORKER_CRASHED
    return pb.ERROR_KIND_TASK_FAILED


def format_exception(exc: BaseException) -> str:
    """Return an exception with its traceback, causes, notes and group members, without frames of Mobula itself."""
    try:
        te = traceback.TracebackException.from_exception(exc)
        _hide(te, set())
        return "".join(te.format())
    except Exception as e:  # the user's __str__, or frames whose source cannot be read
        return f"{type(exc).__qualname__} (its traceback could not be formatted: {type(e).__name__})\n"


def _hide(te: traceback.TracebackException, seen: set[int]) -> None:
    """Take Mobula's frames out of an exception and of all that it hangs together with."""
    todo = [te]
    while todo:
        te = todo.pop()
        if id(te) in seen:
            continue
        seen.add(id(te))
        te.stack[:] = [f for f in te.stack if not _is_hidden(f.filename)]
        todo.extend(t for t in (te.__cause__, te.__context__, *(te.exceptions or ())) if t is not None)


def _is_hidden(filename: str) -> bool:
    return filename.startswith(_HIDDEN[0]) or filename.endswith(_HIDDEN[1])


def _one_line(exc: BaseException) -> str:
    """Return the type and text of an exception."""
    try:
        text = str(exc.cause if isinstance(exc, x.RayTaskError) else exc)
    except Exception as e:
        text = f"<its text could not be made: {type(e).__name__}>"
    cls = type(exc.cause if isinstance(exc, x.RayTaskError) else exc)
    return f"{cls.__qualname__}: {text}" if text else cls.__qualname__


def _clip(text: str) -> str:
    """Shorten a text to what an error may carry, by its middle; make it Unicode."""
    b = text.encode(errors="backslashreplace")
    if len(b) > _TEXT_MAX:
        half = _TEXT_MAX // 2 - 40
        b = b[:half] + f"\n… {len(b) - 2 * half} bytes are left out …\n".encode() + b[-half:]
    return b.decode(errors="replace" if len(b) < 64 else "ignore")


def _clip_text(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _write_chain(v: pb.ErrorValue, exc: BaseException, notes: list[str]) -> None:
    """Write an exception and its causes as links."""
    room = _PAYLOAD_MAX
    for relation, e in _causes(exc):
        if isinstance(e, x.RayTaskError):
            e = e.cause
        stream, left_behind = pickle_exception(e)
        link = v.chain.add(message=_clip_text(_clip(_one_line(e)), 8192), type_name=class_name(type(e)))
        if relation == "":
            notes.extend(left_behind)
        if stream is None:
            continue
        if len(stream) > room:
            if relation == "":
                notes.append(f"the exception itself was not sent: its pickle has {len(stream)} bytes, the most is {_PAYLOAD_MAX}")
            continue
        room -= len(stream)
        link.payload.format = pb.VALUE_FORMAT_PICKLE5
        link.payload.meta = _RELATIONS[relation] + stream


_RELATIONS = {"": b"\x00", "cause": b"\x01", "context": b"\x02"}
"""How the payload of a link begins: whether it is the __cause__ or the __context__ of the link before."""


def _causes(exc: BaseException) -> Iterator[tuple[str, BaseException]]:
    """Yield an exception and what led to it, as Python's traceback shows it, outermost first."""
    seen: set[int] = set()
    relation = ""
    e: BaseException | None = exc
    while e is not None and id(e) not in seen and len(seen) < _CHAIN_MAX:
        seen.add(id(e))
        yield relation, e
        if e.__cause__ is not None:
            relation, e = "cause", e.__cause__
        elif not e.__suppress_context__:
            relation, e = "context", e.__context__
        else:
            e = None


def pickle_exception(exc: BaseException) -> tuple[bytes | None, list[str]]:
    """Return a pickle of an exception that is known to open here, or None; and what had to be left behind."""
    reason = ""
    for make in (_whole, _bare):
        try:
            stream, left_behind = make(exc)
        except Exception as e:
            reason = reason or f"{type(e).__name__}: {e}"
            continue
        return stream, left_behind
    return None, [f"the exception itself could not be sent: {reason}"]


def _whole(exc: BaseException) -> tuple[bytes, list[str]]:
    """Pickle an exception as its class has it; fail unless it comes back as it was."""
    stream = _values.dumps(exc)
    again = open_exception(stream)
    if type(again) is not type(exc):
        raise TypeError(f"it is unpickled as a {type(again).__name__}")
    own = type(exc).__reduce__ is not BaseException.__reduce__ and type(exc).__module__ != "builtins"
    if not own and (_text(again) != _text(exc) or vars(again).keys() != vars(exc).keys()):
        raise TypeError("it is unpickled with another text")
    return stream, []


def _text(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:
        return ""


def _bare(exc: BaseException) -> tuple[bytes, list[str]]:
    """Pickle an exception so that its __init__ is not called, without what cannot be pickled."""
    left_behind: list[str] = []
    if isinstance(exc, BaseExceptionGroup):
        args: tuple[Any, ...] = (exc.message, [_member(e, left_behind) for e in exc.exceptions])
    else:
        args = tuple(a if (e := _fails(a)) is None else _stand_in(a, e, left_behind) for a in exc.args)
    attributes = {}
    for name, value in (*x.native_attributes(exc), *vars(exc).items()):
        failure = _fails(value)
        if failure is None:
            attributes[name] = value
        else:
            left_behind.append(f"attribute {name!r} of the exception was left behind: {failure}")
    stream = _values.dumps((_make_bare, type(exc), args, attributes))
    made = open_exception(stream)
    if type(made) is not type(exc):
        raise TypeError("it cannot be made again")
    return stream, left_behind


def _stand_in(value: object, failure: BaseException, left_behind: list[str]) -> str:
    """Return the text that takes the place of an argument that cannot be pickled."""
    left_behind.append(f"an argument of the exception was replaced by its text: {failure}")
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__qualname__}>"


def _member(exc: BaseException, left_behind: list[str]) -> BaseException:
    """Return a member of an exception group, or its text as an error if it cannot be pickled."""
    if _fails(exc) is None:
        return exc
    left_behind.append(f"a {type(exc).__qualname__} in the exception group was replaced by its text")
    return x.RayError(_one_line(exc))


def _fails(value: object) -> BaseException | None:
    """Return why a value cannot be pickled or unpickled, or None."""
    try:
        open_exception(_values.dumps(value))
    except Exception as e:
        return e
    return None


def _make_bare(cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """Make an exception of a class without calling its __init__."""
    made: BaseException = x.native_base(cls).__new__(cls, *(args if issubclass(cls, BaseExceptionGroup) else ()))
    made.args = args
    for name, value in attributes.items():
        try:
            setattr(made, name, value)
        except Exception:
            made.__dict__[name] = value
    return made


def open_exception(stream: Buffer) -> Any:
    """Open what pickle_exception made."""
    import pickle

    made = pickle.loads(stream)
    if isinstance(made, tuple) and len(made) == 4 and made[0] is _make_bare:
        return _make_bare(*made[1:])
    return made


def class_name(cls: type) -> str:
    """Return the name of a class in Options.retry_exception_names and in Done.error_names."""
    return f"{cls.__module__}.{cls.__qualname__}"


def exception_names(exc: BaseException) -> list[str]:
    """Return the names of all classes of which an exception is an instance, but object."""
    if isinstance(exc, x.RayTaskError):
        names = [class_name(c) for c in type(exc.cause).__mro__[:-1]]
        return names + [n for c in (x.RayTaskError, x.RayError) if (n := class_name(c)) not in names]
    return [class_name(c) for c in type(exc).__mro__[:-1]]


# Reading.


def unpack_error(meta: Buffer) -> BaseException:
    """Return the exception that get raises for an encoded ErrorValue; a fresh one each time, since it gets a traceback."""
    from google.protobuf.message import DecodeError

    try:
        v = pb.ErrorValue.FromString(bytes(meta))
    except DecodeError as e:
        return x.RaySystemError(f"an error that cannot be read: {e}")
    return from_error_value(v)


def from_error_value(v: pb.ErrorValue) -> BaseException:
    """Return the exception for an ErrorValue."""
    kind = v.kind
    if kind == pb.ERROR_KIND_TASK_FAILED:
        return _task_error(v).as_instanceof_cause()
    if kind == pb.ERROR_KIND_CANCELLED and v.stack:
        return _interrupted(v).as_instanceof_cause()
    make = _MAKERS.get(kind)
    return _plain(x.RaySystemError, v) if make is None else make(v)


def error_of_kind(kind: int, message: str, **fields: Any) -> BaseException:
    """Return an error of a kind that arises here, as if the runtime had sent it."""
    return from_error_value(pb.ErrorValue(kind=kind, message=message, **fields))  # type: ignore[arg-type]


_EXECUTIONS = {
    pb.EXECUTION_NOT_EXECUTED: "not executed",
    pb.EXECUTION_MAY_HAVE_EXECUTED: "may have executed",
    pb.EXECUTION_FAILED: "executed and failed",
}


def _known(e: x.RayError, v: pb.ErrorValue) -> Any:
    """Add to an error what the runtime knows."""
    e._encoded = v.SerializeToString()
    e.hint = v.hint
    e.execution = _EXECUTIONS.get(v.execution, "")
    e.call_site = v.call_site
    return e


def text_of(v: pb.ErrorValue) -> str:
    """Return all that a person should read of an error of the runtime: message, cause's last lines, hint, call site."""
    parts = [v.message or "an error without a message"]
    lines = v.stack or v.cause.stack
    if lines.startswith(x.TITLE):
        parts.append(lines.rstrip())
    elif lines and (v if v.stack else v.cause).kind != pb.ERROR_KIND_TASK_FAILED:
        parts.append("Its last lines of output were:\n" + "\n".join(f"    {s}" for s in lines.rstrip().split("\n")))
    if v.hint:
        parts.append(f"Hint: {v.hint}.")
    if v.call_site:
        parts.append(f"It was submitted at {v.call_site}.")
    return "\n".join(parts)


def _plain(cls: type[x.RayError], v: pb.ErrorValue) -> Any:
    """Return an error of the runtime: its text is what the runtime says."""
    e = cls.__new__(cls)
    e.args = (v.message,)
    e.__dict__.update(_text=text_of(v), message=v.message, error_message=v.message, client_exc=v.message, traceback_str=None)
    return _known(e, v)


def _task_error(v: pb.ErrorValue) -> x.RayTaskError:
    """Return the RayTaskError of a task that raised, or whose argument's task did."""
    title = v.function.rpartition(".")[2] or "task"
    header = x.header(title, v.pid)
    if not v.chain and v.HasField("cause"):
        inner = from_error_value(v.cause)
        cause = inner.cause if isinstance(inner, x.RayTaskError) else inner
        text = f"{x.header(title)}\n  At least one of the input arguments for this task could not be computed:\n{class_name(type(inner))}: {inner}"
    else:
        cause = _cause(v)
        if _is_python(v) or v.stack.startswith(x.TITLE):
            text = v.stack
        else:
            text = f"{header}\n{v.message}\n{v.stack}".rstrip()
    return _known(x.RayTaskError(v.function, text, cause, x.TITLE + title, v.pid), v)  # type: ignore[no-any-return]


def _is_python(v: pb.ErrorValue) -> bool:
    return bool(v.chain) and v.chain[0].payload.format == pb.VALUE_FORMAT_PICKLE5


def _cause(v: pb.ErrorValue) -> BaseException:
    """Rebuild what the task raised, with its causes."""
    if not _is_python(v):
        if not v.stack.startswith(x.TITLE):
            e = x.CrossLanguageError(v.message)
            e.type_name = v.chain[0].type_name if v.chain else ""
            return e
        return x.UnserializableException(v.stack or v.message)
    outermost: BaseException | None = None
    inner: BaseException | None = None
    for link in v.chain:
        meta = link.payload.meta
        if not meta:
            break
        try:
            e2 = open_exception(meta[1:])
        except Exception as failed:
            if outermost is None:
                return _unreadable(v, failed)
            break
        if inner is None:
            outermost = e2
        elif meta[:1] == _RELATIONS["cause"]:
            inner.__cause__ = e2
        else:
            inner.__context__ = e2
        inner = e2
    if not isinstance(outermost, BaseException):
        return x.UnserializableException(v.stack or v.message)
    return outermost


def _unreadable(v: pb.ErrorValue, failed: Exception) -> BaseException:
    e = x.UnserializableException(v.stack or v.message)
    e.add_note(f"{v.chain[0].type_name} cannot be unpickled here: {type(failed).__name__}: {failed}")
    return e


def _interrupted(v: pb.ErrorValue) -> x.RayTaskError:
    """Return the error of a task that was cancelled while it ran, with the place where it was."""
    cause = x.TaskCancelledError(v.task_id.hex() or None, None)
    title = v.function.rpartition(".")[2] or "task"
    return _known(x.RayTaskError(v.function, v.stack, cause, x.TITLE + title, v.pid), v)  # type: ignore[no-any-return]


def _cancelled(v: pb.ErrorValue) -> x.RayError:
    e = x.TaskCancelledError(v.task_id.hex() or None, v.message)
    e._text = text_of(v)
    return _known(e, v)  # type: ignore[no-any-return]


_ACTOR_ID = re.compile(r"\(([0-9a-f]{32})\)")


def _actor_died(v: pb.ErrorValue) -> x.RayError:
    found = _ACTOR_ID.search(v.message)
    actor_id = found.group(1) if found else None
    reason = v.cause
    while reason.kind == pb.ERROR_KIND_ACTOR_DIED and reason.HasField("cause"):
        reason = reason.cause
    if reason.kind == pb.ERROR_KIND_TASK_FAILED:
        e = x.ActorDiedError(_task_error(reason))
    else:
        if reason.kind == pb.ERROR_KIND_UNSCHEDULABLE:
            return _plain(x.ActorUnschedulableError, v)  # type: ignore[no-any-return]
        if reason.kind == pb.ERROR_KIND_RUNTIME_ENV:
            return _plain(x.RuntimeEnvSetupError, v)  # type: ignore[no-any-return]
        if reason.kind == pb.ERROR_KIND_OUT_OF_MEMORY:
            return _plain(x.OutOfMemoryError, v)  # type: ignore[no-any-return]
        if reason.kind == pb.ERROR_KIND_PLACEMENT_GROUP_REMOVED:
            return _plain(x.ActorPlacementGroupRemoved, v)  # type: ignore[no-any-return]
        e = x.ActorDiedError()
        e.error_msg = f"The actor died unexpectedly before finishing this task: {text_of(v)}"
    e.actor_id = actor_id
    return _known(e, v)  # type: ignore[no-any-return]


def _actor_unavailable(v: pb.ErrorValue) -> x.RayError:
    found = _ACTOR_ID.search(v.message)
    e = x.ActorUnavailableError(v.message, found.group(1) if found else None)
    e._text = text_of(v)
    return _known(e, v)  # type: ignore[no-any-return]


_OBJECT_ID = re.compile(r"\b[0-9a-f]{40}\b")


def _object_lost(v: pb.ErrorValue) -> x.RayError:
    found = _OBJECT_ID.search(v.message)
    e = x.ObjectLostError(found.group(0) if found else "", None, v.call_site)
    e._text = text_of(v)
    return _known(e, v)  # type: ignore[no-any-return]


def _maker(cls: type[x.RayError]) -> Callable[[pb.ErrorValue], x.RayError]:
    return lambda v: _plain(cls, v)


_MAKERS: dict[int, Callable[[pb.ErrorValue], x.RayError]] = {
    pb.ERROR_KIND_WORKER_CRASHED: _maker(x.WorkerCrashedError),
    pb.ERROR_KIND_ACTOR_DIED: _actor_died,
    pb.ERROR_KIND_ACTOR_UNAVAILABLE: _actor_unavailable,
    pb.ERROR_KIND_CANCELLED: _cancelled,
    pb.ERROR_KIND_DEADLINE_EXCEEDED: _maker(x.GetTimeoutError),
    pb.ERROR_KIND_UNSCHEDULABLE: _maker(x.TaskUnschedulableError),
    pb.ERROR_KIND_QUEUE_FULL: _maker(x.QueueFullError),
    pb.ERROR_KIND_STORE_FULL: _maker(x.ObjectStoreFullError),
    pb.ERROR_KIND_OBJECT_LOST: _object_lost,
    pb.ERROR_KIND_NODE_LOST: _maker(x.NodeDiedError),
    pb.ERROR_KIND_INVALID_ARGUMENT: _maker(x.InvalidArgumentError),
    pb.ERROR_KIND_NOT_FOUND: _maker(x.NotFoundError),
    pb.ERROR_KIND_ALREADY_EXISTS: _maker(x.AlreadyExistsError),
    pb.ERROR_KIND_STALE_STUBS: _maker(x.StaleStubsError),
    pb.ERROR_KIND_BAD_VALUE: _maker(x.BadValueError),
    pb.ERROR_KIND_OUT_OF_DISK: _maker(x.OutOfDiskError),
    pb.ERROR_KIND_INTERNAL: _maker(x.RaySystemError),
    pb.ERROR_KIND_WORKER_START: _maker(x.WorkerStartError),
    pb.ERROR_KIND_PENDING_CALLS_LIMIT: _maker(x.PendingCallsLimitExceeded),
    pb.ERROR_KIND_PERMISSION_DENIED: _maker(x.AuthenticationError),
    pb.ERROR_KIND_UNAVAILABLE: _maker(x.UnavailableError),
    pb.ERROR_KIND_SESSION_CLOSED: _maker(x.SessionClosedError),
    pb.ERROR_KIND_OUT_OF_MEMORY: _maker(x.OutOfMemoryError),
    pb.ERROR_KIND_RUNTIME_ENV: _maker(x.RuntimeEnvSetupError),
    pb.ERROR_KIND_PLACEMENT_GROUP_REMOVED: _maker(x.TaskPlacementGroupRemoved),
}
