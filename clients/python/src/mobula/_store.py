"""A process's part of the object store: shared memory that it writes, and that it reads.

Large values lie in memfd segments, each written by one process and mapped by all others read-only (docs/protocol.md section 7, docs/values.md "Stored
layout"). Reading copies nothing: what is got are read-only memoryviews into the mapping, and what is built on them, numpy's arrays above all.

# How long memory stays

Each value that is opened has one ctypes array over its block. Every view of the value, through however many slices and arrays, keeps that array
alive, and its end is what a weak reference tells (one to a memoryview tells too early: numpy keeps the memory, not the memoryview). Until then

* a value that was got is held at the node, as if by one more ref;
* the arguments of a task are the node's to free when the task is done. Those that user code kept are moved before: a private copy takes the place
  of the shared pages at the same addresses, so that whoever has a view notices nothing. The mapping is not used for new views from then on;
* the mapping stays, whatever becomes of the session.

# Locks

Everything is guarded by the session's lock. Finalisers take none.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import mmap
import os
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from mobula import _wire
from mobula._gen import session_pb2, value_pb2
from mobula._session.parts import Buffer, PackedValue, Stored, StoreFull, Waiter
from mobula._wire import ProtocolError, frame

if TYPE_CHECKING:
    from mobula._session.objects import Objects

PAGE = 4096
"""The unit of allocation: every value starts on a page of its own."""
_SHARED_MAX = 64 << 20
"""Length of a segment that many values share; longer ones are for one value."""
_KEEP_WARM = (2 << 30) + (64 << 20)
"""Bytes of empty segments that are kept for the next values, so that two of a gigabyte alternate: memory that was touched before is ten times
quicker to write."""
_IDLE_SECONDS = 30.0
_STEP = 1 << 20
"""The least by which the memory behind a segment grows."""
_SPLIT = 4 << 20
"""From this length on a copy is shared between two threads."""
_RELEASE_GIL = 256 << 10
"""From this length on a copy lets other threads run."""

_MAGIC = b"MOBULAV\x01"
_HEAD = Struct("<8sQQII32x")
_HEAD_SIZE = 64

_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_WRITE, _SEAL_FUTURE_WRITE = 1, 2, 4, 8, 16
_ADD_SEALS, _GET_SEALS = 1033, 1034
_MFD_CLOEXEC, _MFD_ALLOW_SEALING, _MFD_NOEXEC_SEAL = 1, 2, 8
_MADV_HUGEPAGE, _MADV_POPULATE_WRITE = 14, 23
_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2
_MAP_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class _PyBuffer(ctypes.Structure):
    """Py_buffer of the C API, for the address of memory that may not be written."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def _map(fd: int, length: int, protection: int, flags: int = mmap.MAP_SHARED) -> int:
    """Maps a file and returns the address. Raises OSError."""
    address = _libc.mmap(None, length, protection, flags, fd, 0)
    if address is None or address == _MAP_FAILED:
        error = ctypes.get_errno()
        raise OSError(error, f"map {length} bytes of shared memory: {os.strerror(error)}")
    return int(address)


class _Mapping:
    """A mapped segment, unmapped when nothing refers to it any more."""

    __slots__ = ("_munmap", "address", "length")

    def __init__(self, fd: int, length: int, protection: int) -> None:
        self._munmap = _libc.munmap
        self.length = 0
        self.address = _map(fd, length, protection)
        self.length = length
        _libc.madvise(self.address, length, _MADV_HUGEPAGE)  # a refusal costs nothing

    def __del__(self) -> None:
        if self.length:
            self._munmap(self.address, self.length)


# Array types by the exponent of their length: views are slices of an array that is longer than its block, so that few types are needed.
_arrays: dict[int, type[ctypes.Array[ctypes.c_ubyte]]] = {}


class _View(weakref.ref["ctypes.Array[ctypes.c_ubyte]"]):
    """Tells when the last view of a value is gone."""

    __slots__ = ("end", "length", "mapping", "offset")

    mapping: _Mapping
    offset: int
    length: int
    end: Callable[[], None] | None  # what to do then; takes no lock


# All views that are alive, by id: a weak reference that nobody keeps tells nothing.
_alive: dict[int, _View] = {}


def _view_ended(view: weakref.ref[ctypes.Array[ctypes.c_ubyte]], alive: dict[int, _View] = _alive) -> None:
    ended = alive.pop(id(view), None)
    if ended is not None and ended.end is not None:
        ended.end()


def _view(mapping: _Mapping, offset: int, length: int, end: Callable[[], None] | None) -> tuple[memoryview, _View]:
    """Returns a read-only view of a part of a mapping, and what watches it."""
    exponent = length.bit_length()
    kind = _arrays.get(exponent)
    if kind is None:
        kind = _arrays[exponent] = ctypes.c_ubyte * (1 << exponent)
    array = kind.from_address(mapping.address + offset)
    view = _View(array, _view_ended)
    view.mapping, view.offset, view.length, view.end = mapping, offset, length, end
    _alive[id(view)] = view
    return memoryview(array).cast("B")[:length].toreadonly(), view


class _Foreign:
    """A segment that this process reads."""

    __slots__ = ("fd", "length", "mapping")

    def __init__(self, fd: int, length: int) -> None:
        self.fd = -1
        self.length = length
        self.mapping: _Mapping | None = _Mapping(fd, length, mmap.PROT_READ)
        self.fd = os.dup(fd)

    def mapped(self) -> _Mapping:
        """Returns the mapping for new views."""
        if self.mapping is None:
            self.mapping = _Mapping(self.fd, self.length, mmap.PROT_READ)
        return self.mapping

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class Extents:
    """Which pages of a segment are free: runs in ascending order, no two of which touch."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self._starts = [0]
        self._lengths = [pages]

    @property
    def empty(self) -> bool:
        """Whether all pages are free."""
        return self._lengths == [self.pages]

    def take(self, count: int) -> int | None:
        """Allocates the first run of so many pages and returns its first page; None when there is none."""
        for i, length in enumerate(self._lengths):
            if length >= count:
                start = self._starts[i]
                if length == count:
                    del self._starts[i], self._lengths[i]
                else:
                    self._starts[i], self._lengths[i] = start + count, length - count
                return start
        return None

    def give(self, start: int, count: int) -> None:
        """Frees pages that were allocated."""
        starts, lengths = self._starts, self._lengths
        i = bisect_left(starts, start)
        if i < len(starts) and start + count == starts[i]:
            count += lengths[i]
            del starts[i], lengths[i]
        if i and starts[i - 1] + lengths[i - 1] == start:
            lengths[i - 1] += count
        else:
            starts.insert(i, start)
            lengths.insert(i, count)


class _Own:
    """A segment that this process writes."""

    __slots__ = ("backed", "blocks", "emptied", "extents", "fd", "id", "length", "mapping", "memory")

    def __init__(self, number: int, length: int) -> None:
        self.id = number
        self.length = length
        self.fd = -1
        self.fd = _memfd(f"mobula-{number}")
        os.ftruncate(self.fd, length)
        self.mapping = _Mapping(self.fd, length, mmap.PROT_READ | mmap.PROT_WRITE)
        seals = _SEAL_SHRINK | _SEAL_GROW | _SEAL_SEAL
        try:
            fcntl.fcntl(self.fd, _ADD_SEALS, seals | _SEAL_FUTURE_WRITE)
        except OSError:  # a kernel before 5.1
            fcntl.fcntl(self.fd, _ADD_SEALS, seals)
        self.memory = memoryview((ctypes.c_ubyte * length).from_address(self.mapping.address)).cast("B")
        self.backed = 0
        self.extents = Extents(length // PAGE)
        self.blocks: dict[int, int] = {}  # offset to pages
        self.emptied = time.monotonic()

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)

    def fits(self, size: int) -> bool:
        """Whether a value of that size belongs here, if there is room: the segment of one large value is for another large one."""
        if self.length > _SHARED_MAX or size > self.length // 2:
            return not self.blocks and self.length // 2 < size <= self.length
        return True

    def take(self, size: int) -> int | None:
        """Allocates and returns the offset; None when there is no room."""
        pages = -(-size // PAGE)
        start = self.extents.take(pages)
        if start is None:
            return None
        self.blocks[start * PAGE] = pages
        return start * PAGE

    def give(self, offset: int) -> None:
        """Frees what take returned; anything else is passed over."""
        pages = self.blocks.pop(offset, 0)
        if pages:
            self.extents.give(offset // PAGE, pages)
            self.emptied = time.monotonic()

    def back(self, end: int) -> None:
        """Sees to it that the first end bytes have memory behind them: a full machine is an error here, and no signal later. Raises OSError."""
        if end <= self.backed:
            return
        start, end = self.backed, min(self.length, -(-end // _STEP) * _STEP)

        def populate(at: int, length: int) -> None:
            os.posix_fallocate(self.fd, at, length)
            _libc.madvise(self.mapping.address + at, length, _MADV_POPULATE_WRITE)  # only saves time

        _split(start, end - start, populate)
        self.backed = max(self.backed, end)


def _memfd(name: str) -> int:
    """Makes an anonymous file that can be sealed. Raises OSError."""
    flags = _MFD_CLOEXEC | _MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_NOEXEC_SEAL)
    except OSError:  # before Linux 6.3
        return os.memfd_create(name, flags)


def _split(start: int, length: int, work: Callable[[int, int], object]) -> None:
    """Does work(start, length) in two halves on two threads when it is long. Raises what either half raised."""
    if length < _SPLIT:
        work(start, length)
        return
    half = length // 2 // PAGE * PAGE
    errors: list[BaseException] = []

    def second() -> None:
        try:
            work(start + half, length - half)
        except BaseException as e:
            errors.append(e)

    helper = threading.Thread(target=second, name="mobula-copy", daemon=True)
    helper.start()
    try:
        work(start, half)
    finally:
        helper.join()
    if errors:
        raise errors[0]


def copy(memory: memoryview, address: int, source: Buffer) -> None:
    """Copies source to the start of memory, which begins at address."""
    size = source.nbytes if isinstance(source, memoryview) else len(source)
    if size < _RELEASE_GIL:
        memory[:size] = source
        return
    buffer = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(source), ctypes.byref(buffer), 0)
    try:
        base = buffer.buf or 0
        _split(0, size, lambda at, length: ctypes.memmove(address + at, base + at, length))
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))


def stored_size(packed: PackedValue) -> int:
    """Returns the length of a value in the stored layout."""
    end = _HEAD_SIZE + 8 * len(packed.buffers) + 20 * len(packed.refs) + len(packed.meta)
    for buffer in packed.buffers:
        end = (end + 63 & ~63) + len(buffer)
    return end


def write_stored(packed: PackedValue, memory: memoryview, address: int) -> None:
    """Writes a value in the stored layout to memory, which begins at address and is as long as stored_size says."""
    at = _HEAD_SIZE
    _HEAD.pack_into(memory, 0, _MAGIC, len(memory), len(packed.meta), len(packed.buffers), len(packed.refs))
    lengths = b"".join(len(buffer).to_bytes(8, "little") for buffer in packed.buffers)
    for part in (lengths, b"".join(packed.refs), packed.meta):
        copy(memory[at:], address + at, part)
        at += len(part)
    for buffer in packed.buffers:
        start = at + 63 & ~63
        memory[at:start] = bytes(start - at)
        copy(memory[start:], address + start, buffer)
        at = start + len(buffer)


def read_stored(memory: memoryview) -> tuple[memoryview, list[memoryview], list[bytes]]:
    """Returns metadata, buffers and refs of a value in the stored layout, as views. Raises ProtocolError when it is none."""
    if len(memory) < _HEAD_SIZE:
        raise ProtocolError("a stored value is shorter than its head")
    magic, total, meta, count, refs = _HEAD.unpack_from(memory)
    at = _HEAD_SIZE + 8 * count
    if magic != _MAGIC or total != len(memory) or at + 20 * refs + meta > total:
        raise ProtocolError("a stored value has a broken head")
    lengths = memory[_HEAD_SIZE:at].cast("Q")  # hosts are little-endian, as the layout is
    ids = memory[at : at + 20 * refs].tobytes()
    at += 20 * refs
    meta_view = memory[at : at + meta]
    at += meta
    buffers = []
    for length in lengths:
        at = at + 63 & ~63
        if at + length > total:
            raise ProtocolError("a stored value has a buffer beyond its end")
        buffers.append(memory[at : at + length])
        at += length
    return meta_view, buffers, [ids[i : i + 20] for i in range(0, len(ids), 20)]


class Store:
    """The object store as a session sees it. Made by the session when it is first needed."""

    def __init__(self, session: Objects) -> None:
        self._session = session
        # Guarded by the session's lock.
        self._own: dict[int, _Own] = {}  # oldest first
        self._foreign: dict[int, _Foreign] = {}
        self._asking: dict[int, tuple[Waiter, list[session_pb2.Grant]]] = {}  # requests for room
        self._requests = 0
        self._arguments: dict[int, list[_View]] = {}  # by handle of the task

    # --- reading ----------------------------------------------------------------------------------------------------------------
    def open(self, oid: bytes | None, handle: int | None, value: value_pb2.Value) -> Stored:
        """Returns views of a stored value: of the object oid, or of an argument of the task with that handle. Raises ProtocolError."""
        session, block = self._session, value.block
        with session._lock:
            own = self._own.get(block.segment) if oid is not None else None
            mapping = own.mapping if own is not None else self._reader(block.segment).mapped()
            if block.offset + block.size > mapping.length:
                raise ProtocolError("a value lies beyond the end of its segment")
            unheld = oid in session._unheld
        end: _Release | None = None
        if oid is not None:
            if unheld:
                end = _Unpin(session, oid)
            else:
                session.hold(oid)
                end = _Release(session, oid)
        memory, view = _view(mapping, block.offset, block.size, end)
        if handle is not None:
            with session._lock:
                self._arguments.setdefault(handle, []).append(view)
        meta, buffers, refs = read_stored(memory)
        return Stored(value.format, meta, buffers, refs, memory)

    def _reader(self, number: int) -> _Foreign:
        """Returns a segment for reading. Needs the lock."""
        segment = self._foreign.get(number)
        if segment is None:
            own = self._own.get(number)
            if own is None:
                raise ProtocolError(f"a value lies in segment {number}, of which this process was not told")
            segment = self._foreign[number] = _Foreign(own.fd, own.length)
        return segment

    def detach(self, handle: int) -> None:
        """Moves those arguments of a task out of shared memory of which user code has kept views."""
        views = self._arguments.pop(handle, None)
        if not views:
            return
        for view in views:
            array = view()
            if array is None:
                continue
            with self._session._lock:
                for segment in self._foreign.values():
                    if segment.mapping is view.mapping:
                        segment.mapping = None
            _make_private(view)
            del array

    # --- writing ----------------------------------------------------------------------------------------------------------------
    def write(self, packed: PackedValue) -> bytes:
        """Writes a value to shared memory, for which it may wait, and returns the encoded Value that says where it lies.

        Raises:
            StoreFull: there is no room.
            SessionLost: the session has ended.
        """
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

    def _free(self, segment: _Own, offset: int) -> None:
        with self._session._lock:
            segment.give(offset)

    def _take(self, size: int) -> tuple[_Own, int] | None:
        """Allocates in a segment that exists. Needs the lock."""
        for segment in self._own.values():
            if segment.fits(size):
                offset = segment.take(size)
                if offset is not None:
                    return segment, offset
        return None

    def _place(self, size: int) -> tuple[_Own, int]:
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

    def _add(self, grant: session_pb2.Grant, size: int) -> tuple[_Own, int]:
        """Makes the segment that was granted and allocates in it."""
        session = self._session
        try:
            segment = _Own(grant.segment, grant.bytes)
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
        segment = _Foreign(fd, length)
        self._foreign[number] = segment
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


def check(fd: int, length: int) -> None:
    """Checks that a descriptor is a segment of that length which cannot shrink under its readers. Raises ProtocolError."""
    seals = fcntl.fcntl(fd, _GET_SEALS)
    needed = _SEAL_SHRINK | _SEAL_GROW | _SEAL_SEAL
    if seals & needed != needed or os.fstat(fd).st_size != length or length <= 0 or length % PAGE:
        raise ProtocolError(f"a descriptor is not a sealed segment of {length} bytes")


def _make_private(view: _View) -> None:
    """Puts a private copy in the place of the pages on which a view lies. The addresses stay, and no reader notices. Raises OSError."""
    page = mmap.PAGESIZE
    start = (view.mapping.address + view.offset) // page * page
    length = -(-(view.mapping.address + view.offset + view.length - start) // page) * page
    copied = _map(-1, length, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.memmove(copied, start, length)
    _libc.mprotect(copied, length, mmap.PROT_READ)
    mremap = _libc.mremap
    mremap.restype = ctypes.c_void_p
    moved = mremap(ctypes.c_void_p(copied), ctypes.c_size_t(length), ctypes.c_size_t(length), _MREMAP_MAYMOVE | _MREMAP_FIXED, ctypes.c_void_p(start))
    if moved is None or moved == _MAP_FAILED:
        error = ctypes.get_errno()
        _libc.munmap(copied, length)
        raise OSError(error, f"keep an argument beyond its task: {os.strerror(error)}")
