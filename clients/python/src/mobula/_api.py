"""The verbs of the API: get, put, wait, cancel and kill."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from mobula import _values, exceptions
from mobula._actor import ActorHandle
from mobula._context import check_running, process, session
from mobula._hot import ref_ids, unique_ids
from mobula._refs import ObjectRef, ObjectRefGenerator

if TYPE_CHECKING:
    from mobula._method import Actor
    from mobula._session import Session
    from mobula._typing import ListOf

T = TypeVar("T")
Ref = TypeVar("Ref", bound=ObjectRef[Any])
Waitable: TypeAlias = ObjectRef[Any] | ObjectRefGenerator[Any]


def _value(stored: Any) -> Any:
    """Returns a value that has arrived, or raises the error that stands for it."""
    value = _values.unpack(stored.format, stored.meta, stored.buffers, stored.refs)
    if stored.format == _values.ERROR:
        raise value  # type: ignore[misc]
    return value


@overload
def get(object_refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...
@overload
def get(object_refs: ListOf[ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...
def get(object_refs: Any, *, timeout: float | None = None, _use_object_store: bool = False) -> Any:
    """Returns the value of a ref, or the values of a list of refs, in order.

    Arrays come as read-only views of shared memory. Waits for as long as it takes, or ``timeout`` seconds; 0 asks only for what is there.

    Raises:
        GetTimeoutError: when the time has passed.
        ValueError, TypeError: for what is not a ref or a list of refs.
        Exception: the first failed one's, at once: for a task that raised it is a RayTaskError and an instance of the task's exception.
    """
    try:
        if isinstance(object_refs, ObjectRef):
            s = object_refs._session
            if s is not process.session:
                _check_session(s)
            if process.worker is not None:
                _warn_in_loop()
            return _value(s.get_one(object_refs._id, timeout))
        if not isinstance(object_refs, list):
            return _get_other(object_refs, timeout)
        if not object_refs:
            session()
            return []
        ids = ref_ids(object_refs, ObjectRef)
        if ids is None:
            if all(hasattr(type(x), "_mobula_get") for x in object_refs):
                return _get_each(object_refs, timeout)
            for ref in object_refs:
                if not isinstance(ref, ObjectRef):
                    raise TypeError(f"Attempting to call `get` on the value {ref}, which is not an ray.ObjectRef.")
            ids = [ref._id for ref in object_refs]
        s = object_refs[0]._session
        if s is not process.session:
            _check_session(s)
        if process.worker is not None:
            _warn_in_loop()
        stored = s.get(ids, timeout)
        if stored[-1].format == _values.ERROR:
            _value(stored[-1])
        return [_values.unpack(v.format, v.meta, v.buffers, v.refs) for v in stored]
    except exceptions.GetTimeoutError as e:
        from mobula._session import GetTimeout

        if type(e) is not GetTimeout:  # what a task raised
            raise
        raise exceptions.GetTimeoutError(f"Get timed out: some object(s) not ready after {timeout} seconds.") from e


def _check_session(s: Any) -> None:
    """Refuses refs of a session that has ended: what they stood for is gone with it."""
    check_running()
    if getattr(s, "closed", True):
        raise exceptions.SessionClosedError("the ref is of a session that has ended: its object is gone. Make it again in the present session.")


def _get_other(x: Any, timeout: float | None) -> Any:
    if isinstance(x, ObjectRefGenerator):
        return x
    if hasattr(type(x), "_mobula_get"):
        return x._mobula_get(timeout)
    session()
    raise ValueError(f"Invalid type of object refs, {type(x)}, is given. 'object_refs' must either be an ObjectRef or a list of ObjectRefs. ")


def _get_each(xs: list[Any], timeout: float | None) -> list[Any]:
    """Gets what is like a ref without being one, such as results of compiled graphs."""
    if timeout is None:
        return [x._mobula_get(None) for x in xs]
    import time

    deadline = time.monotonic() + timeout
    return [x._mobula_get(max(0.0, deadline - time.monotonic())) for x in xs]


def _warn_in_loop() -> None:
    """Says once that a blocking get keeps an async actor from doing anything else."""
    worker = process.worker
    if worker is None or not worker.is_async or worker.warned or threading.current_thread() is not threading.main_thread():
        return
    worker.warned = True
    if os.environ.get("RAY_WARN_BLOCKING_GET_INSIDE_ASYNC") == "0":
        return
    import warnings

    warnings.warn(
        "Using blocking ray.get inside async actor. This blocks the event loop. Please use `await` on object ref with asyncio.gather if you "
        "want to yield execution to the event loop instead.",
        stacklevel=3,
    )


def put(value: T, *, portable: bool = False, _owner: Any = None, _tensor_transport: str | None = None) -> ObjectRef[T]:
    """Makes an object of a value and returns its ref; with ``portable`` one that every language reads.

    Raises TypeError for a ref and for what cannot be sent, ObjectStoreFullError.
    """
    if isinstance(value, ObjectRef):
        raise TypeError(
            "Calling 'put' on an ray.ObjectRef is not allowed. If you really want to do this, you can wrap the ray.ObjectRef in a list and "
            "call 'put' on it."
        )
    if _owner is not None:
        raise ValueError("_owner is not supported: objects do not belong to processes, so they outlive whoever put them")
    s = process.session or session()
    packed = _values.pack(value, portable=portable)
    return ObjectRef(s.put(packed), s)


@overload
def wait(
    ray_waitables: list[Ref], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[Ref], list[Ref]]: ...
@overload
def wait(
    ray_waitables: list[ObjectRefGenerator[T]], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[ObjectRefGenerator[T]], list[ObjectRefGenerator[T]]]: ...
@overload
def wait(
    ray_waitables: list[Waitable], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[Waitable], list[Waitable]]: ...
def wait(ray_waitables: list[Any], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True) -> tuple[list[Any], list[Any]]:
    """Waits until ``num_returns`` of the refs are ready, or for ``timeout`` seconds.

    A stream is ready when its next item is. Returns the ready ones, never more than ``num_returns``, and the rest, both in the order given.
    Raises TypeError for what is not a list of refs, ValueError for duplicates and counts that cannot be.
    """
    if isinstance(ray_waitables, (ObjectRef, ObjectRefGenerator)):
        expected = "ray.ObjectRef or ray.ObjectRefGenerator"
        raise TypeError(f"wait() expected a list of {expected}, got a single {expected} {ray_waitables}")
    if not isinstance(ray_waitables, list):
        raise TypeError(f"wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got {type(ray_waitables)}")
    if timeout is not None and timeout < 0:
        raise ValueError(f"The 'timeout' argument must be nonnegative. Received {timeout}")
    ids = unique_ids(ray_waitables, ObjectRef)
    streams = False
    if ids is None:
        for x in ray_waitables:
            if not isinstance(x, (ObjectRef, ObjectRefGenerator)):
                raise TypeError(f"wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got list containing {type(x)}")
        streams = any(isinstance(x, ObjectRefGenerator) for x in ray_waitables)
    s = session()
    if not ray_waitables:
        return [], []
    if ids is None:
        if len(set(ray_waitables)) != len(ray_waitables):
            raise ValueError("Wait requires a list of unique ray_waitables.")
        ids = [] if streams else [r._id for r in ray_waitables]
    if num_returns <= 0:
        raise ValueError(f"Invalid number of objects to return {num_returns}.")
    if num_returns > len(ray_waitables):
        raise ValueError("num_returns cannot be greater than the number of ray_waitables provided to ray.wait.")
    if streams:
        ready = _wait_streams(s, ray_waitables, num_returns, timeout, fetch_local)
    else:
        chosen = s.wait_first(ids, num_returns, timeout)
        if len(chosen) == 1:
            at = chosen[0]
            return [ray_waitables[at]], ray_waitables[:at] + ray_waitables[at + 1 :]
        ready = [False] * len(ids)
        for at in chosen:
            ready[at] = True
    done: list[Any] = []
    rest: list[Any] = []
    for x, is_ready in zip(ray_waitables, ready, strict=True):
        (done if is_ready and len(done) < num_returns else rest).append(x)
    return done, rest


def _wait_streams(s: Session, waitables: Sequence[Any], count: int, timeout: float | None, fetch_local: bool) -> list[bool]:
    """Waits for refs and streams together: for the next change, over and over, until enough are ready."""
    import time

    deadline = None if timeout is None else time.monotonic() + timeout
    changed = threading.Event()
    for x in waitables:
        if isinstance(x, ObjectRef):
            s.on_ready(x._id, lambda _: changed.set())
        else:
            x._stream.on_next(changed.set)
    while True:
        changed.clear()
        ready = [x._ready() if isinstance(x, ObjectRefGenerator) else s.peek(x._id) is not None for x in waitables]
        left = None if deadline is None else deadline - time.monotonic()
        if sum(ready) >= count or (left is not None and left <= 0):
            return ready
        changed.wait(left)


def cancel(ray_waitable: Waitable, *, force: bool = False, recursive: bool = True) -> None:
    """Cancels a task: one that has not begun is dropped, one that runs gets a KeyboardInterrupt, or is killed with ``force``.

    A method that runs is told by ``get_runtime_context().is_canceled()``; if it is async, its asyncio task is cancelled. With ``recursive``
    the tasks that it submitted are cancelled too. Its refs raise TaskCancelledError, unless it ended first.
    Raises TypeError for what is not a ref, ValueError for ``force`` with a method.
    """
    if isinstance(ray_waitable, ObjectRefGenerator):
        ray_waitable = ray_waitable._generator_ref
    if not isinstance(ray_waitable, ObjectRef):
        raise TypeError(f"ray.cancel() only supported for object refs. For actors, try ray.kill(). Got: {type(ray_waitable)}.")
    if force and ray_waitable._method:
        raise ValueError("force=True is not supported for actor tasks.")
    session().cancel(ray_waitable._id, force=force, recursive=recursive)


def kill(actor: ActorHandle[Any] | type[Actor], *, no_restart: bool = True) -> None:
    """Ends an actor at once: running calls fail and exit handlers do not run. ``no_restart=False`` uses up one of its restarts.

    Raises ValueError for what is not a handle.
    """
    s = session()
    if not isinstance(actor, ActorHandle):
        raise ValueError(f"ray.kill() only supported for actors. For tasks, try ray.cancel(). Got: {type(actor)}.")
    hold = actor._mobula_hold
    if hold is not None and hold._session is not s:
        from mobula.exceptions import ActorHandleNotFoundError

        raise ActorHandleNotFoundError(
            "ActorHandle objects are not valid across Ray sessions. The actor handle was created in an earlier session, which was ended by "
            "ray.shutdown(). Please create a new actor handle in the current session."
        )
    s.kill_actor(actor._mobula_id, no_restart=no_restart)
    s.flush()
