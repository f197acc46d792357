"""What tests of interactive use share: a program on a terminal of its own, and proof that nothing of it stays behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_SRC = str(Path(__file__).resolve().parents[1] / "src")
SECONDS = 30.0
"""Nothing takes so long."""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]")


class Place:
    """Where programs under test have their nodes, and nobody else has."""

    def __init__(self, directory: str, binary: str) -> None:
        self.directory = directory
        path = os.pathsep.join([_SRC, os.environ.get("PYTHONPATH", "")])
        self.environ = {**os.environ, "TMPDIR": directory, "MOBULA_BINARY": binary, "PYTHONPATH": path}

    def write(self, name: str, program: str) -> None:
        """Writes a file of a program here."""
        path = Path(self.directory, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(program))

    def run(self, *arguments: str, text: str | None = None) -> str:
        """Runs Python here to its end, which must be a good one, and returns what it writes to both outputs."""
        done = subprocess.run(
            [sys.executable, *arguments],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environ,
            cwd=self.directory,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def left(self) -> list[str]:
        """Returns the nodes' directories that are there, and the processes that belong here."""
        found = [name for name in os.listdir(self.directory) if name.startswith("mobula")]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("TMPDIR") == self.directory and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join([str(process.pid), *process.cmdline()]))
        return found

    def assert_empty(self) -> None:
        deadline = time.monotonic() + 10
        while (left := self.left()) and time.monotonic() < deadline:
            select.select([], [], [], 0.05)
        assert not left


@contextlib.contextmanager
def place(binary: str) -> Iterator[Place]:
    """A place whose path is short enough for sockets. What is left in it at the end is a failure, and is removed."""
    directory = tempfile.mkdtemp(prefix="mi-")
    here = Place(directory, binary)
    try:
        yield here
        here.assert_empty()
    finally:
        for word in here.left():
            with contextlib.suppress(ValueError, ProcessLookupError):
                os.kill(int(word.split()[0]), signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)


class Terminal:
    """A program on a terminal of its own, with whoever types at it."""

    def __init__(self, arguments: list[str], here: Place, *, kind: str = "dumb") -> None:
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        self.process = subprocess.Popen(
            arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**here.environ, "TERM": kind, "PYTHON_HISTORY": os.devnull, "IPYTHONDIR": here.directory},
            cwd=here.directory,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self._shown = ""
        self._seen = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)

    def _read(self, timeout: float) -> bool:
        """Reads what the program writes; False at its end."""
        if not select.select([self._fd], [], [], max(0.0, timeout))[0]:
            return True
        try:
            data = os.read(self._fd, 1 << 16).decode(errors="replace")
        except OSError:
            return False
        if "\x1b[6n" in data:  # where is the cursor?
            os.write(self._fd, b"\x1b[1;1R")
        self._shown += data
        return bool(data)

    @property
    def text(self) -> str:
        """All that was shown, without colors and movements of the cursor."""
        return _ESCAPES.sub("", self._shown).replace("\r", "")

    def expect(self, pattern: str) -> str:
        """Waits until what was shown since the last call matches, and returns what did."""
        deadline = time.monotonic() + SECONDS
        running = True
        while True:
            found = re.compile(pattern).search(self.text, self._seen)
            if found:
                self._seen = found.end()
                return found[0]
            assert running and time.monotonic() < deadline, f"no {pattern!r} after:\n{self.text[: self._seen]}\nin:\n{self.text[self._seen :]}"
            running = self._read(deadline - time.monotonic())

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def interrupt(self) -> None:
        """Types Ctrl-C."""
        self.type("\x03")

    def wait(self) -> int:
        """Waits for the end of the program and returns its exit status."""
        deadline = time.monotonic() + SECONDS
        while self._read(0.05) or self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
            if self.process.poll() is not None and not select.select([self._fd], [], [], 0)[0]:
                break
        return self.process.wait(SECONDS)
