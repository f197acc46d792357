"""Actors whose methods run side by side: on threads, or in an event loop. Each concurrency group has a limit of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from mobula import _run, _stdio, _values
from mobula._context import Task, current
from mobula._remote import is_coroutine

if TYPE_CHECKING:
    from mobula._run import Entry
    from mobula._worker import Worker

_DEFAULT = ""
"""Name of the group of methods that are in no other."""


class Lanes(Protocol):
    """Runs the calls of an actor side by side."""

    def submit(self, m: Any) -> None:
        """Runs a call when its group has room; called on the main thread."""

    def cancel(self, handle: int) -> None:
        """Tells a call that runs that it was cancelled."""

    def drop(self, handle: int) -> Any:
        """Takes a call that waits for its turn out of the queues and returns it, None when there is none."""


def _limits(worker: Worker) -> dict[str, int]:
    options = worker.actor_template.options
    return {_DEFAULT: max(1, options.max_concurrency), **options.concurrency_groups}


class Threads:
    """Runs calls on threads: as many for each group as its limit, started when they are first needed."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._limits = _limits(worker)
        self._lock = threading.Lock()  # guards the fields below
        self._calls: dict[str, deque[Any]] = {group: deque() for group in self._limits}
        self._news = {group: threading.Condition(self._lock) for group in self._limits}
        self._idle = dict.fromkeys(self._limits, 0)  # threads that wait for calls
        self._started = dict.fromkeys(self._limits, 0)

    def submit(self, m: Any) -> None:
        """Runs a call when its group has room."""
        group = _group(self._worker, m, self._limits)
        with self._lock:
            self._calls[group].append(m)
            start = len(self._calls[group]) > self._idle[group] and self._started[group] < self._limits[group]
            if start:
                self._started[group] += 1
            else:
                self._news[group].notify()
            number = self._started[group]
        if start:
            threading.Thread(target=self._serve, args=(group,), name=f"mobula-{group or 'actor'}-{number}", daemon=True).start()

    def _serve(self, group: str) -> None:
        calls, worker = self._calls[group], self._worker
        while True:
            with self._lock:
                while not calls:
                    self._idle[group] += 1
                    self._news[group].wait()
                    self._idle[group] -= 1
                m = calls.popleft()
            worker.execute(m)
            del m
            if not calls:
                worker.session.flush()

    def cancel(self, handle: int) -> None:
        """Does nothing more: a method on a thread asks ``is_canceled``."""

    def drop(self, handle: int) -> Any:
        """Takes a call that waits out of its queue."""
        with self._lock:
            return _take(self._calls, handle)


def _group(worker: Worker, m: Any, groups: dict[str, Any]) -> str:
    """Returns the group of a call; a call whose code cannot be loaded fails in the first."""
    try:
        group = worker.entry(m.template).group
    except Exception:  # which running it reports
        return _DEFAULT
    return group if group in groups else _DEFAULT


def _take(queues: dict[str, deque[Any]], handle: int) -> Any:
    """Removes a call from the queues and returns it."""
    for calls in queues.values():
        for m in calls:
            if m.handle == handle:
                calls.remove(m)
                return m
    return None


class Loop:
    """Runs calls in an event loop on the main thread; methods that are not async run there too, one at a time."""

    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        self._worker = worker
        self._loop = loop
        self._free = _limits(worker)  # calls that each group may still begin
        self._waiting: dict[str, deque[Any]] = {group: deque() for group in self._free}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._flushing = False
        self._reading = False  # in `readable`, which drains
        self._main = threading.get_ident()
        self.ended: asyncio.Future[int] = loop.create_future()

    def submit(self, m: Any) -> None:
        """Runs a call when its group has room."""
        group = _group(self._worker, m, self._free)
        if self._free[group] <= 0:
            self._waiting[group].append(m)
            return
        self._free[group] -= 1
        self._start(m, group)

    def _start(self, m: Any, group: str) -> None:
        task = self._loop.create_task(self._run(m, group))
        self._running[m.handle] = task

    async def _run(self, m: Any, group: str) -> None:
        try:
            await self._execute(m)
        finally:
            self._running.pop(m.handle, None)
            if self._waiting[group]:
                self._start(self._waiting[group].popleft(), group)
            else:
                self._free[group] += 1
            self._flush_soon()

    async def _execute(self, m: Any) -> None:
        worker = self._worker
        task = worker.begin(m)
        current.set(task)  # in the context of this asyncio task only
        entry = None
        started = time.perf_counter_ns()
        try:
            entry = worker.entry(m.template)
            packed = await self._perform(m, task, entry)
            worker.finish(m, task, entry, packed, started)
        except BaseException as e:  # whatever user code raises is its outcome
            if isinstance(e, asyncio.CancelledError) and not task.cancelled and self.ended.done():
                raise
            worker.fail(m, task, entry, e, started)
        finally:
            worker.tasks.pop(m.handle, None)

    async def _perform(self, m: Any, task: Task, entry: Entry) -> list[_values.Packed]:
        worker = self._worker
        function = worker.method(entry)
        args, kwargs = _run.arguments(worker.session, m)
        if task.cancelled:
            raise asyncio.CancelledError
        value = function(*args, **kwargs)
        del args, kwargs
        if hasattr(value, "__await__") and asyncio.iscoroutine(value):
            value = await value
        if hasattr(value, "__aiter__") and entry.streaming:
            return await _run.stream_async(worker.session, entry, value, m)
        return _run.results(worker.session, entry, value, m)

    def cancel(self, handle: int) -> None:
        """Cancels the asyncio task of a call."""
        task = self._running.get(handle)
        if task is not None:
            self._loop.call_soon_threadsafe(task.cancel)

    def drop(self, handle: int) -> Any:
        """Takes a call that waits out of its queue."""
        return _take(self._waiting, handle)

    def arrived(self) -> None:
        """Takes what the session has for this worker; called on any thread."""
        try:
            if threading.get_ident() == self._main:
                if self._reading:
                    return
                self._loop.call_soon(self.drain)
            else:
                self._loop.call_soon_threadsafe(self.drain)
        except RuntimeError:  # the loop is closed: the process is ending
            pass

    def drain(self) -> None:
        """Begins the calls that have arrived."""
        from mobula._session import SessionLost

        worker = self._worker
        try:
            while (m := worker.session.next_execute(block=False)) is not None:
                name = type(m).__name__
                if name == "Execute":
                    self.submit(m)
                elif name == "Exit":
                    self._end(0)
                    return
                else:
                    worker._control(m)
        except SessionLost as e:
            if not self.ended.done():
                self.ended.set_exception(e)

    def _end(self, status: int) -> None:
        if not self.ended.done():
            self.ended.set_result(status)

    def readable(self) -> None:
        """Reads what has arrived at the socket."""
        self._reading = True
        try:
            self._worker.session.read_ready()
        finally:
            self._reading = False
        self.drain()

    def _flush_soon(self) -> None:
        """Writes outcomes once for all that end in one turn of the loop; the last one's at once."""
        if not self._running:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        _stdio.flush()
        self._worker.session.flush()


def construct_async(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Makes an instance of a class whose ``__init__`` is async. What that leaves running goes on when the actor's loop runs again."""
    actor = cls.__new__(cls, *args, **kwargs)
    made = asyncio.get_event_loop().run_until_complete(actor.__init__(*args, **kwargs))
    if made is not None:
        raise TypeError(f"__init__() should return None, not {type(made).__name__!r}")
    return actor


def serve_loop(worker: Worker, creation: Any) -> int:
    """Makes an actor with async methods and runs its calls until the node says to end; returns the exit status of the process."""

    async def serve() -> int:
        if not made:
            worker.execute(creation)
        lanes = Loop(worker, loop)
        worker.lanes = lanes
        session = worker.session
        session.on_execute(lanes.arrived)
        loop.add_reader(session.fileno(), lanes.readable)
        session.flush()
        lanes.readable()
        try:
            return await lanes.ended
        finally:
            loop.remove_reader(session.fileno())

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker.is_async = True
    made = is_coroutine(worker.entry(creation.template).function.__init__)  # type: ignore[misc]
    if made:
        worker.execute(creation)  # which runs the loop until the constructor is done
    serving = loop.create_task(serve())
    serving.add_done_callback(lambda _: loop.stop())
    while not serving.done():
        loop.run_forever()  # until it is done, or a method stops the loop
    return serving.result()
