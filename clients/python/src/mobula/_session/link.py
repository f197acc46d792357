"""A session's connection: opening and ending, writing, and who reads. See the package's text."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError

from mobula import _conn, _wire
from mobula._gen import session_pb2, task_pb2, value_pb2
from mobula._hot import Core
from mobula._session import silence
from mobula._session.parts import RESULT_WINDOW, Message, Refused, Waiter, error_value, session_lost
from mobula._session.stream import Stream
from mobula._wire import ProtocolError, frame

if TYPE_CHECKING:
    from mobula import _store

T = TypeVar("T")

HANDSHAKE_SECONDS = 10.0
_INLINE_MAX = 100 << 10
"""Longest value that goes inline; a longer one goes through the object store."""
_RELEASE_SECONDS = 0.01
_FLUSH_SECONDS = 0.001


class Link(Core):
    """The state of a session, and what moves frames. `Results`, `Objects` and `Work` add what the frames mean, one upon the other."""

    def __init__(
        self,
        sock: socket.socket,
        hello: session_pb2.Hello,
        *,
        notice: Callable[[session_pb2.Notice], None] | None = None,
        unhandled: Callable[[bytes], None] | None = None,
    ) -> None:
        """Opens a session on a connected socket, which it takes over.

        Args:
            sock: a Unix stream socket.
            hello: the first frame; protocol version, pid, language and credit are filled in.
            notice: is called with each Notice, from the thread that reads, without locks.
            unhandled: is called with the encoded error of a call of this process that nobody was told of before its last ref went; with the
                lock held, so that all it may do is take a note.

        Raises:
            Refused: the node refused.
            ConnectionError: the node is gone, or is no node.
        """
        super().__init__()
        self._lock = Lock()
        self._conn = _conn.Conn(sock, self._lock)
        self._pid = os.getpid()
        self._notice = notice
        self._unhandled = unhandled
        self.role: int = hello.role
        self.control: Callable[[Message], bool] | None = None
        self.templates: dict[int, task_pb2.Template] = {}

        # All guarded by _lock from here on, but for reading single entries.
        self._ended = None
        self._values = {}
        self._extra = {}  # holds of this process beyond the first
        self._asked = {}  # Gets under way: whether the value was asked for, or readiness only
        self._unheld: set[bytes] = set()  # in _values for the sake of a get, without a hold
        self._pending = {}
        self._unseen = {}
        self._told: dict[bytes, None] = {}  # ids of results to come whose errors somebody else will be told of, the oldest first
        self._streams: dict[bytes, Stream] = {}  # that nobody has asked for
        self._parked = {}
        self._callbacks = {}
        self._fired: deque[tuple[bytes, list[Callable[[bytes], None]]]] = deque()
        self._sequence = 0
        self._template_numbers: dict[bytes, int] = {}
        self._call_sites: dict[str, int] = {}
        self._queries: dict[int, session_pb2.Reply | Waiter] = {}
        self._query_id = 0
        self._credit_bytes = self._credit_count = 0
        self._used_bytes = self._used_count = 0
        self._starved: list[Waiter] = []
        self._consumed = 0
        self._granted = RESULT_WINDOW
        self._leader = None
        self._followers: dict[Waiter, None] = {}
        self._urgent = False  # an answer has to be written at once
        self._notices: deque[session_pb2.Notice] = deque()
        self._inbox = deque()
        self._control_news = False  # there is something in it for control
        self._inbox_waiters: list[Waiter] = []
        self._inbox_callback: Callable[[], None] | None = None
        self._inbox_news = False
        self._blocked: dict[int, int] = {}  # by handle: how many threads of the task wait
        self._stream_read: dict[int, int] = {}  # by handle: items that the reader has read
        self._cancelled: set[int] = set()  # handles of tasks that are not done
        self._item_used = 0  # credit for items of streams
        self._item_waiters: dict[bytes, None] = {}  # keys of those in _parked and _callbacks that wait for more of it
        self._children: dict[int, dict[bytes, int]] = {}  # by handle: see child_id
        self._store: _store.Store | None = None
        self._store_lock = Lock()  # for setting it; a leaf: frames are handled with _lock held

        # Not guarded.
        self._released = []
        self._unpinned = deque()  # appended to by finalisers
        self._closed_streams = deque()  # likewise
        self._collect = False  # the node asked for a garbage collection
        self._burst = 0
        self._last = 0.0
        self._armed = False
        self._alarm = Lock()
        self._alarm.acquire()
        self._flusher: threading.Thread | None = None
        self._reader: threading.Thread | None = None
        self._reader_gate = Lock()
        self._reader_gate.acquire()
        self._closing = False
        self._nudged = False
        self._fail_later = ""  # why the session has ended, as a signal handler found
        self._main = threading.main_thread().ident
        self._task = threading.local()

        try:
            self._handshake(hello)
        except BaseException:
            self._conn.close()
            raise
        self._silence = silence.Silence(self.node_pid)
        if self.role == session_pb2.ROLE_DRIVER:
            self._silence.watch(self._conn.sock)
        self._handlers = self._make_handlers()
        _sessions.add(self)
        if self.role == session_pb2.ROLE_WORKER and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGURG, self._on_nudge)
        with self._lock:
            self._dispatch()  # what came together with Welcome
        self._after_dispatch()
        if self.role == session_pb2.ROLE_DRIVER and hello.wants_logs:
            self._start_reader()

    # --- what the classes above add ---------------------------------------------------------------------------------------------
    def _make_handlers(self) -> dict[int, Callable[[bytes], None]]:
        """Returns what handles the payload of each kind of frame, with the lock held."""
        raise NotImplementedError

    def _append_releases(self) -> None:
        """Sends what was released. Needs the lock."""
        raise NotImplementedError

    def _lend(self) -> int | None:
        """Tells the node that the calling thread's task waits, and returns its handle; None when it runs none."""
        raise NotImplementedError

    def _reclaim(self, handle: int) -> None:
        """Tells the node that the task goes on."""
        raise NotImplementedError

    def _call_control(self) -> None:
        """Offers control messages to the worker."""
        raise NotImplementedError

    def _on_nudge(self, number: int, at: object) -> None:
        """Handles the node's signal."""
        raise NotImplementedError

    # --- opening and ending -----------------------------------------------------------------------------------------------------
    def _handshake(self, hello: session_pb2.Hello) -> None:
        hello.protocol_version = _wire.PROTOCOL_VERSION
        hello.pid = self._pid
        hello.language = task_pb2.LANGUAGE_PYTHON
        hello.language_version = ".".join(map(str, sys.version_info[:3]))
        hello.result_credit_bytes = RESULT_WINDOW
        self._append(frame(_wire.HELLO, hello.SerializeToString()))
        deadline = time.monotonic() + HANDSHAKE_SECONDS
        try:
            self._conn.flush()
            while (got := self._conn.next_frame()) is None:
                if not self._conn.receive(max(0.001, deadline - time.monotonic())) and time.monotonic() > deadline:
                    raise ConnectionError(f"the node did not answer within {HANDSHAKE_SECONDS:g} s")
        except EOFError as e:
            raise ConnectionError("the node closed the connection instead of opening a session") from e
        kind, payload = got
        if kind == _wire.REFUSED:
            raise Refused(session_pb2.Refused.FromString(payload).error.SerializeToString())
        if kind != _wire.WELCOME:
            raise ConnectionError(f"the other side is no node: it answered with a frame of kind {kind}")
        welcome = session_pb2.Welcome.FromString(payload)
        self._root = welcome.id_root
        self.job_id, self.node_id = welcome.job_id, welcome.node_id
        self.namespace, self.address, self.node_pid = welcome.namespace, welcome.address, welcome.node_pid
        self.limits = welcome.limits
        self._inline_max = min(_INLINE_MAX, welcome.limits.inline_bytes or _INLINE_MAX)
        self._credit_bytes, self._credit_count = welcome.credit_bytes, welcome.credit_count
        self._item_credit = welcome.item_credit_bytes or 1 << 62

    @property
    def closed(self) -> bool:
        """Whether the session has ended, whoever ended it."""
        return self._ended is not None

    def close(self, reason: str = "closed by the program", timeout: float = 2.0) -> None:
        """Ends the session in order; what still waits resolves to SESSION_CLOSED. A second call does nothing."""
        with self._lock:
            if self._closing or self._ended is not None:
                done = True
            else:
                done = False
                self._closing = True
                self._append_releases()
                self._append(frame(_wire.GOODBYE, session_pb2.Goodbye(reason=reason).SerializeToString()))
        if not done:
            waiter = Waiter()
            with self._lock:
                self._parked.setdefault(b"", []).append(waiter)  # no object has that id: only the end of the session wakes it
            self._wait(waiter, time.monotonic() + timeout, lend=False)
        self._fail("the session was closed")
        with contextlib.suppress(OSError):
            self._conn.sock.shutdown(socket.SHUT_RDWR)  # wakes whoever reads
        for thread in (self._flusher, self._reader):
            if thread is not None and thread is not threading.current_thread():
                thread.join(timeout)
        self._conn.close()

    def _fail(self, reason: str) -> None:
        """Ends the session: everything that waits resolves to an error that says why."""
        with self._lock:
            if self._ended is not None:
                return
            if self._closing:
                self._ended = error_value(
                    value_pb2.ERROR_KIND_SESSION_CLOSED,
                    "the session was closed by this program before the result came",
                    "get the results that you need before you shut down",
                    value_pb2.EXECUTION_MAY_HAVE_EXECUTED,
                )
            else:
                self._ended = error_value(
                    value_pb2.ERROR_KIND_NODE_LOST,
                    f"the connection to the node manager (pid {self.node_pid}) ended: {reason}",
                    "the node's log says why it ended; start a node and run the program again",
                    value_pb2.EXECUTION_MAY_HAVE_EXECUTED,
                )
            lost = self._lost()
            for oid, value in self._values.items():
                if not value:
                    self._values[oid] = lost
            for target in self._pending.values():
                if isinstance(target, Stream):
                    target.ended = True
            self._pending.clear()
            self._asked.clear()
            for waiters in [*self._parked.values(), self._starved, self._inbox_waiters]:
                for waiter in waiters:
                    waiter.need = 0
                    waiter.wake()
            self._parked.clear()
            error = value_pb2.ErrorValue.FromString(self._ended)
            for number, query in self._queries.items():
                if isinstance(query, Waiter):
                    self._queries[number] = session_pb2.Reply(id=number, error=error)
                    query.need = 0
                    query.wake()
            self._fired += self._callbacks.items()
            self._callbacks = {}
            for follower in self._followers:
                follower.wake()
            self._inbox_news = True
            if self._store is not None:
                self._store.fail()
        self._alarm_now()
        self._after_dispatch()

    def _lost(self) -> bytes:
        """Returns the encoded Value that the end of the session is."""
        return value_pb2.Value(format=value_pb2.VALUE_FORMAT_ERROR, meta=self._ended or b"").SerializeToString()

    def _check(self) -> None:
        """Raises SessionLost when the session has ended. Needs the lock."""
        if self._ended is not None:
            raise session_lost(self._ended)

    def _orphan(self) -> None:
        """Ends the session in a process that was forked: the connection is its parent's."""
        conn = self._conn
        self._lock = conn._lock = Lock()
        self._store_lock = Lock()
        conn._write_lock = Lock()
        conn._writer = 0
        conn.out, conn._tail = [], None
        self._armed = True  # nothing is sent any more
        self._flusher = self._reader = None
        self._leader = None
        self._followers.clear()
        self._ended = error_value(
            value_pb2.ERROR_KIND_SESSION_CLOSED,
            f"process {os.getpid()} was forked from process {self._pid}, whose session it cannot share",
            "start subprocesses by spawn or forkserver, or call init() in them",
            value_pb2.EXECUTION_NOT_EXECUTED,
        )
        lost = self._lost()
        self._values = {oid: value or lost for oid, value in self._values.items()}
        self._callbacks.clear()
        self._parked.clear()
        self._store = None
        if self.role == session_pb2.ROLE_WORKER:
            signal.signal(signal.SIGURG, signal.SIG_DFL)
        conn.close_socket()

    # --- writing ----------------------------------------------------------------------------------------------------------------
    def _append(self, data: bytes) -> None:
        """Appends a whole frame. Needs the lock, but at the handshake."""
        conn = self._conn
        conn.out_bytes += len(data)
        conn.out.append(data)

    def _post(self, kind: int, payload: bytes) -> None:
        """Appends a frame that nothing else depends on, and has it written soon. Does nothing when the session has ended."""
        data = frame(kind, payload)
        with self._lock:
            if self._ended is not None:
                return
            self._append(data)
        self._kick()

    def _flush(self) -> None:
        try:
            if not self._conn.flush():
                self._arm()
        except OSError as e:
            self._broken(e)

    def _broken(self, error: BaseException) -> None:
        """Deals with an error of writing: what the node sent before it ended is still to be read, and whoever reads finds the end."""
        with contextlib.suppress(OSError):
            self._conn.sock.shutdown(socket.SHUT_WR)
        if self._leader is None and self._reader is None:
            self._fail(str(error))

    def _arm(self) -> None:
        """Has the flusher look after what is pending. It takes no lock that anybody keeps, for finalisers."""
        if self._armed:
            return
        self._armed = True
        if self._flusher is None:
            self._start_flusher()
        self._alarm_now()

    def _alarm_now(self) -> None:
        with contextlib.suppress(RuntimeError):  # somebody else was quicker
            self._alarm.release()

    def _start_flusher(self) -> None:
        if self._ended is not None or sys.is_finalizing():  # nothing has to be sent, and a thread that is started then may never run
            return
        with contextlib.suppress(RuntimeError):  # the interpreter is ending
            self._flusher = threading.Thread(target=self._run_flusher, name="mobula-flusher", daemon=True)
            self._flusher.start()

    def _run_flusher(self) -> None:
        while True:
            self._alarm.acquire()
            while True:
                time.sleep(_FLUSH_SECONDS if self._conn.out else _RELEASE_SECONDS)
                if self._ended is not None:
                    return
                if self._nudged:
                    signal.pthread_kill(self._main or 0, signal.SIGURG)
                if self._fail_later:
                    self._fail(self._fail_later)
                self._after_dispatch()
                if self._collect and self._store is not None:
                    self._collect = False
                    self._store.collect()
                self.flush()
                self._armed = False
                if not (self._released or self._conn.out or self._nudged or self._closed_streams or self._unpinned):
                    break
                self._armed = True

    # --- waiting and reading ----------------------------------------------------------------------------------------------------
    def _wait(self, waiter: Waiter, deadline: float | None, *, lend: bool = True) -> bool:
        """Waits until the waiter needs nothing more; False when the deadline was first. It leads if nobody else does."""
        handle = self._lend() if lend and self.role == session_pb2.ROLE_WORKER else None
        try:
            self.flush()
            while waiter.need > 0:
                with self._lock:
                    if waiter.need <= 0:
                        return True
                    lead = self._leader is None
                    if lead:
                        self._leader = waiter
                    else:
                        waiter.parked = True
                        self._followers[waiter] = None
                if not (self._lead(waiter, deadline) if lead else self._follow(waiter, deadline)):
                    return waiter.need <= 0
            return True
        finally:
            if self._leader is waiter:  # before any call, where an interrupt may come: nobody else would ever lead
                self._leader = None
                self._pass_on()
            if handle is not None:
                self._reclaim(handle)

    def _follow(self, waiter: Waiter, deadline: float | None) -> bool:
        """Is parked until somebody wakes the waiter; False when the deadline was first."""
        woken = False
        try:
            if deadline is None:
                woken = waiter.lock.acquire()
            else:
                woken = waiter.lock.acquire(timeout=max(0.0, min(deadline - time.monotonic(), threading.TIMEOUT_MAX)))
            return woken
        finally:
            with self._lock:
                self._followers.pop(waiter, None)
                if not woken and not waiter.parked:
                    waiter.lock.acquire(blocking=False)  # it was woken after it gave up
                waiter.parked = False
                if self._leader is None and (not woken or waiter.need <= 0):
                    self._hand_on()  # it was woken to lead, and will not

    def _lead(self, waiter: Waiter, deadline: float | None) -> bool:
        """Reads until the waiter needs nothing more; False when the deadline was first."""
        while waiter.need > 0:
            timeout = None
            if deadline is not None:
                timeout = deadline - time.monotonic()
                if timeout <= 0:
                    return False
                timeout = min(timeout, silence.SECONDS)
            self._read(timeout)
        return True

    def _pass_on(self) -> None:
        """Has somebody who waits lead, unless somebody leads already."""
        with self._lock:
            if self._leader is None:
                self._hand_on()

    def _hand_on(self) -> None:
        """Gives up the lead, to somebody who waits if there is one. Needs the lock."""
        self._leader = None
        for follower in self._followers:
            if follower.parked:  # others were woken before, or were interrupted
                follower.wake()
                return
        if self._callbacks:
            with contextlib.suppress(RuntimeError):
                self._reader_gate.release()

    def _forget(self, waiter: Waiter, ids: Iterable[bytes]) -> None:
        """Takes a waiter off the lists on which it still is."""
        with self._lock:
            parked = self._parked
            for oid in ids:
                waiters = parked.get(oid)
                if waiters is not None and waiter in waiters:
                    waiters.remove(waiter)
                    if not waiters:
                        del parked[oid]

    def _read(self, timeout: float | None) -> None:
        """Reads once and handles what came. Only the leader calls it."""
        try:
            came = self._conn.receive(timeout)
            if came:
                with self._lock:
                    self._dispatch()
        except (OSError, EOFError, ProtocolError) as e:
            self._fail(str(e))
            return
        if came:
            self._after_dispatch()
        elif self.role == session_pb2.ROLE_DRIVER and (timeout is None or timeout >= silence.SECONDS):
            self._on_silence()

    def _on_silence(self) -> None:
        """Asks the node for a sign of life when it has said nothing for long, or says that it gives none."""
        self._silence.tell()
        if not self._silence.asked:
            with self._lock:
                self._query_id += 1
                self._silence.asked = self._query_id
                self._append(frame(_wire.QUERY, session_pb2.Query(id=self._query_id, resources=session_pb2.ResourcesQuery()).SerializeToString()))
            self._flush()

    def _after_dispatch(self) -> None:
        """Does what handling frames left to be done without the lock."""
        self._answer_urgent()
        while self._fired:
            with contextlib.suppress(IndexError):  # another thread was quicker
                key, callbacks = self._fired.popleft()
                for callback in callbacks:
                    self._call(callback, key)
        while self._notices:
            with contextlib.suppress(IndexError):
                notice = self._notices.popleft()
                if self._notice is not None:
                    self._call(self._notice, notice)
        if self._inbox_news:
            self._inbox_news = False
            if self._inbox_callback is not None:
                self._inbox_callback()
        if self._control_news:
            self._call_control()

    def _call(self, callback: Callable[[T], object], argument: T) -> None:
        """Calls a callback. What it raises is nobody's business who happens to read: not even SystemExit ends the session's reader."""
        try:
            callback(argument)
        except BaseException as e:
            if not isinstance(e, Exception) and threading.current_thread() is not self._reader:
                raise  # Ctrl-C, in the middle of it
            sys.excepthook(type(e), e, e.__traceback__)

    def _answer_urgent(self) -> None:
        """Writes what must be written at once."""
        if self._urgent:
            self._urgent = False
            self._flush()

    def _handle(self, kind: int, payload: bytes) -> None:
        handler = self._handlers.get(kind)
        if handler is None:
            raise ProtocolError(f"a frame of the unknown kind {kind}")
        try:
            handler(payload)
        except DecodeError as e:
            raise ProtocolError(f"a frame of kind {kind}: {e}") from e

    def _start_reader(self) -> None:
        """Starts the thread that reads while there are callbacks or notices and nobody else leads."""
        if self._reader is None:
            with contextlib.suppress(RuntimeError):  # the interpreter is ending
                self._reader = threading.Thread(target=self._run_reader, name="mobula-reader", daemon=True)
                self._reader.start()
        elif self._leader is None:
            with contextlib.suppress(RuntimeError):
                self._reader_gate.release()

    def _run_reader(self) -> None:
        poll = select.poll()  # not the connection's: that one is the leader's, and a poll object serves one thread at a time
        poll.register(self.fileno(), select.POLLIN)
        while self._ended is None:
            if not poll.poll(silence.SECONDS * 1000):
                if self._callbacks and self._leader is None:
                    self._on_silence()
            elif not self.read_ready():
                self._reader_gate.acquire(timeout=0.02)  # somebody else reads: no need to wake at each of its frames

    def fileno(self) -> int:
        """Returns the socket's descriptor, for an event loop to watch."""
        return self._conn.sock.fileno()

    def read_ready(self) -> bool:
        """Handles what has arrived, without waiting. False when somebody else reads."""
        token = object()
        with self._lock:
            if self._leader is not None or self._ended is not None:
                return False
            self._leader = token
        try:
            self._read(0)
        finally:
            if self._leader is token:
                self._leader = None
                self._pass_on()
        return True


_sessions: weakref.WeakSet[Link] = weakref.WeakSet()


def _forked() -> None:
    for session in list(_sessions):
        session._orphan()


os.register_at_fork(after_in_child=_forked)
