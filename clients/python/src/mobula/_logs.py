"""What workers print, at the driver: each line with who printed it, equal lines of many processes once.

Lines of standard output go to the driver's standard output, those of standard error to its standard error. A line that another
process has printed before, numbers aside, is held back and counted for five seconds, then shown once with the count:
``MOBULA_DEDUP_LOGS=0`` (or ``RAY_DEDUP_LOGS=0``) switches that off.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TextIO

from mobula._stdio import MARK

_WINDOW_S = 5.0
_SETTLE_S = 0.12  # the node collects lines for 0.05 s
_SETTLE_MOST_S = 1.0
_PATTERNS_MAX = 4096
_ERRORS_MAX = 10  # unhandled errors that are shown within _WINDOW_S
_PENDING_MAX = 10_000  # notices that may wait for an output that takes nothing; more are dropped and counted
_NUMBERS = re.compile(r"[0-9a-fA-F]*\d[0-9a-fA-F]*|\s+")
_MARK = MARK.decode()
_CYAN, _GREEN, _YELLOW, _RESET = "\033[36m", "\033[32m", "\033[33m", "\033[0m"
_STDERR, _WARNING = 2, 3  # kinds of notices


class _Pattern:
    """A line, numbers aside, that was printed lately."""

    __slots__ = ("count", "line", "pids", "prefix", "since")

    def __init__(self, since: float, pid: int, prefix: str) -> None:
        self.since = since
        self.pids = {pid}
        self.count = 0  # lines that were held back
        self.line = ""  # the last of them
        self.prefix = prefix


class Deduplicator:
    """Decides which lines to show now, and which to hold back and count. Not safe for concurrent use."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent: dict[str, _Pattern] = {}  # in the order in which their windows began

    def add(self, pid: int, prefix: str, line: str) -> bool:
        """Notes a line and reports whether to show it."""
        key = _NUMBERS.sub("", line)
        if not key:
            return True
        known = self._recent.get(key)
        if known is None:
            if len(self._recent) < _PATTERNS_MAX:
                self._recent[key] = _Pattern(self._clock(), pid, prefix)
            return True
        known.pids.add(pid)
        if len(known.pids) == 1:
            return True  # a process may repeat itself
        known.count += 1
        known.line, known.prefix = line, prefix
        return False

    def due(self, everything: bool = False) -> list[tuple[str, str, int]]:
        """Returns lines whose time has come, each as (prefix, line, how often it was held back)."""
        now = self._clock()
        out = []
        while self._recent:
            key, pattern = next(iter(self._recent.items()))
            if not everything and now - pattern.since < _WINDOW_S:
                break
            del self._recent[key]
            if pattern.count:
                out.append((pattern.prefix, pattern.line, pattern.count))
                if not everything and pattern.count > 1:  # it goes on: count again
                    pattern.since, pattern.count = now, 0
                    self._recent[key] = pattern
        return out

    @property
    def next_due(self) -> float | None:
        """How many seconds from now something is due, None if nothing is held back."""
        for pattern in self._recent.values():
            if pattern.count:
                return max(0.0, pattern.since + _WINDOW_S - self._clock())
        return None


class Printer:
    """Prints notices on a thread of its own, so that an output that is stuck stops nobody."""

    def __init__(self, *, lines: bool = True, deduplicate: bool | None = None) -> None:
        """Makes a printer, with ``lines`` of what workers print, else of unhandled errors only."""
        self._lines = lines
        if deduplicate is None:
            deduplicate = "0" not in (os.environ.get("MOBULA_DEDUP_LOGS"), os.environ.get("RAY_DEDUP_LOGS"))
        self._dedup = {False: Deduplicator(), True: Deduplicator()} if deduplicate else {}
        self._sources: dict[tuple[int, bool], str] = {}
        self._lock = threading.Condition(threading.Lock())
        self._pending: deque[Any] = deque()  # notices, and encoded errors
        self._dropped = 0
        self._closed = False  # all guarded by _lock
        self._thread: threading.Thread | None = None
        self._last = 0.0  # when the last notice came
        self._window = 0.0  # when the first of the errors that are counted was shown
        self._errors = 0

    def notice(self, n: Any) -> None:
        """Takes a notice from the thread that reads the session."""
        self._take(n)

    def unhandled(self, value: bytes) -> None:
        """Takes the encoded error of a call of which nobody was told."""
        self._take(value)

    def _take(self, n: Any) -> None:
        with self._lock:
            if self._closed:
                return
            if len(self._pending) >= _PENDING_MAX:
                self._dropped += 1
                return
            self._pending.append(n)
            self._last = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mobula-logs", daemon=True)
                self._thread.start()
            self._lock.notify()

    def settle(self) -> None:
        """Waits for lines that are on their way: a moment, and on as long as some come."""
        if not self._lines:
            return
        began = time.monotonic()
        while (now := time.monotonic()) < max(began + _SETTLE_S, min(self._last + _SETTLE_S, began + _SETTLE_MOST_S)):
            time.sleep(max(0.005, min(0.02, began + _SETTLE_S - now)))

    def close(self, timeout: float = 1.0) -> None:
        """Prints what is left, for at most ``timeout`` seconds."""
        with self._lock:
            self._closed = True
            self._lock.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._pending and not self._closed:
                    self._lock.wait(self._wait_s())
                notices = list(self._pending)
                self._pending.clear()
                dropped, self._dropped = self._dropped, 0
                closed = self._closed
            try:
                self._print(notices, closed)
                if dropped:
                    sys.stderr.write(f"mobula: {dropped} messages of workers were dropped because the output did not take them\n")
            except (OSError, ValueError, AttributeError):  # the output is closed
                pass
            if closed:
                return

    def _wait_s(self) -> float | None:
        times = [d for dedup in self._dedup.values() if (d := dedup.next_due) is not None]
        return min(times) if times else None

    def _unhandled_text(self, value: bytes) -> list[str]:
        """Returns what to print of an error that nobody was told of: the first few of many that come together."""
        text = _text_of_unhandled(value)
        if not text:
            return []
        now = time.monotonic()
        if now - self._window > _WINDOW_S:
            self._window, self._errors = now, 0
        self._errors += 1
        if self._errors > _ERRORS_MAX:
            return []
        out = [f"Unhandled error (suppress with 'MOBULA_IGNORE_UNHANDLED_ERRORS=1'): {text.rstrip()}"]
        if self._errors == _ERRORS_MAX:
            out.append(f"More unhandled errors of the next {_WINDOW_S:g} seconds are not shown.")
        return out

    def _print(self, notices: list[Any], closed: bool) -> None:
        out: list[tuple[TextIO, str]] = []
        for n in notices:
            if type(n) is bytes:
                out += [(sys.stderr, _line(sys.stderr, _YELLOW, "(mobula)", text)) for text in self._unhandled_text(n)]
                continue
            if n.kind == _WARNING:
                out += [(sys.stderr, _line(sys.stderr, _YELLOW, "(mobula)", line)) for line in n.lines]
                continue
            err = n.kind == _STDERR
            for line in n.lines:
                if line.startswith(_MARK):
                    self._sources[n.pid, err] = line[len(_MARK) :]
                    continue
                source = self._sources.get((n.pid, err)) or n.source
                prefix = f"({source} pid={n.pid})" if source else f"(pid={n.pid})"
                dedup = self._dedup.get(err)
                if dedup is None or dedup.add(n.pid, prefix, line):
                    out.append(_line_to(err, prefix, line))
        for err, dedup in self._dedup.items():
            for prefix, line, count in dedup.due(closed):
                out.append(_line_to(err, prefix, line, count))
        _write(out)


def _text_of_unhandled(value: bytes) -> str:
    """Returns what an encoded error says; nothing of one that is no fault of the task: an actor's death, a cancellation."""
    from mobula import _interactive
    from mobula._errors.read import text_of
    from mobula._gen import value_pb2 as pb

    error = pb.ErrorValue.FromString(pb.Value.FromString(value).meta)
    if error.kind not in (pb.ERROR_KIND_TASK_FAILED, pb.ERROR_KIND_WORKER_CRASHED):
        return ""
    return _interactive.with_lines(error.stack) if error.kind == pb.ERROR_KIND_TASK_FAILED and error.stack else text_of(error)


def _line_to(err: bool, prefix: str, line: str, repeated: int = 0) -> tuple[TextIO, str]:
    """Returns a worker's line as it is shown, and where to."""
    stream = sys.stderr if err else sys.stdout
    return stream, _line(stream, _CYAN, prefix, line, repeated)


def _line(stream: TextIO, colour: str, prefix: str, line: str, repeated: int = 0) -> str:
    coloured = _in_colour(stream)
    if coloured:
        prefix = f"{colour}{prefix}{_RESET}"
    note = ""
    if repeated > 1:
        note = f" [repeated {repeated}x across cluster] (MOBULA_DEDUP_LOGS=0 shows every line)"
        if coloured:
            note = f"{_GREEN}{note}{_RESET}"
    return f"{prefix} {line}{note}\n"


def _write(out: list[tuple[TextIO, str]]) -> None:
    """Writes lines, above the prompt where there is one."""
    prompt = None
    if out and hasattr(sys, "ps1"):
        from mobula import _prompt

        prompt = _prompt.standing()
    if prompt is None:
        for stream, text in out:
            stream.write(text)
    else:
        sys.stdout.write(prompt.erase)
        for stream, text in out:
            stream.write(text.replace("\n", "\r\n") if stream.isatty() else text)
            stream.flush()
        sys.stdout.write(prompt.restore)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _in_colour(stream: TextIO) -> bool:
    wish = os.environ.get("RAY_COLOR_PREFIX")
    if wish == "0" or os.environ.get("NO_COLOR"):
        return False
    try:
        return stream.isatty()
    except (ValueError, AttributeError):
        return False
