"""The object store as a session sees it."""

from __future__ import annotations

import gc
import mmap
import os
import time
from typing import TYPE_CHECKING

from mobula import _wire
from mobula._gen import session_pb2, value_pb2
from mobula._session.parts import REFS_MAX, PackedValue, Stored, StoreFull, Waiter
from mobula._store.layout import read_stored, stored_size, write_stored
from mobula._store.memory import Mapping, View, view_of
from mobula._store.segment import Own, check
from mobula._wire import ProtocolError, frame

if TYPE_CHECKING:
    from mobula._session.objects import Objects

_KEEP_WARM = (2 << 30) + (64 << 20)
"""Bytes of empty segments that are kept for the next values, so that two of a gigabyte alternate: memory that was touched before is ten times
quicker to write."""
_IDLE_SECONDS = 30.0


class Store:
    """The object store as a session sees it. Made by the session when it is first needed."""

    def __init__(self, session: Objects) -> None:
        self._session = session
        # Guarded by the session's lock.
        self._own: dict[int, Own] = {}  # oldest first
        self._foreign: dict[int, Mapping] = {}  # segments of others
        self._asking: dict[int, tuple[Waiter, list[session_pb2.Grant]]] = {}  # requests for room
        self._requests = 0
        self._arguments: dict[int, list[tuple[bytes, View]]] = {}  # by handle of the task: objects, and their views

    # --- reading ----------------------------------------------------------------------------------------------------------------
    def open(self, oid: bytes, handle: int | None, value: value_pb2.Value) -> Stored:
        """Returns views of the stored value of an object that was got, or is an argument of the task with that handle. Raises ProtocolError."""
        session, block = self._session, value.block
        with session._lock:
            own = self._own.get(block.segment)
            mapping = self._foreign.get(block.segment) if own is None else own.mapping
            if mapping is None or not oid:
                raise ProtocolError(f"a value lies in segment {block.segment}, of which this process was not told, or has no id")
            if block.offset + block.size > mapping.length:
                raise ProtocolError("a value lies beyond the end of its segment")
            unheld = oid in session._unheld
        end: _Release | None = None
        if handle is None:
            if unheld:
                end = _Unpin(session, oid)
            else:
                session.hold(oid)
                end = _Release(session, oid)
        memory, view = view_of(mapping, block.offset, block.size, end)
        if handle is not None:
            with session._lock:
                self._arguments.setdefault(handle, []).append((oid, view))
        meta, buffers, refs = read_stored(memory)
        return Stored(value.format, meta, buffers, refs, memory)

    def keep(self, handle: int) -> None:
        """Holds those arguments of a task of which there are views, until these are gone. To be called before the node is told that it is done."""
        for oid, view in self._arguments.pop(handle, ()):
            array = view()
            if array is not None:
                self._session.hold(oid)
                view.end = _Release(self._session, oid)
            del array  # maybe this was the last

    # --- writing ----------------------------------------------------------------------------------------------------------------
    def write(self, packed: PackedValue) -> bytes:
        """Writes a value to shared memory, for which it may wait, and returns the encoded Value that says where it lies.

        Raises:
            StoreFull: there is no room.
            SessionLost: the session has ended.
            ValueError: there are more refs in it than fit a frame.
        """
        if len(packed.refs) > REFS_MAX:
            raise ValueError(f"a value with {len(packed.refs):,} refs cannot be sent, one with {REFS_MAX:,} can: put parts, and pass their refs")
        size = stored_size(packed)
        self._session.flush()  # releases
        self._session.read_ready()  # and what they freed: warm memory is better than fresh
        segment, offset = self._place(size)
        try:
            segment.back(offset + size)
            write_stored(packed, segment.memory[offset : offset + size], segment.mapping.address + offset)
        except OSError as e:
            self._free(segment, offset)
            raise StoreFull(
                value_pb2.ErrorValue(
                    kind=value_pb2.ERROR_KIND_STORE_FULL,
                    message=f"the machine has no memory for a value of {size:,} bytes: {e.strerror}",
                    execution=value_pb2.EXECUTION_NOT_EXECUTED,
                    hint="free memory of the machine, or start the node with a smaller store",
                ).SerializeToString()
            ) from e
        except BaseException:
            self._free(segment, offset)
            raise
        block = value_pb2.Block(segment=segment.id, offset=offset, size=size)
        return value_pb2.Value(format=packed.format, refs=b"".join(packed.refs), block=block).SerializeToString()  # type: ignore[arg-type]

    def discard(self, encoded: bytes) -> None:
        """Gives back the place of a value that write has written and that the node was not told of."""
        block = value_pb2.Value.FromString(encoded).block
        segment = self._own.get(block.segment)
        if block.size and segment is not None:
            self._free(segment, block.offset)

    def _free(self, segment: Own, offset: int) -> None:
        with self._session._lock:
            segment.give(offset)

    def _take(self, size: int) -> tuple[Own, int] | None:
        """Allocates in a segment that exists. Needs the lock."""
        for segment in self._own.values():
            if segment.fits(size):
                offset = segment.take(size)
                if offset is not None:
                    return segment, offset
        return None

    def _place(self, size: int) -> tuple[Own, int]:
        """Allocates, and asks the node for a segment when none has room."""
        session = self._session
        with session._lock:
            place = self._take(size)
            if place is not None:
                return place
            session._check()
            self._requests += 1
            number = self._requests
            answer: list[session_pb2.Grant] = []
            waiter = Waiter()
            self._asking[number] = waiter, answer
            session._append(frame(_wire.GRANT_REQUEST, session_pb2.GrantRequest(id=number, bytes=size).SerializeToString()))
        try:
            while True:
                session._wait(waiter, None)
                with session._lock:
                    session._check()
                    place = self._take(size)  # something was freed, perhaps by what was released a moment ago
                    if place is not None:
                        return place
                    if answer:
                        del self._asking[number]
                        break
                    waiter = Waiter()
                    self._asking[number] = waiter, answer
        finally:
            with session._lock:
                if self._asking.pop(number, None) is not None and session._ended is None:
                    self._withdraw(number, answer)
        grant = answer[0]
        if grant.HasField("error"):
            raise StoreFull(grant.error.SerializeToString())
        return self._add(grant, size)

    def _withdraw(self, number: int, answer: list[session_pb2.Grant]) -> None:
        """Takes back a request for room, or gives back what was granted. Needs the lock."""
        if not answer:
            withdrawal = session_pb2.GrantRequest(id=number, withdraw=True)
            self._session._append(frame(_wire.GRANT_REQUEST, withdrawal.SerializeToString()))
        elif not answer[0].HasField("error"):
            gone = session_pb2.SegmentGone(segment=answer[0].segment)
            self._session._append(frame(_wire.SEGMENT_GONE, gone.SerializeToString()))
        self._session._arm()

    def _add(self, grant: session_pb2.Grant, size: int) -> tuple[Own, int]:
        """Makes the segment that was granted and allocates in it."""
        session = self._session
        try:
            segment = Own(grant.segment, grant.bytes)
        except (OSError, AttributeError) as e:
            self._give_back(grant.segment)
            raise StoreFull(
                value_pb2.ErrorValue(
                    kind=value_pb2.ERROR_KIND_STORE_FULL,
                    message=f"a segment of {grant.bytes:,} bytes could not be made: {e}",
                    execution=value_pb2.EXECUTION_NOT_EXECUTED,
                ).SerializeToString()
            ) from e
        with session._lock:
            session._check()
            payload = session_pb2.Segment(segment=segment.id, size=segment.length).SerializeToString()
            session._conn.append_file(_wire.SEGMENT, payload, segment.fd)
            self._own[segment.id] = segment
            offset = segment.take(size)
        if offset is None:
            raise ProtocolError(f"the node granted {grant.bytes} bytes for a value of {size}")
        return segment, offset

    def _give_back(self, number: int) -> None:
        self._session._post(_wire.SEGMENT_GONE, session_pb2.SegmentGone(segment=number).SerializeToString())

    def _trim(self, keep: int, idle: float) -> None:
        """Gives back empty segments until at most keep bytes are empty, and none for longer than idle seconds; the longest empty first.

        Needs the lock.
        """
        empty = sorted((s for s in self._own.values() if not s.blocks), key=lambda s: s.emptied)
        total = sum(s.length for s in empty)
        now = time.monotonic()
        for segment in empty:
            if total <= keep and now - segment.emptied < idle:
                break
            total -= segment.length
            del self._own[segment.id]
            self._session._append(frame(_wire.SEGMENT_GONE, session_pb2.SegmentGone(segment=segment.id).SerializeToString()))
            self._session._arm()

    # --- frames -----------------------------------------------------------------------------------------------------------------
    def handle(self, kind: int, payload: bytes) -> None:
        """Handles a frame of the object store. Needs the lock."""
        if kind == _wire.SEGMENT:
            announced = session_pb2.Segment.FromString(payload)
            if announced.segment not in self._foreign:
                self._on_segment(announced.segment, announced.size)
        elif kind == _wire.GRANT:
            self._on_grant(session_pb2.Grant.FromString(payload))
        elif kind == _wire.FREED:
            freed = session_pb2.Freed.FromString(payload)
            for block in freed.blocks:
                segment = self._own.get(block.segment)
                if segment is not None:
                    segment.give(block.offset)
            for waiter, _ in self._asking.values():
                waiter.tell()
            self._trim(0 if freed.give_back else _KEEP_WARM, _IDLE_SECONDS)
        elif kind == _wire.SEGMENT_GONE:
            self._foreign.pop(session_pb2.SegmentGone.FromString(payload).segment, None)
        else:
            self._session._collect = True
            self._session._arm()

    def _on_segment(self, number: int, length: int) -> None:
        files = self._session._conn.files_in
        if not files:
            raise ProtocolError("a segment without its descriptor")
        fd = files[0]
        check(fd, length)
        self._foreign[number] = Mapping(fd, length, mmap.PROT_READ)
        files.popleft()
        os.close(fd)

    def _on_grant(self, grant: session_pb2.Grant) -> None:
        asking = self._asking.get(grant.id)
        if asking is not None:
            waiter, answer = asking
            answer.append(grant)
            waiter.tell()
        elif not grant.HasField("error"):  # it was withdrawn meanwhile
            gone = session_pb2.SegmentGone(segment=grant.segment).SerializeToString()
            self._session._append(frame(_wire.SEGMENT_GONE, gone))
            self._session._urgent = True

    def collect(self) -> None:
        """Finds garbage that keeps memory, because the node is short of it. Called without the lock, by the flusher."""
        gc.collect()
        self._session.flush()
        with self._session._lock:
            self._trim(0, _IDLE_SECONDS)

    def fail(self) -> None:
        """Wakes who waits for room: the session has ended. Views stay what they are. Needs the lock."""
        for waiter, _ in self._asking.values():
            waiter.tell()
        self._own = {}
        self._foreign = {}


class _Release:
    """Drops the hold of a view, without a lock."""

    __slots__ = ("_oid", "_session")

    def __init__(self, session: Objects, oid: bytes) -> None:
        self._session, self._oid = session, oid

    def __call__(self) -> None:
        self._session.release(self._oid)


class _Unpin(_Release):
    """Drops the pin of a view of an object that this process does not hold, without a lock."""

    __slots__ = ()

    def __call__(self) -> None:
        self._session._unpinned.append(self._oid)
        self._session._arm()
