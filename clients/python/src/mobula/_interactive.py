"""What code needs that was typed at a prompt or in a notebook."""

from __future__ import annotations

import linecache
import os
import re
import signal

_FRAME = re.compile(r'^( *)File "(.+)", line (\d+), in .*$', re.MULTILINE)


def with_lines(traceback: str) -> str:
    """Returns the traceback of a worker with the lines of typed code that its frames lack: only the process where it was typed knows them."""

    def add(frame: re.Match[str]) -> str:
        indent, name, number = frame.groups()
        if traceback.startswith(indent + "  ", frame.end() + 1) or name not in linecache.cache or os.path.exists(name):
            return frame[0]
        line = linecache.getline(name, int(number)).strip()
        return f"{frame[0]}\n{indent}  {line}" if line else frame[0]

    return _FRAME.sub(add, traceback)


def wake_kernel_on_signals() -> None:
    """Has an interrupt end a notebook's cell that awaits.

    ipykernel cancels such a cell in its event loop, from a signal handler, which alone does not wake a loop that waits for a socket.
    """
    import asyncio

    try:
        loop = asyncio.get_running_loop()
        previous = signal.set_wakeup_fd(loop._csock.fileno(), warn_on_full_buffer=False)  # type: ignore[attr-defined]
        if previous != -1:  # somebody has seen to it
            signal.set_wakeup_fd(previous)
    except (RuntimeError, ValueError, AttributeError):  # no loop, not the main thread, or a loop that is made otherwise
        pass
