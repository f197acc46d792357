"""A worker process: takes tasks from its node, one after another or side by side, and gives back what became of them.

The main thread reads the session. Tasks, and the methods of a plain actor, run on it, so that they can be interrupted; the methods of
an actor with ``max_concurrency`` or concurrency groups run on threads, those of an actor with async methods in an event loop on the
main thread (`mobula._concurrent`).

Cancellation. The node tells of a cancelled task by a frame and a signal; the session's handler reads the frame in the main thread, in
the middle of user code, and calls `Worker._control`. For a task that runs on the main thread this raises KeyboardInterrupt there:
only while `_interruptible` names that task, which is set right around the call of the user's function. A method is told by a flag, an
async one by the cancellation of its asyncio task.
"""

from __future__ import annotations

import _thread
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from mobula import _assigned, _run, _stdio, _values
from mobula._context import Task, current, process, short_name
from mobula._remote import ACTOR, FUNCTION, METHOD, is_coroutine
from mobula._run import ActorExit, Entry

if TYPE_CHECKING:
    from mobula._actor import ActorHandle
    from mobula._concurrent import Lanes
    from mobula._session import Session


class Worker:
    """The tasks and the actor of this process."""

    def __init__(self, session: Session, worker_id: bytes = b"", settings: dict[str, str] | None = None) -> None:
        self.session = session
        self.worker_id = worker_id
        self.settings = settings or {}
        self.pid = os.getpid()
        self.entries: dict[int, Entry] = {}
        self.tasks: dict[int, Task] = {}  # that run, by handle
        self.cancelled: set[int] = set()  # handles that were cancelled before they began
        self.actor: Any = None
        self.actor_id = b""
        self.actor_name = ""
        self.actor_template: Any = None
        self.actor_task: Task | None = None  # the creation
        self.incarnation = 1
        self.is_async = False
        self.warned = False  # of a get that blocks the loop
        self.lanes: Lanes | None = None  # of an actor whose methods run side by side
        self.actor_repr = ""  # as the class's own __repr__ says
        self._interruptible = 0  # handle of the task whose code runs on the main thread, which KeyboardInterrupt may reach; 0 is none
        self.gpus = _assigned.Gpus()
        self._ending = False
        session.control = self._control

    def interrupt(self, number: int, frame: object) -> None:
        """Handles SIGINT, which nobody but user code or another process sends to a worker: user code on the main thread gets KeyboardInterrupt.

        Whatever else the main thread does goes on: it only waits, for the sake of tasks, of threads or of an event loop.
        """
        if os.getpid() != self.pid or (self._interruptible and self.lanes is None and not self.is_async):
            raise KeyboardInterrupt

    # --- the main thread ------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Runs tasks until the node says to end, and returns the exit status of the process."""
        from mobula._gen import session_pb2

        s = self.session
        execute, exit_type = session_pb2.Execute, session_pb2.Exit
        while True:
            m = s.next_execute()
            if type(m) is execute:
                if self.lanes is not None:
                    self.lanes.submit(m)
                elif m.template not in self.entries and self._is_async_creation(m):
                    from mobula._concurrent import serve_loop

                    return serve_loop(self, m)
                else:
                    self.execute(m)
            elif type(m) is exit_type:
                return 0
            elif m is not None:
                self._control(m)

    def _is_async_creation(self, m: Any) -> bool:
        """Reports whether a task makes an actor with async methods, whose constructor runs in the loop too."""
        if self.session.templates[m.template].kind != ACTOR:
            return False
        try:
            entry = self.entry(m.template)
        except Exception:  # its code cannot be loaded, which execute reports
            return False
        from mobula._actor import describe

        return describe(entry.function, entry.name).is_async  # type: ignore[arg-type]

    def _control(self, m: Any) -> bool:
        """Deals with a control message; called in the main thread, possibly in the middle of user code."""
        name = type(m).__name__
        if name == "CancelTask":
            self.cancel(m.handle)
            return True
        if name == "ActorGone":
            return True  # the process has one actor, and the node ends it
        if name == "Exit" and self.tasks and self.lanes is None and not self.is_async:
            leave(0)  # whoever wanted the running task is gone
        return False

    def cancel(self, handle: int) -> None:
        """Tells a task that it was cancelled; one that has not begun never does."""
        task = self.tasks.get(handle)
        if task is None:
            self.cancelled.add(handle)
            # Maybe a signal handler runs this, in the middle of anything that holds a lock: the rest is for a thread of its own.
            _thread.start_new_thread(self._drop, (handle,))
            return
        task.cancelled = True
        if task.actor_id:
            if self.lanes is not None:
                self.lanes.cancel(handle)
        elif handle == self._interruptible:
            raise KeyboardInterrupt

    def _drop(self, handle: int) -> None:
        """Gives back a cancelled task that waits for its turn."""
        m: Any = self.lanes.drop(handle) if self.lanes is not None else None
        inbox = self.session._inbox
        for waiting in list(inbox):
            if getattr(waiting, "handle", None) == handle and type(waiting).__name__ == "Execute":
                try:
                    inbox.remove(waiting)
                    m = waiting
                except ValueError:  # it has just begun, and finds itself cancelled
                    pass
        if m is not None:
            self.cancelled.discard(handle)
            task = Task(m, self.session.templates[m.template])
            task.cancelled = True
            self.fail(m, task, None, KeyboardInterrupt(), time.perf_counter_ns())
            self.session.flush()

    # --- one task -------------------------------------------------------------------------------------------------------------

    def entry(self, number: int) -> Entry:
        """Returns what is known of a template, loading its code when it is met first."""
        entry = self.entries.get(number)
        if entry is None:
            template = self.session.templates[number]
            function = None if template.kind == METHOD else _run.load(self.session, template)
            entry = self.entries[number] = Entry(template, function)
        return entry

    def begin(self, m: Any) -> Task:
        """Enters a task that is about to run on the calling thread."""
        task = Task(m, self.session.templates[m.template])
        handle = task.handle
        if handle in self.cancelled:
            self.cancelled.discard(handle)
            task.cancelled = True
        self.tasks[handle] = task
        if process.tracer is not None:
            task.span = process.tracer.run(m, task)
        return task

    def execute(self, m: Any) -> None:
        """Runs one task on the calling thread and gives back its outcome."""
        s = self.session
        task = self.begin(m)
        token = current.set(task)
        s.running(m)
        entry = None
        started = time.perf_counter_ns()
        try:
            entry = self.entry(m.template)
            packed = self._perform(m, task, entry)
            self._interruptible = 0
            self.finish(m, task, entry, packed, started)
        except BaseException as e:  # whatever user code raises is its outcome
            self._interruptible = 0
            self.fail(m, task, entry, e, started)
        finally:
            _stdio.flush()
            del self.tasks[task.handle]
            s.running(None)
            current.reset(token)

    def _perform(self, m: Any, task: Task, entry: Entry) -> list[_values.Packed]:
        """Calls the function of a task and packs what it returns. Nothing of the arguments is left when it returns."""
        kind = task.template.kind
        if (entry.with_gpus or self.gpus.assigned) and self.actor is None:  # an actor keeps what it was made with
            self.gpus.show(m.gpus)
        if kind == FUNCTION:
            function, process.capture = entry.function, entry.capture
        elif kind == METHOD:
            function = self.method(entry)
        else:
            function = self._construct(m, task, entry)
        assert function is not None
        args, kwargs = _run.arguments(self.session, m)
        self._interruptible = m.handle
        if task.cancelled:
            raise KeyboardInterrupt
        value = function(*args, **kwargs)
        del args, kwargs
        packed = _run.results(self.session, entry, value, m)
        self._interruptible = 0
        if task.cancelled and kind == METHOD:
            raise KeyboardInterrupt  # it was told, and went on to its end: for its caller it was cancelled all the same
        return packed

    def _construct(self, m: Any, task: Task, entry: Entry) -> Callable[..., Any]:
        """Returns what makes the actor of this process."""
        self.actor_id, self.actor_template, self.incarnation = m.actor_id, task.template, m.incarnation
        self.actor_name, self.actor_task = task.template.options.name, task
        cls: Any = entry.function
        process.capture = entry.capture

        def construct(*args: Any, **kwargs: Any) -> None:
            if is_coroutine(cls.__init__):
                from mobula._concurrent import construct_async

                self.actor = construct_async(cls, args, kwargs)
            else:
                self.actor = cls(*args, **kwargs)
            if cls.__repr__ is not object.__repr__:
                try:
                    self.actor_repr = repr(self.actor)
                except Exception:  # of the user's __repr__, which only says how the actor is shown
                    self.actor_repr = ""
            options = task.template.options
            if not self.is_async and (options.max_concurrency > 1 or options.concurrency_groups):
                from mobula._concurrent import Threads

                self.lanes = Threads(self)

        return construct

    def method(self, entry: Entry) -> Callable[..., Any]:
        """Returns the method of the actor that a template names."""
        name = entry.short
        if self.actor is None:
            raise RuntimeError(f"the actor of {entry.name} is not in this process")
        if entry.group and entry.group not in self.actor_template.options.concurrency_groups:
            groups = sorted(self.actor_template.options.concurrency_groups)
            raise ValueError(f"{entry.name} was called in the concurrency group {entry.group!r}; the actor has {groups}")
        function = getattr(self.actor, name, None)
        if function is None:
            if name == "__ray_ready__":
                return lambda: True
            if name == "__ray_terminate__":
                return self.exit_actor
            if name == "__ray_call__":
                return lambda f, *args, **kwargs: f(self.actor, *args, **kwargs)
            raise AttributeError(f"{type(self.actor).__name__!r} object has no attribute {name!r}")
        return function  # type: ignore[no-any-return]

    def finish(self, m: Any, task: Task, entry: Entry, packed: list[_values.Packed], started: int) -> None:
        """Gives back the results of a task."""
        if os.getpid() != self.pid:
            os._exit(0)  # user code forked and both processes returned: the outcome is the parent's to give
        entry.runs += 1
        if task.span is not None:
            task.span.end()
        self.session.done(
            m,
            packed,
            max(1, time.perf_counter_ns() - started),
            exit_actor=task.exits,
            exit_worker=0 < entry.max_calls <= entry.runs,
        )

    def fail(self, m: Any, task: Task, entry: Entry | None, e: BaseException, started: int) -> None:
        """Gives back the error of a task, or ends the process if that is what the task asks for."""
        if os.getpid() != self.pid:
            os._exit(1)
        if task.span is not None:
            task.span.end(None if isinstance(e, ActorExit) else e)
        if entry is None:  # its code could not be loaded
            entry = Entry(task.template, None)
        run_ns = max(1, time.perf_counter_ns() - started)
        if isinstance(e, SystemExit) and not task.cancelled:
            if isinstance(e, ActorExit) or (task.actor_id and self.actor is not None and e.code == 0 and type(e.code) is int):
                self._exited(m, entry, e, run_ns)
                return
            self._system_exit(e)
        if task.exits:  # exit_actor in an async method raises an ordinary exception
            self._exited(m, entry, e, run_ns)
            return
        from mobula import _errors

        error = _run.pack_error(e, entry, m, task, self.actor_repr)
        entry.runs += 1
        try:
            self.session.done(
                m,
                [],
                run_ns,
                error=error,
                error_names=_errors.exception_names(e),
                exit_worker=0 < entry.max_calls <= entry.runs,
            )
        finally:
            _drop_frames(e)

    def _exited(self, m: Any, entry: Entry, e: BaseException, run_ns: int) -> None:
        """Ends the actor: this call, and all that come after, see its death."""
        from mobula._gen import value_pb2

        how = "exit_actor() is called." if not isinstance(e, SystemExit) or isinstance(e, ActorExit) else f"sys.exit({e.code!r}) is called."
        death = value_pb2.ErrorValue(
            kind=value_pb2.ERROR_KIND_ACTOR_DIED,
            message=f"The actor exited because its method {entry.short} ended it: {how}",
            execution=value_pb2.EXECUTION_FAILED,
            function=entry.name,
            task_id=m.task_id,
            pid=self.pid,
        )
        self.session.done(m, [], run_ns, error=death.SerializeToString(), exit_actor=True)
        self.session.flush()

    def _system_exit(self, e: SystemExit) -> NoReturn:
        """Ends the process as the task asked: the node sees it, and what it ran may run again elsewhere."""
        code = e.code
        if code is None:
            code = 0
        elif not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
        leave(code & 0xFF)

    def exit_actor(self) -> NoReturn:
        """Ends the actor with the running call."""
        task = current.get()
        if task is not None:
            task.exits = True
        if self.is_async:
            from mobula.exceptions import AsyncioActorExit

            raise AsyncioActorExit()
        raise ActorExit(0)

    def end_actor(self) -> None:
        """Calls ``__ray_shutdown__`` of an actor that has it, once."""
        actor, self._ending = None if self._ending else self.actor, True
        shut_down = getattr(type(actor), "__ray_shutdown__", None)
        if shut_down is not None:
            shut_down(actor)

    def drop_actor(self) -> None:
        """Lets go of the actor, so that its ``__del__`` runs."""
        if self.actor is not None:
            import gc

            self.actor = None
            gc.collect()

    # --- what user code asks --------------------------------------------------------------------------------------------------

    def sole_task(self) -> Task | None:
        """Returns the task that runs, when there is one and no other."""
        if len(self.tasks) == 1:
            try:
                return next(iter(self.tasks.values()))
            except (StopIteration, RuntimeError):  # it has just ended
                return None
        return None

    def source(self) -> tuple[str, bytes]:
        """Returns who writes what the process prints: the actor, or the running function, and the id of the task."""
        task = current.get() or self.sole_task()
        task_id = b"" if task is None else task.task_id
        if self.actor_id:
            return self.actor_repr or short_name(self.actor_template.name), task_id
        if task is None:
            return "", b""
        return task.template.options.name or short_name(task.template.name), task_id

    def own_handle(self) -> ActorHandle[Any]:
        """Returns a handle of the actor of this process, which does not keep it alive."""
        from mobula._actor import handle_of_template

        return handle_of_template(self.actor_id, self.actor_template, None)

    def assigned_resources(self) -> dict[str, float]:
        """Returns the resources that the running task, or else the actor, has."""
        task = self.actor_task or current.get() or self.sole_task()
        return {} if task is None else _assigned.resources(task)

    def runtime_env(self) -> dict[str, Any]:
        """Returns the runtime environment of the running task or actor."""
        task = self.actor_task or current.get() or self.sole_task()
        if task is None:
            return {}
        from mobula import _runtime_env

        text = task.template.options.runtime_env
        return _runtime_env.shown(text) if text else _runtime_env.inherited()

    def gpu_ids(self) -> list[int | str]:
        """Returns the GPUs of the running task or actor, by the names that CUDA_VISIBLE_DEVICES has for them."""
        return self.gpus.ids()


def _drop_frames(e: BaseException | None) -> None:
    """Lets go of the frames of an exception, and of the arguments that they hold."""
    seen: set[int] = set()
    while e is not None and id(e) not in seen:
        seen.add(id(e))
        e.__traceback__ = None
        e = e.__cause__ or e.__context__


def leave(status: int) -> NoReturn:
    """Ends the process: the actor's ``__ray_shutdown__``, exit handlers and its ``__del__`` run, in this order, and what was printed goes out.

    Threads of user code are not waited for.
    """
    import atexit

    worker = process.worker
    for step in (atexit._run_exitfuncs,) if worker is None else (worker.end_actor, atexit._run_exitfuncs, worker.drop_actor):
        try:
            step()
        except BaseException as e:  # of the user's code: the process ends all the same
            sys.excepthook(type(e), e, e.__traceback__)
    _stdio.flush()
    os._exit(status)
