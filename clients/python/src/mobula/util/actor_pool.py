"""A fixed set of actors that share out calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import mobula

V = TypeVar("V")

__all__ = ["ActorPool"]


class ActorPool:
    """Runs calls on whichever of its actors is free.

    ``fn(actor, value)`` makes one call and returns its ref; a pool hands each value to an actor that has nothing else of the
    pool's to do, and keeps values for which none is free until one is. Results come in the order of submission (``get_next``,
    ``map``) or as they are ready (``get_next_unordered``, ``map_unordered``); the two must not be mixed within one series of
    submissions. A pool is used from one thread.
    """

    def __init__(self, actors: Iterable[Any]) -> None:
        """Makes a pool of actors that nobody else gives work to."""
        self._idle = list(actors)  # the last one is next: its process is the warmest
        self._actor_of: dict[Any, tuple[int, Any]] = {}  # ref of a call under way: its number and its actor
        self._ref_of: dict[int, Any] = {}  # number of a call whose result was not taken: its ref
        self._next_submit = 0
        self._next_return = 0
        self._waiting: deque[tuple[Callable[[Any, Any], Any], Any]] = deque()

    def map(self, fn: Callable[[Any, V], Any], values: Iterable[V]) -> Iterator[Any]:
        """Submits ``fn(actor, value)`` for all values and yields the results in their order.

        What was submitted before and not taken is waited for and forgotten. Raises what a call raised, when its turn comes.
        """
        self._drop_results()
        for value in values:
            self.submit(fn, value)

        def results() -> Iterator[Any]:
            while self.has_next():
                yield self.get_next()

        return results()

    def map_unordered(self, fn: Callable[[Any, V], Any], values: Iterable[V]) -> Iterator[Any]:
        """Like ``map``, but yields results as they become ready."""
        self._drop_results()
        for value in values:
            self.submit(fn, value)

        def results() -> Iterator[Any]:
            while self.has_next():
                yield self.get_next_unordered()

        return results()

    def submit(self, fn: Callable[[Any, V], Any], value: V) -> None:
        """Makes the call ``fn(actor, value)`` now, or as soon as an actor is free.

        The pool notices that an actor is free when a result is taken.
        """
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        try:
            ref = fn(actor, value)
        except BaseException:
            self._idle.append(actor)
            raise
        key = tuple(ref) if isinstance(ref, list) else ref
        self._actor_of[key] = (self._next_submit, actor)
        self._ref_of[self._next_submit] = ref
        self._next_submit += 1

    def has_next(self) -> bool:
        """Reports whether there are results that were not taken."""
        return bool(self._actor_of)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """Returns the next result in the order of submission.

        Raises ``StopIteration`` when there is none, ``TimeoutError`` when it is not ready within ``timeout`` seconds: it can then
        be waited for again, unless ``ignore_if_timedout`` says to pass over it. Raises what the call raised.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        if self._next_return not in self._ref_of:
            raise ValueError("get_next cannot follow get_next_unordered while calls of the same series are under way")
        ref = self._ref_of[self._next_return]
        last = ref[-1] if isinstance(ref, list) else ref  # the results of one call are ready together
        timed_out = timeout is not None and not mobula.wait([last], timeout=timeout)[0]
        if timed_out and not ignore_if_timedout:
            raise TimeoutError(f"Timed out waiting for result for {timeout} s")
        del self._ref_of[self._next_return]
        self._next_return += 1
        _, actor = self._actor_of.pop(tuple(ref) if isinstance(ref, list) else ref)
        self._free(actor)
        if timed_out:
            raise TimeoutError(f"Timed out waiting for result for {timeout} s. The task {ref} has been ignored.")
        return mobula.get(ref)

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """Returns the result that is ready first, of those that were not taken.

        Raises ``StopIteration`` when there is none, ``TimeoutError`` when none is ready within ``timeout`` seconds. Raises what the
        call raised.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        key_of = {key[-1] if isinstance(key, tuple) else key: key for key in self._actor_of}
        ready, _ = mobula.wait(list(key_of), num_returns=1, timeout=timeout)
        if not ready and not ignore_if_timedout:
            raise TimeoutError(f"Timed out waiting for result for {timeout} s")
        number, actor = self._actor_of.pop(key_of[ready[0]] if ready else next(iter(self._actor_of)))
        self._free(actor)
        ref = self._ref_of.pop(number)
        self._next_return = max(self._next_return, number + 1)
        if not ready:
            raise TimeoutError(f"Timed out waiting for result for {timeout} s. The task {ref} has been ignored.")
        return mobula.get(ref)

    def has_free(self) -> bool:
        """Reports whether an actor is free and nothing waits for one."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any | None:
        """Takes a free actor out of the pool; None when none is free."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Adds an actor. Raises ``ValueError`` when it is in the pool already."""
        if actor in self._idle or any(actor is busy for _, busy in self._actor_of.values()):
            raise ValueError("Actor already belongs to current ActorPool")
        self._free(actor)

    def _free(self, actor: Any) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.popleft())

    def _drop_results(self) -> None:
        while self.has_next():
            try:
                self.get_next_unordered()
            except Exception:  # the result of an earlier series, which nobody wants any more
                continue
