"""The items of streaming calls, as they arrive."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mobula._session.parts import U32, GetTimeout, Waiter

if TYPE_CHECKING:
    from mobula._session.link import Link


class Stream:
    """The items of a streaming call, as they arrive.

    Items are counted from 1; item i is object i of the task. An item that next() or try_next() returned is held for the caller, who releases it as
    any other id; those that were not taken are released by close().

    Attributes:
        task_id: the task; object 0 of it tells how the stream ended: the number of items, or the error. It is held for the caller from the start.
        arrived: items 1 to arrived are known here.
        taken: how many items were returned.
        ended: no more items will arrive.
        given_up: the node was told that nobody reads any more. Guarded by the session's lock.
    """

    __slots__ = ("_session", "arrived", "closed", "ended", "given_up", "taken", "task_id")

    def __init__(self, session: Link, task_id: bytes) -> None:
        self._session = session
        self.task_id = task_id
        self.arrived = 0
        self.taken = 0
        self.ended = False
        self.closed = False
        self.given_up = False

    def next(self, timeout: float | None = None) -> bytes | None:
        """Waits for the next item and returns its id; None when the stream has ended and all items were taken. Raises GetTimeout."""
        item = self.try_next()
        if item is not None or self.ended:
            return item or self.try_next()
        session = self._session
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            waiter = Waiter()
            with session._lock:
                if self.arrived > self.taken or self.ended:
                    break
                session._parked.setdefault(self.task_id, []).append(waiter)
            try:
                came = session._wait(waiter, deadline)
            finally:
                if waiter.need > 0:
                    session._forget(waiter, (self.task_id,))
            if not came:
                raise GetTimeout(f"the next item of the stream did not come within {timeout} s")
        return self.try_next()

    def try_next(self) -> bytes | None:
        """Returns the id of the next item if it has arrived, else None."""
        with self._session._lock:
            if self.taken >= self.arrived:
                return None
            self.taken = taken = self.taken + 1
        return self.task_id + U32(taken)

    def on_next(self, callback: Callable[[], None]) -> None:
        """Calls callback once, as soon as an item can be taken or the stream has ended: at once if that is so."""
        session = self._session
        with session._lock:
            wait = self.arrived <= self.taken and not self.ended
            if wait:
                session._callbacks.setdefault(self.task_id, []).append(lambda _: callback())
        if wait:
            session._start_reader()
        else:
            callback()

    def close(self) -> None:
        """Gives up the items that were not taken, and lets the producer go on. It takes no lock, for finalisers."""
        self.closed = True
        self._session._closed_streams.append(self)
        self._session._arm()
