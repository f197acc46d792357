"""Ray's ``ray._private.ray_microbenchmark_helpers``: the timer of ``ray microbenchmark``, for its script to import."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mobula import bench

__all__ = ["asyncio_timeit", "ray_setup_and_teardown", "timeit"]

# Which lines to run, and which to leave out, by a part of their names.
filter_pattern = os.environ.get("TESTS_TO_RUN", "")
skip_pattern = os.environ.get("TESTS_TO_SKIP", "")


def timeit(name: str, fn: Callable[[], Any], multiplier: float = 1, warmup_time_sec: float = 10) -> list[tuple[str, float, float] | None]:
    """Measures one line as Ray does, prints it, and returns it as [(name, mean, sd)]; [None] for one that is left out."""
    if filter_pattern not in name or (skip_pattern and skip_pattern in name):
        return [None]
    line = bench.measure(name, fn, multiplier, pause_s=warmup_time_sec)
    print(line)
    return [(name, line.mean, line.sd)]


async def asyncio_timeit(
    name: str, async_fn: Callable[[], Awaitable[Any]], multiplier: float = 1, warmup_time_sec: float = 10
) -> list[tuple[str, float, float] | None]:
    """Measures a coroutine function, on a loop and thread of its own."""

    def run() -> list[tuple[str, float, float] | None]:
        loop = asyncio.new_event_loop()
        try:
            return timeit(name, lambda: loop.run_until_complete(async_fn()), multiplier, warmup_time_sec)
        finally:
            loop.close()

    return await asyncio.to_thread(run)


@contextmanager
def ray_setup_and_teardown(**init_args: Any) -> Iterator[None]:
    """Runs its block between init and shutdown."""
    import mobula

    mobula.init(**init_args)
    try:
        yield None
    finally:
        mobula.shutdown()
