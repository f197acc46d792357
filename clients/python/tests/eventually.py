"""Waiting for what becomes true by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

SECONDS = 20.0


def eventually(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Returns what a condition gives once that is true. Raises AssertionError when it is not in time."""
    deadline = time.monotonic() + SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {SECONDS:g} s"
        time.sleep(0.01)
    return value
