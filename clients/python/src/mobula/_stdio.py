"""Standard streams of a worker: input is empty, lines go out whole, and say which task or actor wrote them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

MARK = b"\x1e\x1emobula-source "
"""Begins a line that names who writes what follows on the stream, until the next such line."""


class _Output(io.FileIO):
    """A descriptor to which a line that names the writer is written whenever the writer has changed."""

    def __init__(self, fd: int, source: Callable[[], str]) -> None:
        super().__init__(fd, "wb", closefd=False)
        self._source = source
        self._announced = ""
        self._at_line_start = True

    def write(self, data: bytes) -> int | None:  # type: ignore[override]
        source = self._source()
        if source != self._announced and self._at_line_start:
            self._announced = source
            os.write(self.fileno(), MARK + source.replace("\n", " ").encode(errors="replace")[:200] + b"\n")
        written = super().write(data)
        if written:
            self._at_line_start = bytes(data[written - 1 : written]) == b"\n"
        return written


def install(source: Callable[[], str]) -> None:
    """Replaces the standard streams of this process; ``source`` says who writes."""
    sys.stdin = open(os.devnull, encoding="utf-8")
    sys.__stdin__ = sys.stdin  # type: ignore[misc]
    for name, fd in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        if old is not None:
            old.flush()
        raw = io.BufferedWriter(_Output(fd, source))  # type: ignore[type-var]
        errors = "backslashreplace" if fd == 2 else "surrogateescape"
        stream = io.TextIOWrapper(raw, encoding="utf-8", errors=errors, line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def flush() -> None:
    """Writes what the streams have not written; a stream that is closed or broken has nothing more to say."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        pass
    try:
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass
