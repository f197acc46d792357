"""A worker's side: it takes tasks and gives their outcomes."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Sequence

from mobula import _wire
from mobula._gen import session_pb2, task_pb2, value_pb2
from mobula._session.objects import Objects
from mobula._session.parts import U64, Message, PackedValue, Stored, Waiter, encode_value
from mobula._wire import ProtocolError, frame, varint


class Work(Objects):
    """Adds what only workers do."""

    def next_execute(self, block: bool = True, timeout: float | None = None) -> Message | None:
        """Returns the next task or control message, in the order in which they came; None when there is none in time.

        Whoever has to wait writes what is pending first. Raises SessionLost when the session has ended.
        """
        inbox = self._inbox
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                message = inbox.popleft()
            except IndexError:
                pass
            else:
                return message
            if not block:
                return None
            waiter = Waiter()
            with self._lock:
                self._check()
                if inbox:
                    continue
                self._inbox_waiters.append(waiter)
            try:
                if not self._wait(waiter, deadline, lend=False) and not inbox:
                    return None
            finally:
                with self._lock:
                    self._inbox_waiters.remove(waiter)

    def take_back(self, handle: int) -> session_pb2.Execute | None:
        """Takes a task that next_execute has not returned yet out of the queue, because it was cancelled; None when it is not there."""
        with self._lock:
            for message in self._inbox:
                if isinstance(message, session_pb2.Execute) and message.handle == handle:
                    self._inbox.remove(message)
                    return message
        return None

    def on_execute(self, callback: Callable[[], None] | None) -> None:
        """Calls callback from the thread that reads when next_execute(block=False) has something, or the session has ended."""
        self._inbox_callback = callback

    def open_value(self, encoded: bytes, execute: session_pb2.Execute) -> Stored:
        """Returns a value out of an Execute frame: its arguments, or an argument that was a ref.

        Views of what lies in shared memory stay valid beyond the task: done moves what is still in use.
        """
        return self._open(None, encoded, execute)

    def running(self, execute: session_pb2.Execute | None) -> None:
        """Says which task the calling thread runs, so that its waits lend the task's CPU."""
        self._task.execute = execute

    def done(
        self,
        execute: session_pb2.Execute,
        results: Sequence[PackedValue],
        run_ns: int,
        *,
        error: bytes | None = None,
        error_names: Sequence[str] = (),
        exit_actor: bool = False,
        exit_worker: bool = False,
    ) -> None:
        """Gives the outcome of a task: one value per result, or an encoded ErrorValue.

        Raises:
            StoreFull: there is no room for a large result; the task is not done then.
            ValueError: the results are too long together.
        """
        handle = execute.handle
        parts = [b"\x08", varint(handle)]
        if error is None and len(results) == 1 and results[0].size <= self._inline_max:
            value = encode_value(results[0])
            parts += (b"\x12", varint(len(value)), value)
        elif error is not None:
            value = value_pb2.Value(format=value_pb2.VALUE_FORMAT_ERROR, meta=error).SerializeToString()
            parts += (b"\x12", varint(len(value)), value, b"\x18\x01")
            for name in error_names:
                text = name.encode()
                parts += (b"2", varint(len(text)), text)
        else:
            for packed in results:
                value = encode_value(packed) if packed.size <= self._inline_max else self._shared().write(packed)
                parts += (b"\x12", varint(len(value)), value)
        parts += (b" ", varint(run_ns if run_ns > 0 else 1))
        if exit_actor:
            parts.append(b"(\x01")
        if exit_worker:
            parts.append(b"8\x01")
        data = frame(_wire.DONE, b"".join(parts))
        if self._store is not None:
            self._store.detach(handle)
        with self._lock:
            if self._children or self._stream_read:
                self._children.pop(handle, None)
                self._stream_read.pop(handle, None)
            if self._ended is None:
                self._append(data)
        if self._inbox or self._leader is not None or self._inbox_callback is not None:
            self._kick()  # otherwise next_execute writes it

    def yield_item(self, execute: session_pb2.Execute, index: int, packed: PackedValue) -> None:
        """Gives one item of a stream, counted from 1."""
        value = encode_value(packed) if packed.size <= self._inline_max else self._shared().write(packed)
        self._post(_wire.YIELD, b"\x08" + varint(execute.handle) + b"\x10" + varint(index) + b"\x1a" + varint(len(value)) + value)

    def wait_consumed(self, execute: session_pb2.Execute, items: int) -> None:
        """Waits until the reader of the task's stream has read so many items. Raises SessionLost."""
        key = U64(execute.handle)
        while True:
            waiter = Waiter()
            with self._lock:
                self._check()
                if self._stream_read.get(execute.handle, 0) >= items:
                    return
                self._parked.setdefault(key, []).append(waiter)
            self._wait(waiter, None)

    # --- frames -----------------------------------------------------------------------------------------------------------------
    def _make_handlers(self) -> dict[int, Callable[[bytes], None]]:
        handlers = super()._make_handlers()
        if self.role == session_pb2.ROLE_WORKER:
            handlers |= {
                _wire.TEMPLATE: self._on_template,
                _wire.EXECUTE: self._on_execute,
                _wire.REVOKE: self._on_revoke,
                _wire.CONSUMED: self._on_consumed,
                _wire.CANCEL_TASK: lambda payload: self._on_control(session_pb2.CancelTask.FromString(payload)),
                _wire.ACTOR_GONE: lambda payload: self._on_control(session_pb2.ActorGone.FromString(payload)),
                _wire.EXIT: lambda payload: self._on_control(session_pb2.Exit.FromString(payload)),
            }
        return handlers

    def _on_template(self, payload: bytes) -> None:
        template = task_pb2.Template.FromString(payload)
        self.templates[template.id] = template

    def _on_execute(self, payload: bytes) -> None:
        execute = session_pb2.Execute.FromString(payload)
        if execute.template not in self.templates:
            raise ProtocolError(f"template {execute.template} was not announced")
        self._deliver(execute)

    def _deliver(self, message: Message) -> None:
        self._inbox.append(message)
        self._inbox_news = True
        for waiter in self._inbox_waiters:
            waiter.tell()

    def _on_control(self, message: Message) -> None:
        self._control_news = True
        self._deliver(message)

    def _on_revoke(self, payload: bytes) -> None:
        lane = session_pb2.Revoke.FromString(payload).lane
        answer = session_pb2.Revoked(lane=lane, returned=self._take_lane(lane))
        self._append(frame(_wire.REVOKED, answer.SerializeToString()))
        self._urgent = True

    def _take_lane(self, lane: int) -> list[int]:
        """Takes out the tasks of a lane that have not begun, and returns their handles. Needs the lock."""
        taken = [m for m in self._inbox if isinstance(m, session_pb2.Execute) and m.lane == lane]
        for message in taken:
            with contextlib.suppress(ValueError):  # begun this moment
                self._inbox.remove(message)
        return [message.handle for message in taken]

    def _on_consumed(self, payload: bytes) -> None:
        consumed = session_pb2.Consumed.FromString(payload)
        self._stream_read[consumed.handle] = max(consumed.items, self._stream_read.get(consumed.handle, 0))
        for waiter in self._parked.pop(U64(consumed.handle), ()):
            waiter.tell()

    def _lend(self) -> int | None:
        """Tells the node that the calling thread's task waits, and gives back what stands behind it in its lane."""
        execute = getattr(self._task, "execute", None)
        handle = 0 if execute is None else execute.handle
        with self._lock:
            waiting = self._blocked.get(handle, 0)
            self._blocked[handle] = waiting + 1
            if not waiting:
                returned = self._take_lane(execute.lane) if execute is not None and not execute.actor_id else []
                self._append(frame(_wire.BLOCKED, session_pb2.Blocked(handle=handle, returned=returned).SerializeToString()))
        return handle

    def _reclaim(self, handle: int) -> None:
        """Tells the node that the task goes on."""
        with self._lock:
            waiting = self._blocked.pop(handle) - 1
            if waiting:
                self._blocked[handle] = waiting
            elif self._ended is None:
                self._append(frame(_wire.UNBLOCKED, b"\x08" + varint(handle) if handle else b""))
        self._arm()

    # --- nudges -----------------------------------------------------------------------------------------------------------------
    def _on_nudge(self, number: int, at: object) -> None:
        """Handles the node's signal: something urgent has come. It runs in the main thread, anywhere, and must not wait for what that may hold."""
        self._nudged = False
        if not self._lock.acquire(blocking=False):
            self._nudged = True  # the flusher sends the signal again: the lock may be the main thread's own
            self._arm()
            return
        lead = self._leader is None and self._ended is None
        if lead:
            self._leader = self._on_nudge
        self._lock.release()
        if lead:
            try:
                if self._conn.receive(0):
                    with self._lock:
                        self._dispatch()
            except (OSError, EOFError, ProtocolError) as e:
                self._fail_later = str(e)
            finally:
                with self._lock:
                    self._hand_on()
            self._answer_urgent()
            if self._fired or self._notices or self._inbox_news or self._fail_later:
                self._arm()  # callbacks may wait for what the main thread holds: the flusher calls them
        if self._control_news:
            self._call_control()

    def _call_control(self) -> None:
        """Offers control messages to the worker, in the main thread."""
        if threading.get_ident() != self._main:
            signal.pthread_kill(self._main or 0, signal.SIGURG)
            return
        self._control_news = False
        control = self.control
        if control is None:
            return
        for message in list(self._inbox):
            if isinstance(message, session_pb2.Execute):
                continue
            taken = True  # so it is when control raises
            try:
                taken = control(message)
            finally:
                if taken:
                    self._inbox.remove(message)
