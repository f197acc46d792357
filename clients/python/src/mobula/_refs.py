"""Refs: promises of values, and the streams and ids that go with them."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from mobula import _values
from mobula._context import session
from mobula._hot import Ref, make_refs

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures

    from mobula._session import Session

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_ALL = 1 << 32
"""More items than a stream has."""
INDEX_0 = b"\0\0\0\0"
"""What follows a task's id in the id of its first result."""


_NO_ID = b"\xff" * 16


def check_id(id: object, size: int) -> None:
    """Raises TypeError for an id that is not bytes, ValueError for one that has not so many."""
    if not isinstance(id, (bytes, bytearray)):
        raise TypeError(f"Unsupported type: {type(id)}, expected bytes")
    if len(id) != size:
        raise ValueError(f"ID string needs to have length {size}, got {len(id)}")


class BaseID:
    """An id: so many bytes, shown in hexadecimal."""

    __slots__ = ("_bytes",)

    def __init__(self, id: bytes) -> None:
        check_id(id, 16)
        self._bytes = bytes(id)

    @staticmethod
    def size() -> int:
        """Returns the number of bytes of an id."""
        return 16

    @classmethod
    def from_hex(cls, hex_id: str) -> BaseID:
        """Makes an id of its hexadecimal form."""
        return cls(bytes.fromhex(hex_id))

    @classmethod
    def from_binary(cls, id: bytes) -> BaseID:
        """Makes an id of its bytes."""
        return cls(id)

    @classmethod
    def from_random(cls) -> BaseID:
        """Makes a random id."""
        import os

        return cls(os.urandom(16))

    @classmethod
    def nil(cls) -> BaseID:
        """Returns the id that stands for nothing."""
        return cls(_NO_ID)

    def binary(self) -> bytes:
        """Returns the id's bytes."""
        return self._bytes

    def hex(self) -> str:
        """Returns the id in hexadecimal."""
        return self._bytes.hex()

    def is_nil(self) -> bool:
        """Reports whether this is the id that stands for nothing."""
        return self._bytes == _NO_ID

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._bytes == self._bytes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._bytes,)


class UniqueID(BaseID):
    """An id of anything."""

    __slots__ = ()


class ActorID(BaseID):
    """The id of an actor: that of the task that made it."""

    __slots__ = ()

    @property
    def job_id(self) -> JobID:
        """The id of the job of this process."""
        return JobID(session().job_id)


class TaskID(BaseID):
    """The id of a task."""

    __slots__ = ()

    def job_id(self) -> JobID:
        """Returns the id of the job of this process."""
        return JobID(session().job_id)


class JobID(BaseID):
    """The id of a job."""

    __slots__ = ()

    @classmethod
    def from_int(cls, value: int) -> JobID:
        """Makes the id of a number."""
        return cls(value.to_bytes(16, "big"))

    def int(self) -> int:
        """Returns the id as a number."""
        return int.from_bytes(self._bytes, "big")


class NodeID(BaseID):
    """The id of a node."""

    __slots__ = ()


class WorkerID(BaseID):
    """The id of a worker process."""

    __slots__ = ()


class FunctionID(BaseID):
    """The id of a function."""

    __slots__ = ()


class ActorClassID(BaseID):
    """The id of an actor's class."""

    __slots__ = ()


class PlacementGroupID(BaseID):
    """The id of a placement group."""

    __slots__ = ()


def hold(id: bytes) -> Session:
    """Returns the session of this process, which has one more hold of an object: for a ref that is made of an id alone."""
    check_id(id, 20)
    s = session()
    s.hold(id)
    return s


class ObjectRef(Ref, Generic[T_co]):
    """A promise of a value: of the result of a task, or of what was put.

    The value, or the error that stands for it, exists for as long as somebody holds a ref. ``get`` waits for it, ``await`` does so
    in asyncio. A ref that is an argument of a call is replaced by its value before the call runs; one inside an argument stays a ref.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"ObjectRef({self._id.hex()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _values.load_ref, (_values.collect_ref(self._id, self),)

    def __copy__(self) -> ObjectRef[T_co]:
        return self

    def __deepcopy__(self, memo: object) -> ObjectRef[T_co]:
        return self

    @staticmethod
    def size() -> int:
        """Returns the number of bytes of an id."""
        return 20

    @classmethod
    def nil(cls) -> ObjectRef[Any]:
        """Returns a ref that stands for nothing."""
        return ObjectRef(_NIL, _NOBODY)  # type: ignore[arg-type]

    @classmethod
    def from_random(cls) -> ObjectRef[Any]:
        """Returns a ref of something that does not exist."""
        import os

        return ObjectRef(os.urandom(20), _NOBODY)  # type: ignore[arg-type]

    @classmethod
    def from_hex(cls, hex_id: str) -> ObjectRef[Any]:
        """Makes a ref of an id in hexadecimal."""
        return ObjectRef(bytes.fromhex(hex_id))

    @classmethod
    def from_binary(cls, id: bytes) -> ObjectRef[Any]:
        """Makes a ref of an id's bytes."""
        return ObjectRef(id)

    def binary(self) -> bytes:
        """Returns the id's 20 bytes."""
        return self._id

    def hex(self) -> str:
        """Returns the id in hexadecimal."""
        return self._id.hex()

    def is_nil(self) -> bool:
        """Reports whether this ref stands for nothing."""
        return self._id == _NIL

    def task_id(self) -> TaskID:
        """Returns the id of the task that makes the value; of a put, an id of its own."""
        return TaskID(self._id[:16])

    def job_id(self) -> JobID:
        """Returns the id of the job of this process."""
        return JobID(self._session.job_id)

    def call_site(self) -> str:
        """Returns where the ref was made, if that is known."""
        return ""

    def owner_address(self) -> str:
        """Returns an empty text: objects belong to nodes, not to processes."""
        return ""

    def __await__(self) -> Generator[Any, None, T_co]:
        return self.as_future().__await__()

    def as_future(self, _internal: bool = True) -> asyncio.Future[T_co]:
        """Returns an asyncio future of the running loop that is done when the value is there."""
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[T_co] = loop.create_future()
        arrivals = _arrivals(loop)
        self._session.on_ready(self._id, lambda *_: arrivals.arrived(self, future))
        return future

    def future(self) -> concurrent.futures.Future[T_co]:
        """Returns a future that is done when the value is there. Its callbacks run on a thread for that purpose."""
        import concurrent.futures

        future: concurrent.futures.Future[T_co] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        self._session.on_ready(self._id, lambda *_: _deliver(lambda: _settle(self, future)))
        return future

    def _on_completed(self, callback: Callable[[Any], None]) -> None:
        """Calls ``callback`` with the value, or with the exception that stands for it, when it is there."""

        def run() -> None:
            value: Any
            try:
                value = take(self)
            except BaseException as e:  # what stands for the value
                value = e
            callback(value)

        self._session.on_ready(self._id, lambda *_: _deliver(run))


class _Nobody:
    """Stands for the session of refs that stand for nothing: it holds nothing, so nothing is released."""

    job_id = b"\xff" * 16


_NIL = b"\xff" * 20
_NOBODY = _Nobody()


def take(ref: ObjectRef[T]) -> T:
    """Returns the value of a ref whose value is there, or raises the error that stands for it."""
    stored = ref._session.get_one(ref._id, 0)
    value = _values.unpack(stored.format, stored.meta, stored.buffers, stored.refs)
    if stored.format == _values.ERROR:
        raise value  # type: ignore[misc]
    return value  # type: ignore[return-value]


class _Arrivals:
    """Carries values to the thread of an asyncio loop: one wake-up for all that come while it is on its way."""

    __slots__ = ("_lock", "_loop", "_ready", "_scheduled", "_thread")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._ready: deque[tuple[ObjectRef[Any], asyncio.Future[Any]]] = deque()
        self._scheduled = False  # guarded by _lock

    def arrived(self, ref: ObjectRef[Any], future: asyncio.Future[Any]) -> None:
        """Notes that a value is there; called on any thread."""
        self._ready.append((ref, future))
        with self._lock:
            if self._scheduled:
                return
            self._scheduled = True
        try:
            if threading.get_ident() == self._thread:
                self._loop.call_soon(self._drain)
            else:
                self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop is closed: nobody waits
            self._ready.clear()

    def _drain(self) -> None:
        with self._lock:
            self._scheduled = False
        ready = self._ready
        while ready:
            ref, future = ready.popleft()
            if not future.done():
                _settle(ref, future)


def _settle(ref: ObjectRef[Any], future: asyncio.Future[Any] | concurrent.futures.Future[Any]) -> None:
    """Gives a future the value of its ref."""
    try:
        value = take(ref)
    except StopIteration as e:  # which a future cannot carry
        wrapped = RuntimeError("the task raised StopIteration")
        wrapped.__cause__ = e
        future.set_exception(wrapped)
    except BaseException as e:  # the future's to raise
        future.set_exception(e)
    else:
        future.set_result(value)


def _arrivals(loop: asyncio.AbstractEventLoop) -> _Arrivals:
    arrivals: _Arrivals | None = getattr(loop, "_mobula_arrivals", None)
    if arrivals is None:
        arrivals = _Arrivals(loop)
        try:
            loop._mobula_arrivals = arrivals  # type: ignore[attr-defined]
        except AttributeError:  # a loop that is written in C, such as uvloop's
            arrivals = _foreign_loops.setdefault(id(loop), arrivals)
            if arrivals._loop is not loop:
                arrivals = _foreign_loops[id(loop)] = _Arrivals(loop)
    return arrivals


_foreign_loops: dict[int, _Arrivals] = {}


class _Deliverer:
    """The thread on which callbacks of futures run: never the one that reads the session, which they might wait for."""

    def __init__(self) -> None:
        import queue

        self.queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="mobula-callbacks", daemon=True).start()

    def _run(self) -> None:
        while True:
            callback = self.queue.get()
            try:
                callback()
            except BaseException as e:  # of the user's callback, SystemExit too: those of others come after it
                sys.excepthook(type(e), e, e.__traceback__)
            del callback


_deliverer: _Deliverer | None = None
_deliverer_lock = threading.Lock()


def _deliver(callback: Callable[[], None]) -> None:
    global _deliverer
    d = _deliverer
    if d is None:
        with _deliverer_lock:
            if _deliverer is None:
                _deliverer = _Deliverer()
            d = _deliverer
    d.queue.put(callback)


def _after_fork() -> None:
    global _deliverer, _deliverer_lock
    _deliverer, _deliverer_lock = None, threading.Lock()
    _foreign_loops.clear()


class DynamicObjectRefGenerator:
    """The refs of the items of a task with ``num_returns="dynamic"``, all of which are there."""

    def __init__(self, refs: list[ObjectRef[Any]]) -> None:
        self._refs = refs

    def __iter__(self) -> Iterator[ObjectRef[Any]]:
        """Iterates over the refs; as Ray's, a generator that is used up."""
        while self._refs:
            yield self._refs.pop(0)

    def __len__(self) -> int:
        return len(self._refs)


class ObjectRefGenerator(Generic[T_co]):
    """The stream of a task that yields: iterating, in either way, gives the refs of the items as they are made.

    A task that fails ends its stream with one ref that holds the error. A stream belongs to the process that made it: it cannot be
    passed on, only its items can.
    """

    __slots__ = ("__weakref__", "_ended", "_ref", "_stream", "_taken")

    def __init__(self, task_id: bytes, s: Session, method: bool = False) -> None:
        self._ref: ObjectRef[int] = ObjectRef(task_id + INDEX_0, s, method)
        self._stream = s.stream(task_id)
        self._taken = 0  # items that were handed out
        self._ended = False  # whether the end, or the error that stands there, was handed out

    def __del__(self) -> None:
        try:
            self._stream.close()
        except AttributeError:  # __init__ failed, or the interpreter is ending
            pass

    def __iter__(self) -> Iterator[ObjectRef[T_co]]:
        return self

    def __next__(self) -> ObjectRef[T_co]:
        ref = self._next(None)
        if ref is None:
            raise StopIteration
        return ref

    def _next(self, timeout: float | None) -> ObjectRef[Any] | None:
        if self._ended:
            return None
        item = self._stream.next(timeout)
        return self._end() if item is None else self._item(item)

    def _item(self, item: bytes) -> ObjectRef[Any]:
        self._taken += 1
        s = self._ref._session
        s.consumed(self._ref._id[:16], self._taken)
        return ObjectRef(item, s)

    def _end(self) -> ObjectRef[Any] | None:
        """Returns the ref that holds the error with which the stream ended, once; None when it ended well."""
        self._ended = True
        stored = self._ref._session.get_one(self._ref._id, None)
        if stored.format == _values.ERROR:
            return self._ref
        return None

    def __aiter__(self) -> AsyncIterator[ObjectRef[T_co]]:
        return self

    async def __anext__(self) -> ObjectRef[T_co]:
        while not self._ended:
            item = self._stream.try_next()
            if item is not None:
                return self._item(item)
            if self._stream.ended:
                ref = self._end()
                if ref is not None:
                    return ref
                break
            await self._arrival()
        raise StopAsyncIteration

    def _arrival(self) -> Awaitable[None]:
        """Returns what is done when the next item or the end is known."""
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not future.done():
                future.set_result(None)

        def arrived() -> None:
            try:
                loop.call_soon_threadsafe(wake)
            except RuntimeError:  # the loop is closed: nobody waits
                pass

        self._stream.on_next(arrived)
        return future

    def completed(self) -> ObjectRef[int]:
        """Returns a ref that is ready when the task has ended: the number of its items, or its error.

        From then on the task is not held back because items are not read: whoever waits for the end may not read before.
        """
        if not self._stream.ended:
            self._ref._session.consumed(self._ref._id[:16], _ALL)
        return self._ref

    def next_ready(self) -> bool:
        """Reports whether ``next`` would return at once."""
        if not self._ready() and not self._ended:
            self._ref._session.wait_first([self._ref._id], 1, 0)  # which reads what has come
        return self._ready()

    def _ready(self) -> bool:
        stream = self._stream
        return not self._ended and (stream.arrived > stream.taken or stream.ended)

    def send(self, value: object) -> NoReturn:
        """Raises NotImplementedError: the generator runs elsewhere, and cannot be spoken to."""
        raise NotImplementedError("`gen.send` is not supported.")

    def throw(self, *error: object) -> NoReturn:
        """Raises NotImplementedError; ``cancel`` ends a stream."""
        raise NotImplementedError("`gen.throw` is not supported.")

    def close(self) -> NoReturn:
        """Raises NotImplementedError; ``cancel`` ends a stream, and one that is dropped is read by nobody."""
        raise NotImplementedError("`gen.close` is not supported.")

    def is_finished(self) -> bool:
        """Reports whether the stream has ended and everything was taken."""
        return self._ended or (self._stream.ended and self._stream.arrived == self._stream.taken)

    def task_id(self) -> TaskID:
        """Returns the id of the task that yields."""
        return self._ref.task_id()

    @property
    def _generator_ref(self) -> ObjectRef[int]:
        return self._ref

    def _next_sync(self, timeout_s: float | None = None) -> ObjectRef[Any]:
        """Returns the next ref; one that stands for nothing when there is none in time. Raises StopIteration at the end."""
        try:
            ref = self._next(timeout_s)
        except TimeoutError:
            return ObjectRef.nil()
        if ref is None:
            raise StopIteration
        return ref

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "An ObjectRefGenerator cannot be passed to another process: only the one that submitted the task can take its items. "
            "Pass the refs of the items, or iterate in an actor that others call."
        )

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self._ref.hex()})"


def _many(object_ids: Sequence[bytes]) -> list[ObjectRef[Any]]:
    """Makes refs of ids that something holds at this moment."""
    s = session()
    ids = list(object_ids)
    s.hold_all(ids)
    return make_refs(ObjectRef, ids, s)


def install_ref_hooks(handle: type, to_wire: Callable[[Any], tuple[bytes, str | None]], from_wire: Callable[[bytes, str], object]) -> None:
    """Says how refs and handles of actors enter and leave values; the module of actors does so when it is imported."""

    def to(x: Any) -> tuple[bytes, str | None]:
        return (x._id, None) if isinstance(x, ObjectRef) else to_wire(x)

    def of(object_id: bytes, class_name: str | None) -> object:
        return ObjectRef(bytes(object_id)) if class_name is None else from_wire(object_id, class_name)

    _values.ref_hooks((ObjectRef, handle), to, of, ObjectRef)
    _values.many_refs_hook(_many)


def _register_after_fork() -> None:
    import os

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


_register_after_fork()
