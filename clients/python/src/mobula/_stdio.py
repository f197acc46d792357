"""Standard streams of a worker: input is empty, lines go out whole, and say which task or actor wrote them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any

MARK = b"\x1e\x1emobula-source "
"""Begins a line that names who writes what follows on the stream, until the next such line: the name, and after a separator the task's id."""

_SEPARATOR = b"\x1f"


class _Output(io.FileIO):
    """A descriptor to which a line that names the writer is written whenever the writer has changed."""

    def __init__(self, fd: int, source: Callable[[], tuple[str, bytes]]) -> None:
        super().__init__(fd, "wb", closefd=False)
        self._source = source
        self._announced = ("", b"")
        self._at_line_start = True

    def write(self, data: bytes) -> int | None:  # type: ignore[override]
        source = self._source()
        if source != self._announced and self._at_line_start:
            self._announced = source
            name, task = source
            label = name.replace("\n", " ").encode(errors="replace")[:200]
            mark = MARK + label + (_SEPARATOR + task.hex().encode() if task else b"") + b"\n"
            written = self._write_after(mark, data)
        else:
            written = super().write(data)
        if written:
            self._at_line_start = bytes(data[written - 1 : written]) == b"\n"
        return written

    def _write_after(self, mark: bytes, data: bytes) -> int | None:
        """Writes a mark, which must go out whole, and data; returns how much of the data was written."""
        written = super().write(mark + data)
        if written is None:
            return None
        while written < len(mark):
            written += os.write(self.fileno(), mark[written:])
        return written - len(mark)


class _Dirty:
    """Whether something was written to the standard streams since they were last flushed."""

    __slots__ = ("streams", "value")

    def __init__(self) -> None:
        self.value = True
        self.streams: tuple[Any, Any] | None = None  # those that say so when they are written to


_dirty = _Dirty()


class _Bytes(io.BufferedWriter):
    """Notes that it was written to."""

    def write(self, data: Any, /) -> int:
        _dirty.value = True
        return super().write(data)


class _Text(io.TextIOWrapper):
    """Notes that it was written to."""

    def write(self, s: str, /) -> int:
        _dirty.value = True
        return super().write(s)


def install(source: Callable[[], tuple[str, bytes]]) -> None:
    """Replaces the standard streams of this process; ``source`` says who writes: its name, and the id of its task or nothing."""
    sys.stdin = open(os.devnull, encoding="utf-8")
    sys.__stdin__ = sys.stdin  # type: ignore[misc]
    for name, fd in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        if old is not None:
            old.flush()
        raw = _Bytes(_Output(fd, source))  # type: ignore[arg-type]
        errors = "backslashreplace" if fd == 2 else "surrogateescape"
        stream = _Text(raw, encoding="utf-8", errors=errors, line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    _dirty.streams = sys.stdout, sys.stderr


def flush() -> None:
    """Writes what the streams have not written; a stream that is closed or broken has nothing more to say."""
    if not _dirty.value and _dirty.streams == (sys.stdout, sys.stderr):
        return
    _dirty.value = False
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        pass
    try:
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass
