"""A pool of processes with the interface of :class:`multiprocessing.pool.Pool`."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from multiprocessing import TimeoutError
from queue import SimpleQueue
from typing import Any, NoReturn

import mobula

__all__ = ["AsyncResult", "IMapIterator", "Pool", "TimeoutError"]

_CHUNKS_PER_PROCESS = 4

_LOOK_S = 0.001
"""How old may be what the pool knows of its processes' loads when it gives out work."""


class _Failure:
    """The outcome of one call that raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Process:
    """The actor that is one process of a pool."""

    def __init__(self, initializer: Callable[..., Any] | None, initargs: tuple[Any, ...]) -> None:
        if initializer is not None:
            initializer(*initargs)

    def ready(self) -> None:
        """Returns when the process has been initialised."""

    def run(self, func: Callable[..., Any], calls: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        """Makes some calls one after another; what one raises is its outcome."""
        outcomes: list[Any] = []
        for args, kwargs in calls:
            try:
                outcomes.append(func(*args, **kwargs))
            except Exception as error:
                outcomes.append(_Failure(error))
        return outcomes


class AsyncResult:
    """The outcome of an asynchronous call of a pool, as :class:`multiprocessing.pool.AsyncResult`."""

    def __init__(
        self,
        pool: Pool,
        refs: list[Any],
        single: bool,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> None:
        self._refs = refs
        self._single = single
        self._outcome: list[Any] | None = None
        self._lock = threading.Lock()
        if callback is not None or error_callback is not None:
            pool._tell_when_done(self, callback, error_callback)

    def _tell(self, callback: Callable[[Any], object] | None, error_callback: Callable[[BaseException], object] | None) -> None:
        try:
            value = self._value(None)
        except Exception as error:
            if error_callback is not None:
                error_callback(error)
            return
        if callback is not None:
            callback(value)

    def _outcomes(self, timeout: float | None) -> list[Any]:
        with self._lock:
            if self._outcome is None:
                try:
                    batches = mobula.get(self._refs, timeout=timeout)
                except mobula.exceptions.GetTimeoutError:
                    raise TimeoutError from None
                except Exception as error:  # a process that died takes its calls with it
                    batches = [[_Failure(error)]]
                self._outcome = [outcome for batch in batches for outcome in batch]
            return self._outcome

    def _value(self, timeout: float | None) -> Any:
        outcomes = self._outcomes(timeout)
        for outcome in outcomes:
            if isinstance(outcome, _Failure):
                raise outcome.error
        return outcomes[0] if self._single else list(outcomes)

    def wait(self, timeout: float | None = None) -> None:
        """Waits until the outcome is known, at most ``timeout`` seconds."""
        if self._refs:
            mobula.wait(self._refs, num_returns=len(self._refs), timeout=timeout)

    def get(self, timeout: float | None = None) -> Any:
        """Returns the result or raises what the call raised; ``multiprocessing.TimeoutError`` after ``timeout`` seconds."""
        return self._value(timeout)

    def ready(self) -> bool:
        """Reports whether the outcome is known."""
        return not self._refs or len(mobula.wait(self._refs, num_returns=len(self._refs), timeout=0)[0]) == len(self._refs)

    def successful(self) -> bool:
        """Reports whether nothing was raised. Raises ``ValueError`` while the outcome is not known."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return not any(isinstance(outcome, _Failure) for outcome in self._outcomes(None))


class _Teller:
    """The thread of a pool on which callbacks run, one after another, as the outcomes come."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="mobula-pool", daemon=True).start()

    def _run(self) -> None:
        while (tell := self._queue.get()) is not None:
            try:
                tell()
            except Exception as e:  # of a callback: as an unhandled one in any thread
                sys.excepthook(type(e), e, e.__traceback__)
            del tell

    def add(self, refs: list[Any], tell: Callable[[], None]) -> None:
        """Has ``tell`` called when all the refs are ready."""
        if not refs:
            self._queue.put(tell)
            return
        left = count(len(refs) - 1, -1)

        def ready(_: Any) -> None:  # on the one thread that serves futures
            if next(left) == 0:
                self._queue.put(tell)

        for ref in refs:
            ref.future().add_done_callback(ready)

    def close(self) -> None:
        """Ends the thread when it has told what it was given so far."""
        self._queue.put(None)


class IMapIterator:
    """Yields the results of a lazy map; of a call that raised it yields the exception, as Ray does, and goes on.

    ``next(timeout)`` raises ``multiprocessing.TimeoutError`` when no result comes in time.
    """

    def __init__(self, pool: Pool, func: Callable[..., Any], values: Iterable[Any], chunksize: int, ordered: bool) -> None:
        self._pool = pool
        self._values = iter(values)
        self._func = _shared(func)
        self._chunksize = chunksize
        self._ordered = ordered
        self._pending: deque[Any] = deque()
        self._ready: deque[Any] = deque()
        pool._lazy.add(self)
        self._fill(2 * pool.processes)

    def _fill(self, most: float) -> None:
        """Submits batches until so many are under way."""
        while len(self._pending) < most:
            chunk: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((value,), {}) for value in islice(self._values, self._chunksize)]
            if not chunk:
                return
            self._pending.append(self._pool._submit(self._func, chunk))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """Returns the next result, or the exception that its call raised."""
        if not self._ready:
            if not self._pending:
                raise StopIteration
            candidates = [self._pending[0]] if self._ordered else list(self._pending)
            ready, _ = mobula.wait(candidates, timeout=timeout)
            if not ready:
                raise TimeoutError
            self._pending.remove(ready[0])
            self._fill(2 * self._pool.processes)
            try:
                self._ready.extend(mobula.get(ready[0]))
            except Exception as error:  # a process that died takes its calls with it
                self._ready.append(_Failure(error))
        outcome = self._ready.popleft()
        return outcome.error if isinstance(outcome, _Failure) else outcome


def _shared(func: Callable[..., Any]) -> Any:
    """Returns what stands for a function that many batches call: what it captures is sent once."""
    return mobula.put(func)


def _processes(wanted: int | None, cpus_each: float, address: str | None) -> int:
    """Returns the number of processes of a pool, opening the session if there is none. Raises ``ValueError`` for more than fit."""
    if not mobula.is_initialized():
        joins = address is not None or os.environ.get("MOBULA_ADDRESS") or os.environ.get("RAY_ADDRESS")
        mobula.init(address=address, num_cpus=None if joins else wanted)
    cpus = int(mobula.cluster_resources().get("CPU", 0))
    if wanted is None:
        return max(1, cpus)
    if wanted * cpus_each > cpus:
        raise ValueError(f"a pool of {wanted} processes needs {wanted * cpus_each:g} CPUs, and the cluster has {cpus}")
    return wanted


class Pool:
    """A pool of worker processes, each an actor, with the interface of :class:`multiprocessing.pool.Pool`.

    Args:
        processes: number of processes; default all CPUs of the cluster.
        initializer: called with ``initargs`` in each process before it does anything else.
        initargs: arguments of the initializer.
        maxtasksperchild: batches after which a process is replaced; default never.
        context: accepted for compatibility; it has no meaning here.
        ray_address: address of the cluster, as for ``init``.
        ray_remote_args: options of the actors.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
    ) -> None:
        del context
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if processes is not None and processes <= 0:
            raise ValueError("Processes in the pool must be >0.")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        options = {"num_cpus": 1, "max_restarts": -1, **(ray_remote_args or {})}  # a process that dies is replaced
        self.processes = _processes(processes, options["num_cpus"], ray_address)
        self._initializer = initializer
        self._initargs = tuple(initargs or ())
        self._max_batches = maxtasksperchild
        self._actor_class = mobula.remote(_Process).options(**options)
        self._actors = [self._new_actor() for _ in range(self.processes)]
        self._batches = [0] * self.processes
        self._looked_at = 0.0
        self._loads: list[deque[Any]] = [deque() for _ in range(self.processes)]
        self._lazy: weakref.WeakSet[IMapIterator] = weakref.WeakSet()
        self._teller: _Teller | None = None
        self._lock = threading.Lock()  # guards _actors, _batches, _loads and _looked_at: callbacks may submit too
        self._closed = False
        self._ended: list[Any] = []
        self._ready = [actor.ready.remote() for actor in self._actors]

    def _new_actor(self) -> Any:
        return self._actor_class.remote(self._initializer, self._initargs)

    def _submit(self, func: Any, calls: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> Any:
        """Gives a batch of calls to the process that has the least to do, and returns the ref of their outcomes."""
        with self._lock:
            return self._submit_locked(func, calls)

    def _submit_locked(self, func: Any, calls: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> Any:
        loads = self._loads
        if time.monotonic() - self._looked_at > _LOOK_S:
            for load in loads:
                while load and mobula.wait([load[0]], timeout=0)[0]:  # a process works in order
                    load.popleft()
            self._looked_at = time.monotonic()
        best = min(range(len(loads)), key=lambda i: len(loads[i]))
        if self._max_batches is not None and self._batches[best] >= self._max_batches:
            self._ended.append(self._actors[best].__ray_terminate__.remote())
            self._actors[best], self._batches[best] = self._new_actor(), 0
        self._batches[best] += 1
        ref = self._actors[best].run.remote(func, calls)
        self._loads[best].append(ref)
        return ref

    def _tell_when_done(
        self, result: AsyncResult, callback: Callable[[Any], object] | None, error_callback: Callable[[BaseException], object] | None
    ) -> None:
        if self._teller is None:
            self._teller = _Teller()
        self._teller.add(result._refs, lambda: result._tell(callback, error_callback))

    def _check_running(self) -> None:
        if self._closed:
            raise ValueError("Pool not running")

    def _chunk(self, calls: list[tuple[tuple[Any, ...], dict[str, Any]]], chunksize: int | None) -> Iterator[list[Any]]:
        if chunksize is None:
            chunksize = max(1, math.ceil(len(calls) / (self.processes * _CHUNKS_PER_PROCESS)))
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize}")
        for i in range(0, len(calls), chunksize):
            yield calls[i : i + chunksize]

    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
        *,
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Calls ``func(*args, **kwds)`` in a process and returns its result. ``kwargs`` is another name of ``kwds``."""
        return self.apply_async(func, args, kwds, kwargs=kwargs).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        *,
        kwargs: dict[str, Any] | None = None,
    ) -> AsyncResult:
        """Like ``apply``, without waiting. A callback is called in a thread when the outcome is known."""
        self._check_running()
        refs = [self._submit(func, [(tuple(args or ()), {**(kwds or {}), **(kwargs or {})})])]
        return AsyncResult(self, refs, True, callback, error_callback)

    def map(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        """Returns ``[func(x) for x in iterable]``, computed in batches of ``chunksize``."""
        results: list[Any] = self.map_async(func, iterable, chunksize).get()
        return results

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """Like ``map``, without waiting."""
        self._check_running()
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((value,), {}) for value in iterable]
        shared = _shared(func)
        refs = [self._submit(shared, chunk) for chunk in self._chunk(calls, chunksize)]
        return AsyncResult(self, refs, False, callback, error_callback)

    def starmap(self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]], chunksize: int | None = None) -> list[Any]:
        """Returns ``[func(*x) for x in iterable]``, computed in batches of ``chunksize``."""
        results: list[Any] = self.starmap_async(func, iterable, chunksize).get()
        return results

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """Like ``starmap``, without waiting."""
        self._check_running()
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [(tuple(values), {}) for values in iterable]
        shared = _shared(func)
        refs = [self._submit(shared, chunk) for chunk in self._chunk(calls, chunksize)]
        return AsyncResult(self, refs, False, callback, error_callback)

    def imap(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1) -> IMapIterator:
        """Yields ``func(x)`` for each x, or the exception that it raised, in order, taking values as processes need them."""
        self._check_running()
        return IMapIterator(self, func, iterable, chunksize or 1, ordered=True)

    def imap_unordered(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1) -> IMapIterator:
        """Like ``imap``, in the order in which results are ready."""
        self._check_running()
        return IMapIterator(self, func, iterable, chunksize or 1, ordered=False)

    def close(self) -> None:
        """Takes no more work; what was given goes on. ``join`` waits for it."""
        if self._closed:
            return
        self._closed = True
        for results in list(self._lazy):
            results._fill(math.inf)
        self._ended += [actor.__ray_terminate__.remote() for actor in self._actors]

    def terminate(self) -> None:
        """Ends the processes at once; what they do is lost."""
        self._closed = True
        for actor in self._actors:
            mobula.kill(actor)
        self._ended = []
        if self._teller is not None:
            self._teller.close()

    def join(self) -> None:
        """Waits until the processes have ended. Raises ``ValueError`` unless ``close`` or ``terminate`` was called."""
        if not self._closed:
            raise ValueError("Pool is still running")
        if self._ended:
            mobula.wait(self._ended, num_returns=len(self._ended))
        self._ended = []

    def __reduce__(self) -> NoReturn:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def __del__(self) -> None:
        teller = getattr(self, "_teller", None)  # a pool that was refused has none
        if teller is not None:
            teller.close()

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()
