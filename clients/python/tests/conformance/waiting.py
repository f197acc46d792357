"""Waiting for what becomes true by itself, and looking at processes."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], timeout: float = 15) -> None:
    """Asks until the condition holds. Raises AssertionError after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Says whether a process runs."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
