"""Ray's ``ray._private.utils``, as far as programs use it."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

__all__ = ["binary_to_hex", "get_num_cpus", "get_or_create_event_loop", "get_system_memory", "hex_to_binary"]


def hex_to_binary(hex_identifier: str) -> bytes:
    """Returns the bytes that the hexadecimal digits name."""
    return bytes.fromhex(hex_identifier)


def binary_to_hex(identifier: bytes) -> str:
    """Returns the hexadecimal digits of the bytes."""
    return identifier.hex()


def get_num_cpus(*_: Any, **__: Any) -> int:
    """Returns how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def get_system_memory(*_: Any, **__: Any) -> int:
    """Returns the memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def get_or_create_event_loop() -> asyncio.AbstractEventLoop:
    """Returns the event loop that runs; a new one, set as this thread's, when none does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop
