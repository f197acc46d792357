"""ErrorValue messages to exceptions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mobula import _interactive
from mobula import exceptions as x
from mobula._errors.pickling import RELATIONS, class_name, open_exception
from mobula._gen import value_pb2 as pb
from mobula._msgpack import Buffer
from mobula._task_error import TITLES, header, prefix


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
    if lines.startswith(TITLES):
        parts.append(lines.rstrip())
    elif lines and (v if v.stack else v.cause).kind != pb.ERROR_KIND_TASK_FAILED:
        parts.append("Its last lines of output were:\n" + "\n".join(f"    {s}" for s in lines.rstrip().split("\n")))
    if v.hint:
        parts.append(f"Hint: {v.hint}.")
    if v.call_site:
        parts.append(f"It was submitted at {v.call_site}.")
    return "\n".join(parts)


def _plain(cls: type[x.RayError], v: pb.ErrorValue, begin: str = "") -> Any:
    """Return an error of the runtime: its text is what the runtime says, after the words that programs look for."""
    e = cls.__new__(cls)
    e.args = (v.message,)
    e.__dict__.update(_text=begin + text_of(v), message=v.message, error_message=v.message, client_exc=v.message, traceback_str=None)
    return _known(e, v)


def _task_error(v: pb.ErrorValue) -> x.RayTaskError:
    """Return the RayTaskError of a task that raised, or whose argument's task did."""
    title = v.function.rpartition(".")[2] or "task"
    if not v.chain and v.HasField("cause"):
        inner = from_error_value(v.cause)
        cause = inner.cause if isinstance(inner, x.RayTaskError) else inner
        text = f"{header(title)}\n  At least one of the input arguments for this task could not be computed:\n{class_name(type(inner))}: {inner}"
    else:
        cause = _cause(v)
        if _is_python(v) or v.stack.startswith(TITLES):
            text = _interactive.with_lines(v.stack)
        else:
            text = f"{header(title, v.pid)}\n{v.message}\n{v.stack}".rstrip()
    return _known(x.RayTaskError(v.function, text, cause, prefix() + title, v.pid), v)  # type: ignore[no-any-return]


def _is_python(v: pb.ErrorValue) -> bool:
    return bool(v.chain) and v.chain[0].payload.format == pb.VALUE_FORMAT_PICKLE5


def _cause(v: pb.ErrorValue) -> BaseException:
    """Rebuild what the task raised, with its causes."""
    if not _is_python(v):
        if not v.stack.startswith(TITLES):
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
        elif meta[:1] == RELATIONS["cause"]:
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
    return _known(x.RayTaskError(v.function, v.stack, cause, prefix() + title, v.pid), v)  # type: ignore[no-any-return]


def _cancelled(v: pb.ErrorValue) -> x.RayError:
    e = x.TaskCancelledError(v.task_id.hex() or None, v.message)
    e._text = text_of(v)
    return _known(e, v)  # type: ignore[no-any-return]


_ACTOR = re.compile(r'actor (\S+) (?:"(.*)" )?\(([0-9a-f]{32})\) ?(died: )?')
_ACTOR_ID = re.compile(r"\(([0-9a-f]{32})\)|\bactor_id=([0-9a-f]{32})")


def _actor_died(v: pb.ErrorValue) -> x.RayError:
    reason = v.cause
    while reason.kind == pb.ERROR_KIND_ACTOR_DIED and reason.HasField("cause"):
        reason = reason.cause
    if reason.kind == pb.ERROR_KIND_TASK_FAILED:
        e = x.ActorDiedError(_task_error(reason))
    else:
        if reason.kind == pb.ERROR_KIND_UNSCHEDULABLE:
            return _plain(x.ActorUnschedulableError, v, "The actor is not schedulable: ")  # type: ignore[no-any-return]
        if reason.kind == pb.ERROR_KIND_RUNTIME_ENV:
            return _plain(x.RuntimeEnvSetupError, v)  # type: ignore[no-any-return]
        if reason.kind == pb.ERROR_KIND_OUT_OF_MEMORY:
            return _plain(x.OutOfMemoryError, v)  # type: ignore[no-any-return]
        if reason.kind == pb.ERROR_KIND_PLACEMENT_GROUP_REMOVED:
            return _plain(x.ActorPlacementGroupRemoved, v)  # type: ignore[no-any-return]
        e = x.ActorDiedError()
        e.error_msg = _obituary(v)
    e.actor_id = _actor_id(v.message) or _actor_id(reason.stack)
    return _known(e, v)  # type: ignore[no-any-return]


def _obituary(v: pb.ErrorValue) -> str:
    """Return who died, in the words that programs look for, and why."""
    lines = ["The actor died unexpectedly before finishing this task."]
    found = _ACTOR.match(v.message)
    if found is None:
        return f"{lines[0]}\n{text_of(v)}"
    class_name, name, actor_id, died = found.groups()
    lines += [f"\tclass_name: {class_name.rpartition('.')[2]}", f"\tactor_id: {actor_id}"]
    if v.pid:
        lines.append(f"\tpid: {v.pid}")
    if name:
        lines.append(f"\tname: {name}")
    rest = text_of(v)[found.end() :]
    if died:
        rest = f"its worker process has died: {rest}"
    elif rest.startswith("was killed"):
        rest = rest.replace("was killed", "it was killed by `ray.kill`", 1)
    return "\n".join([*lines, f"The actor is dead because {rest if died or rest.startswith('it ') else 'it ' + rest}"])


def _actor_id(text: str) -> str | None:
    """Return the id of the actor that a text speaks of, if it does."""
    found = _ACTOR_ID.search(text)
    return (found.group(1) or found.group(2)) if found else None


def _actor_unavailable(v: pb.ErrorValue) -> x.RayError:
    actor_id = _actor_id(v.message)
    e = x.ActorUnavailableError(v.message, actor_id)
    e._text = f"The actor {actor_id or ''} is unavailable: {text_of(v)}"
    return _known(e, v)  # type: ignore[no-any-return]


_OBJECT_ID = re.compile(r"\b[0-9a-f]{40}\b")


def _object_lost(v: pb.ErrorValue) -> x.RayError:
    found = _OBJECT_ID.search(v.message)
    e = x.ObjectLostError(found.group(0) if found else "", None, v.call_site)
    e._text = text_of(v)
    return _known(e, v)  # type: ignore[no-any-return]


def _maker(cls: type[x.RayError], begin: str = "") -> Callable[[pb.ErrorValue], x.RayError]:
    return lambda v: _plain(cls, v, begin)


_MAKERS: dict[int, Callable[[pb.ErrorValue], x.RayError]] = {
    pb.ERROR_KIND_WORKER_CRASHED: _maker(x.WorkerCrashedError, "The worker died unexpectedly while executing this task: "),
    pb.ERROR_KIND_ACTOR_DIED: _actor_died,
    pb.ERROR_KIND_ACTOR_UNAVAILABLE: _actor_unavailable,
    pb.ERROR_KIND_CANCELLED: _cancelled,
    pb.ERROR_KIND_DEADLINE_EXCEEDED: _maker(x.GetTimeoutError),
    pb.ERROR_KIND_UNSCHEDULABLE: _maker(x.TaskUnschedulableError, "The task is not schedulable: "),
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
