"""A worker's side: it takes tasks and gives their outcomes."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from mobula import _wire
from mobula._gen import session_pb2, task_pb2, value_pb2
from mobula._hot import done_frame
from mobula._session.objects import Objects
from mobula._session.parts import ITEM_OVERHEAD, U64, Message, PackedValue, Stored, Waiter, encode_value
from mobula._wire import ProtocolError, frame, varint


class Work(Objects):
    """Adds what only workers do."""

    def next_execute(self, block: bool = True, timeout: float | None = None) -> Message | None:
        """Returns the next task or control message, in the order in which they came; None when there is none in time.

        Whoever has to wait writes what is pending first. Raises SessionLost when the session has ended.
        """
        inbox: deque[Message] = self._inbox
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
            if deadline is None:
                self._lead_for_work()
                if inbox:
                    continue
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

    def open_value(self, encoded: bytes, execute: session_pb2.Execute, object_id: bytes = b"") -> Stored:
        """Returns a value out of an Execute frame: its arguments, or an argument that was a ref, with the id of its object.

        Views of what lies in shared memory stay valid beyond the task: done holds what is still in use.
        """
        return self._open(object_id, encoded, execute)

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
        run_ns = run_ns if run_ns > 0 else 1
        if error is None and len(results) == 1 and not exit_actor and not exit_worker:
            (packed,) = results
            if packed.size <= self._inline_max and not packed.buffers and not packed.refs:
                self._end(handle, done_frame(handle, packed.format, packed.meta, run_ns))
                return
        parts = [b"\x08", varint(handle)]
        if error is not None:
            value = value_pb2.Value(format=value_pb2.VALUE_FORMAT_ERROR, meta=error).SerializeToString()
            parts += (b"\x12", varint(len(value)), value, b"\x18\x01")
            for name in error_names:
                text = name.encode()
                parts += (b"2", varint(len(text)), text)
        else:
            for packed in results:
                value = encode_value(packed) if packed.size <= self._inline_max else self._shared().write(packed)
                parts += (b"\x12", varint(len(value)), value)
        parts += (b" ", varint(run_ns))
        if exit_actor:
            parts.append(b"(\x01")
        if exit_worker:
            parts.append(b"8\x01")
        self._end(handle, frame(_wire.DONE, b"".join(parts)))

    def _end(self, handle: int, data: bytes) -> None:
        """Sends the outcome of a task, and forgets the task."""
        if self._store is not None:
            self._store.keep(handle)
        with self._lock:
            if self._children or self._stream_read or self._cancelled:
                self._children.pop(handle, None)
                self._stream_read.pop(handle, None)
                self._cancelled.discard(handle)
            if self._ended is None:
                self._append(data)
        if self._inbox or self._leader is not None or self._inbox_callback is not None:
            self._kick()  # otherwise next_execute writes it

    def may_yield(self, execute: session_pb2.Execute, index: int) -> bool:
        """Whether an item may be given now: while there is credit, and in any case when its reader has read all before it."""
        return self._item_used < self._item_credit or self._stream_read.get(execute.handle, 0) >= index - 1 or self._ended is not None

    def yield_item(self, execute: session_pb2.Execute, index: int, packed: PackedValue) -> None:
        """Gives one item of a stream, counted from 1, and waits until it may.

        Raises:
            KeyboardInterrupt: the task was cancelled while it waited.
            StoreFull: the object store has no room for the item.
        """
        while not self.may_yield(execute, index):
            waiter = Waiter()
            with self._lock:
                if execute.handle in self._cancelled:
                    raise KeyboardInterrupt
                if self.may_yield(execute, index):
                    break
                self._parked.setdefault(self._await_items(execute), []).append(waiter)
            self._wait(waiter, None)
        if packed.size <= self._inline_max:
            value = encode_value(packed)
            size = len(value)
        else:
            value = self._shared().write(packed)
            size = value_pb2.Value.FromString(value).block.size
        data = frame(_wire.YIELD, b"\x08" + varint(execute.handle) + b"\x10" + varint(index) + b"\x1a" + varint(len(value)) + value)
        with self._lock:
            if self._ended is not None:
                return
            self._item_used += size + ITEM_OVERHEAD
            self._append(data)
        self._kick()

    def may_go_on(self, execute: session_pb2.Execute, items: int) -> bool:
        """Whether the reader of the task's stream has read so many items."""
        return self._stream_read.get(execute.handle, 0) >= items or self._ended is not None

    def on_consumed(self, execute: session_pb2.Execute, items: int, callback: Callable[[], object]) -> None:
        """Calls callback once, when may_go_on may have come true, from the thread that reads."""
        self._on_items(execute, partial(self.may_go_on, execute, items), callback)

    def on_yield(self, execute: session_pb2.Execute, index: int, callback: Callable[[], object]) -> None:
        """Calls callback once, when may_yield may have come true, from the thread that reads."""
        self._on_items(execute, partial(self.may_yield, execute, index), callback)

    def _on_items(self, execute: session_pb2.Execute, may: Callable[[], bool], callback: Callable[[], object]) -> None:
        def told(_: bytes) -> None:
            callback()

        with self._lock:
            wait = not may()
            if wait:
                self._callbacks.setdefault(self._await_items(execute), []).append(told)
        if not wait:
            callback()

    def _await_items(self, execute: session_pb2.Execute) -> bytes:
        """Returns the key of who waits to give items of a task. Needs the lock."""
        key = U64(execute.handle)
        self._item_waiters[key] = None
        return key

    def _tell_yielders(self, key: bytes) -> None:
        """Wakes who waits to give items of a task. Needs the lock."""
        self._item_waiters.pop(key, None)
        for waiter in self._parked.pop(key, ()):
            waiter.tell()
        if key in self._callbacks:
            self._fire(key)

    def wait_consumed(self, execute: session_pb2.Execute, items: int) -> None:
        """Waits until the reader of the task's stream has read so many items.

        Raises:
            KeyboardInterrupt: the task was cancelled while it waited.
            SessionLost: the session has ended.
        """
        key = U64(execute.handle)
        while True:
            waiter = Waiter()
            with self._lock:
                self._check()
                if self._stream_read.get(execute.handle, 0) >= items:
                    return
                if execute.handle in self._cancelled:
                    raise KeyboardInterrupt
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
        if isinstance(message, session_pb2.CancelTask):
            self._cancelled.add(message.handle)
            self._tell_yielders(U64(message.handle))
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
        self._tell_yielders(U64(consumed.handle))

    def _on_credit(self, payload: bytes) -> None:
        super()._on_credit(payload)
        credit = session_pb2.Credit.FromString(payload)
        if credit.item_bytes > self._item_credit:
            self._item_credit = credit.item_bytes
            for key in list(self._item_waiters):
                self._tell_yielders(key)

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
            try:
                self._leader = self._on_nudge
                self._lock.release()
                if self._conn.receive(0):
                    with self._lock:
                        self._dispatch()
            except (OSError, EOFError, ProtocolError) as e:
                self._fail_later = str(e)
            finally:
                self._leader = None
                self._pass_on()
            self._answer_urgent()
            if self._fired or self._notices or self._inbox_news or self._fail_later:
                self._arm()  # callbacks may wait for what the main thread holds: the flusher calls them
        else:
            self._lock.release()
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
