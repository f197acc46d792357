"""Shared memory: mappings of files, views that tell when their last user is gone, and copies."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import weakref
from collections.abc import Callable

from mobula._session.parts import Buffer

PAGE = 4096
"""The unit of allocation: every value starts on a page of its own."""
_SPLIT = 4 << 20
"""From this length on a copy is shared between two threads."""
_RELEASE_GIL = 256 << 10
"""From this length on a copy lets other threads run."""

_MADV_HUGEPAGE, MADV_POPULATE_WRITE = 14, 23
_MAP_FAILED = ctypes.c_void_p(-1).value

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def _map(fd: int, length: int, protection: int) -> int:
    """Maps a file and returns the address. Raises OSError."""
    address = libc.mmap(None, length, protection, mmap.MAP_SHARED, fd, 0)
    if address is None or address == _MAP_FAILED:
        error = ctypes.get_errno()
        raise OSError(error, f"map {length} bytes of shared memory: {os.strerror(error)}")
    return int(address)


class Mapping:
    """A mapped segment, unmapped when nothing refers to it any more."""

    __slots__ = ("_munmap", "address", "length")

    def __init__(self, fd: int, length: int, protection: int) -> None:
        self._munmap = libc.munmap
        self.length = 0
        self.address = _map(fd, length, protection)
        self.length = length
        libc.madvise(self.address, length, _MADV_HUGEPAGE)  # a refusal costs nothing

    def __del__(self) -> None:
        if self.length:
            self._munmap(self.address, self.length)


# Array types by the exponent of their length: views are slices of an array that is longer than its block, so that few types are needed.
_arrays: dict[int, type[ctypes.Array[ctypes.c_ubyte]]] = {}


class View(weakref.ref["ctypes.Array[ctypes.c_ubyte]"]):
    """Tells when the last view of a value is gone."""

    __slots__ = ("end", "mapping")

    mapping: Mapping
    end: Callable[[], None] | None  # what to do then; takes no lock


# All views that are alive, by id: a weak reference that nobody keeps tells nothing.
_alive: dict[int, View] = {}


def _view_ended(view: weakref.ref[ctypes.Array[ctypes.c_ubyte]], alive: dict[int, View] = _alive) -> None:
    ended = alive.pop(id(view), None)
    if ended is not None and ended.end is not None:
        ended.end()


def view_of(mapping: Mapping, offset: int, length: int, end: Callable[[], None] | None) -> tuple[memoryview, View]:
    """Returns a read-only view of a part of a mapping, and what watches it."""
    exponent = length.bit_length()
    kind = _arrays.get(exponent)
    if kind is None:
        kind = _arrays[exponent] = ctypes.c_ubyte * (1 << exponent)
    array = kind.from_address(mapping.address + offset)
    view = View(array, _view_ended)
    view.mapping, view.end = mapping, end
    _alive[id(view)] = view
    return memoryview(array).cast("B")[:length].toreadonly(), view


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


def split(start: int, length: int, work: Callable[[int, int], object]) -> None:
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
        split(0, size, lambda at, length: ctypes.memmove(address + at, base + at, length))
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
