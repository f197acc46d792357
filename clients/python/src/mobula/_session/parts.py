"""What the parts of a session share: values on their way, what goes wrong, who waits."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from threading import Lock
from typing import NamedTuple, Protocol

from mobula import exceptions
from mobula._gen import session_pb2, value_pb2
from mobula._wire import varint

FORMAT_MSGPACK, FORMAT_PICKLE5, FORMAT_ERROR = 1, 2, 3

Buffer = bytes | bytearray | memoryview
Message = session_pb2.Execute | session_pb2.CancelTask | session_pb2.ActorGone | session_pb2.Exit

RESULT_WINDOW = 64 << 20
"""Bytes of results that the node may be ahead of this process."""
ITEM_OVERHEAD = 512
"""What an item of a stream spends of the credit for items besides its length in bytes."""
NOBODY_READS = 1 << 63
"""Said to be the number of items that were read when a stream was dropped."""
IDS_MAX = 40_000
"""So many ids fit a frame."""
REFS_MAX = 50_000
"""So many refs in a value, with what else is in the frame."""
INDEX_0 = b"\0\0\0\0"
U32 = Struct(">I").pack
U64 = Struct(">Q").pack

# What a session has for an object whose value is not here. Values are never empty, so `if values.get(id)` asks whether the value is here.
PENDING = None  # its outcome was asked for, or comes unasked
READY = b""  # it is ready at the node
UNASKED = False  # nobody has asked


class PackedValue(Protocol):
    """A value ready to be sent, as `_values.Packed` is."""

    @property
    def format(self) -> int: ...
    @property
    def meta(self) -> bytes: ...
    @property
    def buffers(self) -> Sequence[Buffer]: ...
    @property
    def refs(self) -> Sequence[bytes]: ...
    @property
    def size(self) -> int: ...


class Stored(NamedTuple):
    """A value that has arrived and is not unpacked yet.

    Attributes:
        format: a FORMAT_ number; with FORMAT_ERROR, meta is an encoded ErrorValue.
        meta: bytes, or a read-only memoryview of shared memory.
        buffers: the same.
        refs: the ids of the refs inside, 20 bytes each.
        pin: None, or what keeps the shared memory; every view of it does so as well.
    """

    format: int
    meta: bytes | memoryview
    buffers: Sequence[bytes | memoryview]
    refs: Sequence[bytes]
    pin: object


class SessionError(exceptions.RayError):
    """Something that the session cannot do, of a class that programs can catch. It is made of the encoded ErrorValue that says what and why."""

    def __init__(self, encoded: bytes) -> None:
        value = value_pb2.ErrorValue.FromString(encoded)
        Exception.__init__(self, value.message)
        self.message = value.message
        self.hint = value.hint
        self._text = f"{value.message}\nHint: {value.hint}." if value.hint else value.message
        self._encoded = encoded


class SessionLost(SessionError):
    """The session has ended."""


class NodeLost(SessionLost, exceptions.NodeDiedError):
    """The session has ended with its node."""


class SessionClosed(SessionLost, exceptions.SessionClosedError):
    """The session was closed by this process."""


def session_lost(encoded: bytes) -> SessionLost:
    """Returns the error of a session whose end was an encoded ErrorValue."""
    kind = value_pb2.ErrorValue.FromString(encoded).kind
    return (NodeLost if kind == value_pb2.ERROR_KIND_NODE_LOST else SessionClosed)(encoded)


class QueueFull(SessionError, exceptions.QueueFullError):
    """The node had no room for more work before the time was over; nothing was sent."""


class StoreFull(SessionError, exceptions.ObjectStoreFullError):
    """The object store has no room."""


class Refused(SessionError):
    """The node refused the session."""


class GetTimeout(exceptions.GetTimeoutError):
    """What was waited for did not come in time."""


def error_value(kind: value_pb2.ErrorKind, message: str, hint: str, execution: value_pb2.Execution) -> bytes:
    """Returns an encoded ErrorValue."""
    return value_pb2.ErrorValue(kind=kind, message=message, hint=hint, execution=execution).SerializeToString()


class Waiter:
    """A thread that waits for something; `need` is how much of it is still missing. Guarded by the session's lock."""

    __slots__ = ("lock", "need", "parked")

    def __init__(self, need: int = 1) -> None:
        self.need = need
        self.lock = Lock()
        self.lock.acquire()
        self.parked = False  # on its lock, which whoever wakes it releases

    def wake(self) -> None:
        """Wakes the thread if it is parked."""
        if self.parked:
            self.parked = False
            self.lock.release()

    def tell(self) -> None:
        """Says that one thing came."""
        self.need -= 1
        if self.need <= 0:
            self.wake()


class Several:
    """The results of a submission that has several."""

    __slots__ = ("left", "task_id")

    def __init__(self, task_id: bytes, count: int) -> None:
        self.task_id = task_id
        self.left = set(range(count))


def encode_value(packed: PackedValue) -> bytes:
    """Returns the encoded inline Value."""
    meta = packed.meta
    if not packed.buffers and not packed.refs:
        return b"\x08" + varint(packed.format) + b"\x12" + varint(len(meta)) + meta
    parts: list[Buffer] = [b"\x08", varint(packed.format), b"\x12", varint(len(meta)), meta]
    for buffer in packed.buffers:
        parts += (b"\x1a", varint(len(buffer)), buffer)
    if packed.refs:
        refs = b"".join(packed.refs)
        parts += (b'"', varint(len(refs)), refs)
    return b"".join(parts)


def rare_fields(ref_args: Sequence[tuple[int, bytes]], keywords: Sequence[str], timeout_ns: int, traceparent: str, tracestate: str = "") -> bytes:
    """Returns the fields of a Submit that few have."""
    m = session_pb2.Submit(keywords=keywords, timeout_ns=timeout_ns, traceparent=traceparent, tracestate=tracestate)
    for position, oid in ref_args:
        m.ref_args.add(position=position, object_id=oid)
    return m.SerializeToString()
