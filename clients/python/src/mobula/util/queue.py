"""A first-in, first-out queue that tasks, actors and drivers share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from queue import Empty as _Empty
from queue import Full as _Full
from typing import Any

import mobula

__all__ = ["Empty", "Full", "Queue"]


class Empty(_Empty):
    """The queue has nothing, or not as much, and the caller would not wait or waited too long."""


class Full(_Full):
    """The queue has no room, and the caller would not wait or waited too long."""


class Queue:
    """A queue with the interface of :class:`asyncio.Queue` and of :mod:`queue`, kept by one actor.

    It can be passed to tasks and actors: all copies are the same queue. It ends with the actor: when no copy is left, or at
    ``shutdown``.

    Args:
        maxsize: items that the queue holds at most; 0 or less is without limit.
        actor_options: options of the actor, such as ``{"num_cpus": 1, "name": "jobs"}``.
    """

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        options: dict[str, Any] = actor_options or {}
        self.actor: Any = mobula.remote(_QueueActor).options(**options).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """Returns the number of items."""
        size: int = mobula.get(self.actor.qsize.remote())
        return size

    def qsize(self) -> int:
        """Returns the number of items."""
        return self.size()

    def empty(self) -> bool:
        """Reports whether there is no item."""
        empty: bool = mobula.get(self.actor.empty.remote())
        return empty

    def full(self) -> bool:
        """Reports whether there is no room."""
        full: bool = mobula.get(self.actor.full.remote())
        return full

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Adds an item, waiting for room up to ``timeout`` seconds if ``block``. Raises :class:`Full`."""
        if not block:
            self.put_nowait(item)
            return
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        mobula.get(self.actor.put.remote(item, timeout))

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Like ``put``, for coroutines."""
        if not block:
            await self.actor.put_nowait.remote(item)
            return
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        await self.actor.put.remote(item, timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Takes the oldest item, waiting for one up to ``timeout`` seconds if ``block``. Raises :class:`Empty`."""
        if not block:
            return self.get_nowait()
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        return mobula.get(self.actor.get.remote(timeout))

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """Like ``get``, for coroutines."""
        if not block:
            return await self.actor.get_nowait.remote()
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        return await self.actor.get.remote(timeout)

    def put_nowait(self, item: Any) -> None:
        """Adds an item without waiting. Raises :class:`Full`."""
        mobula.get(self.actor.put_nowait.remote(item))

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Adds all items or none, without waiting. Raises :class:`Full`, ``TypeError`` when ``items`` is not iterable."""
        if not isinstance(items, Iterable):
            raise TypeError("Argument 'items' must be an Iterable")
        mobula.get(self.actor.put_nowait_batch.remote(list(items)))

    def get_nowait(self) -> Any:
        """Takes the oldest item without waiting. Raises :class:`Empty`."""
        return mobula.get(self.actor.get_nowait.remote())

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Takes so many items or none, without waiting. Raises :class:`Empty`."""
        if not isinstance(num_items, int):
            raise TypeError("Argument 'num_items' must be an int")
        if num_items < 0:
            raise ValueError("'num_items' must be nonnegative")
        return mobula.get(self.actor.get_nowait_batch.remote(num_items))

    def shutdown(self, force: bool = False, grace_period_s: int = 5) -> None:
        """Ends the queue: at once if ``force``, else behind the calls that wait, but at the latest after ``grace_period_s`` seconds."""
        if self.actor is None:
            return
        if not force:
            done = self.actor.__ray_terminate__.remote()
            _, waiting = mobula.wait([done], timeout=grace_period_s)
            force = bool(waiting)
        if force:
            mobula.kill(self.actor, no_restart=True)
        self.actor = None


class _QueueActor:
    """The actor that keeps the items."""

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def qsize(self) -> int:
        return self._queue.qsize()

    async def empty(self) -> bool:
        return self._queue.empty()

    async def full(self) -> bool:
        return self._queue.full()

    async def put(self, item: Any, timeout: float | None = None) -> None:
        try:
            await asyncio.wait_for(self._queue.put(item), timeout)
        except TimeoutError:
            raise Full from None

    async def get(self, timeout: float | None = None) -> Any:
        try:
            return await asyncio.wait_for(self._queue.get(), timeout)
        except TimeoutError:
            raise Empty from None

    async def put_nowait(self, item: Any) -> None:
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            raise Full from None

    async def put_nowait_batch(self, items: list[Any]) -> None:
        size = self._queue.qsize()
        if 0 < self._maxsize < len(items) + size:
            raise Full(f"Cannot add {len(items)} items to queue of size {size} and maxsize {self._maxsize}.")
        for item in items:
            self._queue.put_nowait(item)

    async def get_nowait(self) -> Any:
        try:
            return self._queue.get_nowait()
        except asyncio.QueueEmpty:
            raise Empty from None

    async def get_nowait_batch(self, num_items: int) -> list[Any]:
        size = self._queue.qsize()
        if num_items > size:
            raise Empty(f"Cannot get {num_items} items from queue of size {size}.")
        return [self._queue.get_nowait() for _ in range(num_items)]
