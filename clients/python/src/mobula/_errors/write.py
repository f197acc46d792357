"""Exceptions to ErrorValue messages."""

from __future__ import annotations

import os
from collections.abc import Iterator

from mobula import exceptions as x
from mobula._errors.pickling import RELATIONS, class_name, pickle_exception
from mobula._errors.text import clip, clip_text, format_exception, one_line
from mobula._gen import value_pb2 as pb
from mobula._task_error import header

_CHAIN_MAX = 32
_PAYLOAD_MAX = 256 << 10
"""Most bytes of pickles in one error: an error must fit a frame."""


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
        message=clip(one_line(exc)),
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
    above = header(title or function.rpartition(".")[2] or "task", v.pid, actor_id, clip_text(actor_repr, 200))
    v.stack = clip(_headed(above, format_exception(exc)) + "".join(f"(mobula: {n})\n" for n in notes))
    return v.SerializeToString()


def _headed(above: str, text: str) -> str:
    """Put what ran, and where, in the place of the line with which Python begins a traceback."""
    lines = text.split("\n")
    if _HEAD not in lines:
        return f"{above}\n{text}"
    return "\n".join([above if line == _HEAD else line for line in lines])


_HEAD = "Traceback (most recent call last):"


def _kind_of(exc: BaseException, cancelled: bool) -> int:
    if cancelled or (isinstance(exc, (KeyboardInterrupt, x.TaskCancelledError)) and not isinstance(exc, x.RayTaskError)):
        return pb.ERROR_KIND_CANCELLED
    if isinstance(exc, SystemExit):
        return pb.ERROR_KIND_WORKER_CRASHED
    return pb.ERROR_KIND_TASK_FAILED


def _write_chain(v: pb.ErrorValue, exc: BaseException, notes: list[str]) -> None:
    """Write an exception and its causes as links."""
    room = _PAYLOAD_MAX
    for relation, e in _causes(exc):
        if isinstance(e, x.RayTaskError):
            e = e.cause
        stream, left_behind = pickle_exception(e)
        link = v.chain.add(message=clip_text(clip(one_line(e)), 8192), type_name=class_name(type(e)))
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
        link.payload.meta = RELATIONS[relation] + stream


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
