"""Segments: what a process makes, allocates in and writes, and what it takes from others."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import time
from bisect import bisect_left

from mobula._store.memory import MADV_POPULATE_WRITE, PAGE, Mapping, libc, split
from mobula._wire import ProtocolError

_SHARED_MAX = 64 << 20
"""Length of a segment that many values share; longer ones are for one value."""
_STEP = 1 << 20
"""The least by which the memory behind a segment grows."""

_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_WRITE, _SEAL_FUTURE_WRITE = 1, 2, 4, 8, 16
_ADD_SEALS, _GET_SEALS = 1033, 1034
_MFD_CLOEXEC, _MFD_ALLOW_SEALING, _MFD_NOEXEC_SEAL = 1, 2, 8


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


class Own:
    """A segment that this process writes."""

    __slots__ = ("backed", "blocks", "emptied", "extents", "fd", "id", "length", "mapping", "memory")

    def __init__(self, number: int, length: int) -> None:
        self.id = number
        self.length = length
        self.fd = -1
        self.fd = _memfd(f"mobula-{number}")
        os.ftruncate(self.fd, length)
        self.mapping = Mapping(self.fd, length, mmap.PROT_READ | mmap.PROT_WRITE)
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
            libc.madvise(self.mapping.address + at, length, MADV_POPULATE_WRITE)  # only saves time

        split(start, end - start, populate)
        self.backed = max(self.backed, end)


def _memfd(name: str) -> int:
    """Makes an anonymous file that can be sealed. Raises OSError."""
    flags = _MFD_CLOEXEC | _MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_NOEXEC_SEAL)
    except OSError:  # before Linux 6.3
        return os.memfd_create(name, flags)


def check(fd: int, length: int) -> None:
    """Checks that a descriptor is a segment of that length which cannot shrink under its readers. Raises ProtocolError."""
    seals = fcntl.fcntl(fd, _GET_SEALS)
    needed = _SEAL_SHRINK | _SEAL_GROW | _SEAL_SEAL
    if seals & needed != needed or os.fstat(fd).st_size != length or length <= 0 or length % PAGE:
        raise ProtocolError(f"a descriptor is not a sealed segment of {length} bytes")
