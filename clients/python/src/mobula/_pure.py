"""The inner loops of the client in Python. `_fast.c` is the same in C; `_hot` chooses one of the two.

What is here is called for every call, result and ref. It knows the plain forms only, and leaves everything rare to methods of the
classes above.
"""

from __future__ import annotations

import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from struct import Struct
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from mobula import _wire
from mobula._wire import HEADER, HEADER_SIZE, ProtocolError, varint

if TYPE_CHECKING:
    from mobula._conn import Conn
    from mobula._session import Session

R = TypeVar("R", bound="Ref")

_BURST_SECONDS = 300e-6
"""Frames that come quicker than this one after another are a burst; a shorter time would take each pause of a busy machine for its end."""
_BURST_FREE = 2
"""So many frames of a burst are written at once each: the peer begins to work."""
_BURST_EVERY = 32
"""Further on in a burst, so many are written together."""
_RELEASES = 64
"""So many releases are sent before anything else is."""

_FILES_MAX = 16
"""How many received descriptors may wait for the frame that they belong to."""
_ANCILLARY = socket.CMSG_SPACE(_FILES_MAX * 4) if hasattr(socket, "CMSG_SPACE") else 0
_INDEX_0 = b"\0\0\0\0"
_U64 = Struct(">Q").pack
_clock = time.perf_counter
_finalizing = sys.is_finalizing
_header = HEADER.pack
_unpack_header = HEADER.unpack_from


class Pipe:
    """What a connection writes and reads: the base of ``Conn``, whose fields they are."""

    sock: socket.socket
    _fd: int  # of sock
    out: list[bytes]
    out_bytes: int
    _lock: Lock
    _write_lock: Lock
    _tail: bytes | memoryview | None
    _sent: list[int]
    _files_out: list[tuple[int, int]]
    data: bytes
    at: int
    _buffer: bytearray
    _buffers: tuple[bytearray]
    _got: list[tuple[int, list[tuple[int, int, bytes]], int, object]]

    def _send_now(self) -> bool:
        """Writes what waits, if it can go at once and whole; False leaves it to flush."""
        return False

    def _receive_now(self, flags: int) -> bool | None:
        """Reads once: True when bytes came, False when not; None when what came is in _got."""
        try:
            self._got.extend(map(self.sock.recvmsg_into, (self._buffers,), (_ANCILLARY,), (flags,)))
        except BlockingIOError:
            return False
        return None


class Core:
    """What the inner loops of a session use: the base of its classes.

    The methods that begin with an underscore and are not defined here are those of the classes above. Needs the lock: is called with
    `_lock` held.
    """

    _root: bytes  # the first 8 bytes of the ids that this session makes
    _lock: Lock  # guards what follows down to _callbacks
    _conn: Conn
    _ended: bytes | None  # the encoded ErrorValue that says why
    _values: dict[bytes, bytes | bool | None]  # objects that are held here, see PENDING; encoded values
    _pending: dict[int, Any]  # by sequence: the id of the object that is the result, or a Several or Stream
    _parked: dict[bytes, list[Any]]  # Waiters by object, or by task for a stream
    _callbacks: dict[bytes, list[Callable[[bytes], None]]]
    _asked: dict[bytes, bool]  # Gets under way: whether the value was asked for, or readiness only
    _extra: dict[bytes, int]  # holds of this process beyond the first
    _leader: object  # who reads
    _inbox: deque[Any]  # tasks and control messages, in a worker
    _sequence: int
    _used_bytes: int
    _used_count: int
    _credit_bytes: int
    _credit_count: int
    _released: list[bytes]  # ids, appended to by finalisers
    _closed_streams: deque[Any]  # likewise
    _unpinned: deque[bytes]  # likewise
    _unseen: dict[bytes, bytes]  # results that are errors nobody has been told of
    _burst: int
    _last: float  # when a frame was appended
    _armed: bool  # whether the flusher was told

    def __init__(self) -> None:
        self._ids = count(1)

    def new_id(self) -> bytes:
        """Returns a fresh task id of 16 bytes."""
        return self._root + _U64(next(self._ids))

    def submit_plain(self, fields: bytes) -> bytes:
        """Submits a call that has one result and nothing rare, and returns the id of its object: submit in half the time, for small calls.

        fields are the encoded fields of the Submit but for sequence and task_id, 64 KiB at most.
        """
        task_id = self._root + _U64(next(self._ids))
        oid = task_id + _INDEX_0
        with self._lock:
            sequence = varint(self._sequence + 1)
            size = len(fields) + len(sequence) + 19
            if self._used_bytes + size > self._credit_bytes or self._used_count >= self._credit_count or self._ended is not None:
                self._await_credit(size + 9, 0)  # meanwhile the sequence may get longer
                sequence = varint(self._sequence + 1)
                size = len(fields) + len(sequence) + 19
            data = b"%b\x08%b\x12\x10%b%b" % (_header(size, _wire.SUBMIT, 0), sequence, task_id, fields)
            conn = self._conn
            self._values[oid] = None
            self._sequence = number = self._sequence + 1
            self._pending[number] = oid
            self._used_bytes += size
            self._used_count += 1
            conn.out_bytes += len(data)
            conn.out.append(data)
            if len(self._released) >= _RELEASES:
                self._append_releases()
        self._kick()
        return oid

    def flush(self) -> None:
        """Writes what is pending, with what was released."""
        if self._released or self._closed_streams or self._unpinned:
            with self._lock:
                self._append_releases()
        self._flush()

    def _kick(self) -> None:
        """Writes what is pending, or leaves it to others in a burst."""
        now = _clock()
        burst = 1 if now - self._last > _BURST_SECONDS else self._burst + 1
        self._burst, self._last = burst, now
        if burst <= _BURST_FREE:
            self.flush()  # with the releases: one write in place of two for who calls, gets and calls again
        elif not burst % _BURST_EVERY or self._conn.out_bytes > 65536:
            self._flush()
        elif not self._armed:
            self._arm()

    def _dispatch(self) -> None:
        """Handles all whole frames that were received. Needs the lock and the lead."""
        conn = self._conn
        data, at = conn.data, conn.at
        end = len(data)
        values, pending, parked = self._values, self._pending, self._parked
        consumed = 0
        try:
            while end - at >= HEADER_SIZE:
                size, kind, zero = _unpack_header(data, at)
                start = at + HEADER_SIZE
                stop = start + size
                if stop > end:
                    if size > _wire.FRAME_MAX:
                        raise ProtocolError(f"a frame of {size} bytes")
                    break
                if kind != 18 or zero or not size or data[start] != 8:  # not a Result that names its submission
                    if zero:
                        raise ProtocolError("the reserved field of a header is not zero")
                    self._handle(kind, data[start:stop])
                    at = stop
                    continue
                # The fields come in ascending order: sequence, index, value, size.
                b = data[start + 1]
                start += 2
                sequence, shift = b & 127, 7
                while b > 127:
                    b = data[start]
                    start += 1
                    sequence |= (b & 127) << shift
                    shift += 7
                target = pending.get(sequence)
                if type(target) is bytes and start < stop and data[start] == 34:
                    length = data[start + 1]
                    start += 2
                    if length > 127:
                        length, shift = length & 127, 7
                        while True:
                            b = data[start]
                            start += 1
                            length |= (b & 127) << shift
                            shift += 7
                            if b < 128:
                                break
                    if start + length != stop:
                        raise ProtocolError("a result has something after its value")
                    if length > 1 and data[start] == 8 and data[start + 1] == 3:  # an error, which is rare
                        self._handle(kind, data[at + HEADER_SIZE : stop])
                        at = stop
                        continue
                    consumed += length
                    if target in values:
                        values[target] = data[start:stop]
                        if parked and target in parked:
                            for waiter in parked.pop(target):
                                waiter.tell()
                        if self._callbacks and target in self._callbacks:
                            self._fire(target)
                    del pending[sequence]
                else:
                    self._handle(kind, data[stop - size : stop])
                at = stop
        except IndexError:
            raise ProtocolError("a result is cut off") from None
        finally:
            conn.at = at
            if consumed:
                self._consume(consumed)

    def _lead_for(self, object_id: bytes) -> None:
        """Reads until the outcome of a call is here: what get does, in less time, for a program that calls and gets on one thread.

        It returns at once when somebody else reads, or when the outcome does not come unasked.
        """
        values, me = self._values, object()
        try:
            with self._lock:
                if self._leader is None and self._pending and object_id in values and object_id not in self._asked:
                    self._leader = me
            if self._leader is me:
                self.flush()
                while object_id in values and values[object_id] is None:
                    self._read(None)
        finally:
            if self._leader is me:
                self._leader = None
                self._pass_on()

    def _lead_for_work(self) -> None:
        """Reads until there is something in the inbox: what next_execute does, in less time, for a worker that has nothing to do.

        It returns at once when somebody else reads, and when the session has ended.
        """
        inbox = self._inbox
        try:
            with self._lock:
                if self._leader is None and self._ended is None and not inbox:
                    self._leader = inbox
            if self._leader is inbox:
                self.flush()
                while not inbox and self._ended is None:
                    self._read(None)
        finally:
            if self._leader is inbox:
                self._leader = None
                self._pass_on()

    def _hold_new(self, ids: list[bytes], state: bytes | bool | None, frames: list[bytes]) -> bool:
        """Enters ids in values, and appends the frames that hold them; False, and nothing is done, when some are not new. Needs the lock."""
        fresh = dict.fromkeys(ids, state)
        if len(fresh) != len(ids) or not self._values.keys().isdisjoint(fresh):
            return False
        conn = self._conn
        conn.out += frames
        self._values.update(fresh)  # last: an interrupt before it leaves a hold too many, never one too few
        conn.out_bytes += sum(map(len, frames))
        return True

    def _drop_released(self) -> list[bytes]:
        """Takes what was released out of values, and returns what was there. Needs the lock, and that no id has a second hold."""
        released = self._released
        ids = released[:]
        del released[: len(ids)]
        pop = self._values.pop
        return [oid for oid in ids if pop(oid, self) is not self]

    if TYPE_CHECKING:  # of the classes above

        def _await_credit(self, size: int, timeout_ns: int) -> None: ...
        def _append_releases(self) -> None: ...
        def _handle(self, kind: int, payload: bytes) -> None: ...
        def _fire(self, key: bytes) -> None: ...
        def _consume(self, size: int) -> None: ...
        def _read(self, timeout: float | None) -> None: ...
        def _pass_on(self) -> None: ...
        def _flush(self) -> None: ...
        def _arm(self) -> None: ...


class Ref:
    """An id, and the hold of a session that goes with it: the base of ``ObjectRef``."""

    __slots__ = ("__weakref__", "_id", "_method", "_session")

    def __init__(self, id: bytes, _session: Session | None = None, _method: bool = False) -> None:
        """Makes a ref of an id. A caller that passes a session passes on a hold that it has; else a hold is added."""
        if _session is None:
            from mobula._refs import hold

            _session = hold(id)
        self._id = id
        self._session = _session
        self._method = _method  # whether a call of an actor's method makes it

    def __del__(self) -> None:
        if _finalizing():
            return  # the node drops what this process holds
        try:
            s = self._session
            s._released.append(self._id)  # as s.release does, without the call
            if not s._armed:
                s._arm()
        except AttributeError:  # __init__ failed, or the ref stands for nothing
            pass

    def __hash__(self) -> int:
        return hash(self._id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other._id == self._id


def make_refs(cls: type[R], ids: list[bytes], s: Session) -> list[R]:
    """Makes refs of ids that a session holds already."""
    return [cls(id, s) for id in ids]


def ref_ids(refs: list[Any], cls: type[Ref]) -> list[bytes] | None:
    """Returns the ids of a list of refs of exactly one class; None when something else is among them."""
    return [ref._id for ref in refs] if not refs or set(map(type, refs)) == {cls} else None


def unique_ids(refs: list[Any], cls: type[Ref]) -> list[bytes] | None:
    """Returns the ids of a list of refs of exactly one class, none twice; None when it is not that."""
    ids = ref_ids(refs, cls)
    return ids if ids is not None and len(set(ids)) == len(ids) else None


def first_ready(values: dict[bytes, bytes | bool | None], ids: list[bytes], wanted: int) -> list[int]:
    """Returns where the first ids that are ready stand in a list: so many at most."""
    chosen = []
    for at, oid in enumerate(ids):
        value = values.get(oid)
        if value is not None and value is not False:
            chosen.append(at)
            if len(chosen) >= wanted:
                break
    return chosen


def done_frame(handle: int, format: int, meta: bytes, run_ns: int) -> bytes:
    """Returns the frame of a task that has one result, which is nothing but metadata of 512 KiB at most."""
    value = b"\x08" + varint(format) + b"\x12" + varint(len(meta)) + meta
    return _wire.frame(_wire.DONE, b"".join((b"\x08", varint(handle), b"\x12", varint(len(value)), value, b" ", varint(run_ns))))


def split_ids(joined: bytes) -> list[bytes]:
    """Returns the ids that stand one after the other; what is left over is ignored."""
    return [joined[i : i + 20] for i in range(0, len(joined) - 19, 20)]
