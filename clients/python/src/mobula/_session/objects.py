"""Submitting calls, putting and getting objects, and holding them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from mobula import _wire
from mobula._gen import session_pb2, value_pb2
from mobula._hot import first_ready, split_ids
from mobula._session.parts import (
    FORMAT_ERROR,
    IDS_MAX,
    INDEX_0,
    NOBODY_READS,
    PENDING,
    READY,
    U32,
    UNASKED,
    GetTimeout,
    PackedValue,
    QueueFull,
    Several,
    Stored,
    Waiter,
    encode_value,
    error_value,
    rare_fields,
)
from mobula._session.results import Results
from mobula._session.silence import stopped
from mobula._session.stream import Stream
from mobula._wire import HEADER, frame, varint

if TYPE_CHECKING:
    from mobula import _store

_ARGS_MAX = _wire.FRAME_MAX - (64 << 10)
"""Longest arguments of a call: they have to fit a frame together with everything else."""
_header = HEADER.pack
_new_tuple = tuple.__new__  # of a Stored, in half the time
_CALL_SITES_MAX = 65_535
_RELEASES = 64
"""So many releases are sent before anything else is."""


class Objects(Results):
    """Adds what drivers and workers alike do."""

    # --- ids, templates, call sites ---------------------------------------------------------------------------------------------
    def child_id(
        self, execute: session_pb2.Execute, name: str, args: bytes, ref_args: Sequence[tuple[int, bytes]] = (), *, attempt: bool = False
    ) -> bytes:
        """Returns the id of a call that a task submits: derived from what it is when the task may run again, else a fresh one.

        Args:
            execute: the task that submits.
            name: of what is called.
            args: the encoded Value (encode_value) of the arguments.
            ref_args: as for submit.
            attempt: whether the attempt counts: for creations of actors and calls of methods.
        """
        if not execute.may_run_again:
            return self.new_id()
        h = hashlib.sha256(execute.task_id)
        if attempt:
            h.update(execute.attempt.to_bytes(8, "little"))
        h.update(name.encode())
        h.update(args)
        for _, oid in ref_args:
            h.update(oid)
        key = h.digest()[:16]
        with self._lock:
            seen = self._children.setdefault(execute.handle, {})
            occurrence = seen.get(key, 0)
            seen[key] = occurrence + 1
        if not occurrence:
            return key
        return hashlib.sha256(key + occurrence.to_bytes(4, "little")).digest()[:16]

    def template(self, content: bytes) -> int:
        """Returns the number of a template, which is registered the first time.

        content is Template.SerializeToString(deterministic=True) without an id.
        """
        number = self._template_numbers.get(content)
        if number is None:
            with self._lock:
                self._check()
                number = self._template_numbers.get(content)
                if number is None:
                    number = len(self._template_numbers) + 1
                    data = frame(_wire.TEMPLATE, b"\x08" + varint(number) + content)
                    self._template_numbers[content] = number
                    self._append(data)
        return number

    def call_site(self, location: str) -> int:
        """Returns the number of a place in the source, "file:line"; 0 when there are too many."""
        number = self._call_sites.get(location)
        if number is None:
            with self._lock:
                self._check()
                number = self._call_sites.get(location)
                if number is None:
                    number = len(self._call_sites) + 1
                    if number > _CALL_SITES_MAX:
                        return 0
                    data = frame(_wire.CALL_SITE, session_pb2.CallSite(id=number, location=location[-4000:]).SerializeToString())
                    self._call_sites[location] = number
                    self._append(data)
        return number

    # --- submitting -------------------------------------------------------------------------------------------------------------
    def submit(
        self,
        template: int,
        packed: PackedValue,
        ref_args: Sequence[tuple[int, bytes]] = (),
        keywords: Sequence[str] = (),
        *,
        returns: int = 1,
        streaming: bool = False,
        actor_id: bytes = b"",
        task_id: bytes | None = None,
        timeout_ns: int = 0,
        parent: int = 0,
        call_site: int = 0,
        traceparent: str = "",
        tracestate: str = "",
    ) -> bytes:
        """Submits one call and returns its task id. It does not wait, but for credit.

        Its objects 0 to returns - 1 are held once each from now on. Arguments go inline: the caller puts large ones before and passes their refs.

        Raises:
            SessionLost: the session has ended.
            QueueFull: there was no credit within timeout_ns.
            ValueError: the arguments are too long together.
        """
        args = encode_value(packed)
        if len(args) > _ARGS_MAX:
            raise ValueError(f"the arguments have {len(args):,} bytes together, more than {_ARGS_MAX:,}: put the large ones and pass their refs")
        if task_id is None:
            task_id = self.new_id()
        parts = [b"\x12\x10", task_id, b"\x18", varint(template), b'"', varint(len(args)), args]
        if parent:
            parts += (b"\x58", varint(parent))
        if call_site:
            parts += (b"\x50", varint(call_site))
        if actor_id:
            parts += (b"2\x10", actor_id)
        if ref_args or keywords or timeout_ns or traceparent:
            parts.append(rare_fields(ref_args, keywords, timeout_ns, traceparent, tracestate))
        body = b"".join(parts)
        oid = task_id + INDEX_0
        target: bytes | Several | Stream = oid
        if streaming:
            target = Stream(self, task_id)
        elif returns != 1:
            target = Several(task_id, returns)
        if ref_args:
            self.handled([oid for _, oid in ref_args])
        with self._lock:
            size = len(body) + 10  # the sequence takes up to so many, and credit is spent by what came
            if self._used_bytes + size > self._credit_bytes or self._used_count >= self._credit_count or self._ended is not None:
                self._await_credit(size, timeout_ns)
            sequence = self._sequence + 1
            body = b"\x08" + varint(sequence) + body
            data = frame(_wire.SUBMIT, body)
            values = self._values
            if target is not oid:
                for i in range(1, 1 if streaming else returns):
                    values[task_id + U32(i)] = PENDING
                if streaming:
                    self._streams[task_id] = target  # type: ignore[assignment]
            conn = self._conn
            values[oid] = PENDING
            self._pending[sequence] = target
            self._sequence = sequence
            self._used_bytes += len(body)
            self._used_count += 1
            conn.out_bytes += len(data)
            conn.out.append(data)
            if len(self._released) >= _RELEASES:
                self._append_releases()
        self._kick()
        return task_id

    def put(self, packed: PackedValue, *, task_id: bytes | None = None, call_site: int = 0) -> bytes:
        """Makes an object of a value and returns its id of 20 bytes, which is held once.

        Raises:
            SessionLost: the session has ended.
            StoreFull: the object store has no room for it.
            ValueError: there are too many refs in it.
        """
        oid = (self.new_id() if task_id is None else task_id) + INDEX_0
        value = encode_value(packed) if packed.size <= self._inline_max else self._shared().write(packed)
        body = b"\x0a\x14" + oid + b"\x12" + varint(len(value)) + value
        if call_site:
            body += b"\x18" + varint(call_site)
        try:
            data = frame(_wire.PUT, body)
            with self._lock:
                size = len(body)
                if self._used_bytes + size > self._credit_bytes or self._used_count >= self._credit_count or self._ended is not None:
                    self._await_credit(size, 0)
                conn = self._conn
                self._values[oid] = value
                self._used_bytes += size
                self._used_count += 1
                conn.out_bytes += len(data)
                conn.out.append(data)
                if len(self._released) >= _RELEASES:
                    self._append_releases()
        except BaseException:
            if self._store is not None and oid not in self._values:
                self._store.discard(value)
            raise
        self._kick()
        return oid

    def _await_credit(self, size: int, timeout_ns: int) -> None:
        """Waits until a frame of that size may be sent. Needs the lock, which is released meanwhile."""
        deadline = time.monotonic() + timeout_ns * 1e-9 if timeout_ns else None
        while True:
            self._check()
            if self._used_bytes + size <= self._credit_bytes and self._used_count < self._credit_count:
                return
            waiter = Waiter()
            self._starved.append(waiter)
            self._lock.release()
            try:
                came = self._wait(waiter, deadline)
            finally:
                self._lock.acquire()
                if waiter in self._starved:
                    self._starved.remove(waiter)
            if not came:
                raise QueueFull(
                    error_value(
                        value_pb2.ERROR_KIND_QUEUE_FULL,
                        "the job's queue at the node is full and had no room before the call's time was over",
                        "get results and release refs before you submit more, or submit with a longer timeout",
                        value_pb2.EXECUTION_NOT_EXECUTED,
                    )
                )

    # --- getting ----------------------------------------------------------------------------------------------------------------
    def get_one(self, object_id: bytes, timeout: float | None = None) -> Stored:
        """Returns the value of an object. See get."""
        value = self._values.get(object_id)
        if not value and timeout is None and self.role == session_pb2.ROLE_DRIVER:
            self._lead_for(object_id)
            value = self._values.get(object_id)
        if value:
            if self._unseen:
                self.handled((object_id,))
            return self._open(object_id, value)  # type: ignore[arg-type]
        return self.get((object_id,), timeout)[0]

    def get(self, ids: Sequence[bytes], timeout: float | None = None) -> list[Stored]:
        """Returns the values of objects, in order, and waits for them.

        It stops after the first that failed, in the order of ids: the last of the list then has FORMAT_ERROR. So is the end of the session.

        Raises:
            GetTimeout: they were not all here after timeout seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        values, asked = self._values, False
        got: list[Stored] = []
        for at, oid in enumerate(ids):
            value = values.get(oid)
            if not value:
                if not asked:
                    asked = True
                    self._ask(ids[at:], True)
                value = self._await(oid, deadline, timeout)
            stored = self._open(oid, value)  # type: ignore[arg-type]
            got.append(stored)
            if stored.format == FORMAT_ERROR:
                self.handled(ids)
                break
        if self._unheld:
            with self._lock:
                for oid in self._unheld.intersection(ids):
                    if values.get(oid):
                        self._unheld.discard(oid)
                        del values[oid]
        return got

    def peek(self, object_id: bytes) -> Stored | None:
        """Returns the value of an object if it is here already."""
        value = self._values.get(object_id)
        return self._open(object_id, value) if value else None  # type: ignore[arg-type]

    def _ask(self, ids: Iterable[bytes], want_value: bool) -> None:
        """Sees to it that the outcomes, or that they are ready, will be told."""
        asked, values, want = self._asked, self._values, []
        with self._lock:
            for oid in ids:
                value = values.get(oid, self)
                if value is self:
                    if self._ended is None:
                        values[oid] = PENDING
                        self._unheld.add(oid)
                        want.append(oid)
                    else:
                        values[oid] = self._lost()
                        self._unheld.add(oid)
                elif value is UNASKED:
                    values[oid] = PENDING
                    want.append(oid)
                elif want_value and (value == READY or asked.get(oid) is False) and asked.get(oid) is not True and not value:
                    want.append(oid)
            if want:
                self._append_get(want, want_value)

    def _await(self, oid: bytes, deadline: float | None, timeout: float | None) -> bytes:
        """Waits for the value of an object that was asked for."""
        values = self._values
        while True:
            waiter = Waiter()
            with self._lock:
                value = values.get(oid, self)
                if value and value is not self:
                    return value  # type: ignore[return-value]
                if value is not PENDING and (value is self or not self._asked.get(oid)):
                    again = True
                else:
                    again = False
                    self._parked.setdefault(oid, []).append(waiter)
            if again:
                self._ask((oid,), True)
            else:
                try:
                    came = self._wait(waiter, deadline)
                finally:
                    if waiter.need > 0:
                        self._forget(waiter, (oid,))
                if not came:
                    raise GetTimeout(f"object {oid.hex()} was not ready within {timeout} s")

    def wait(self, ids: Sequence[bytes], count: int, timeout: float | None = None, fetch_local: bool = True) -> list[bool]:
        """Waits until count of the objects are ready, or timeout seconds are over, and tells which are."""
        values = self._values
        ready = [(v := values.get(oid)) is not PENDING and v is not UNASKED for oid in ids]
        missing = count - sum(ready)
        if missing <= 0 or (timeout is not None and timeout <= 0 and not self._poll_now()):
            return ready
        deadline = None if timeout is None else time.monotonic() + timeout
        self._ask([oid for oid, is_ready in zip(ids, ready, strict=True) if not is_ready], False)
        waiter = Waiter()
        with self._lock:
            pending = [oid for oid in ids if values.get(oid) is PENDING]
            waiter.need = count - (len(ids) - len(pending))
            if waiter.need > 0:
                for oid in pending:
                    self._parked.setdefault(oid, []).append(waiter)
        if waiter.need > 0:
            try:
                self._wait(waiter, deadline)
            finally:
                self._forget(waiter, pending)
        return [values.get(oid) is not PENDING for oid in ids]

    def wait_first(self, ids: list[bytes], count: int, timeout: float | None = None) -> list[int]:
        """Waits as wait does, and returns where the first of the ready ones stand in ids: count of them, or fewer when the time is over."""
        chosen = first_ready(self._values, ids, count)
        if len(chosen) < count:
            self.wait(ids, count, timeout)
            chosen = first_ready(self._values, ids, count)
        if self._unseen:
            self.handled([ids[at] for at in chosen])
        return chosen

    def _poll_now(self) -> bool:
        """Takes what has arrived, for a wait that must not wait. Returns True."""
        self.flush()
        self.read_ready()
        return True

    def on_ready(self, object_id: bytes, callback: Callable[[bytes], None]) -> None:
        """Calls callback(object_id) once, when the value is here (peek returns it).

        It is called from the thread that reads, without locks; or at once, when the value is here already.
        """
        self._ask((object_id,), True)
        with self._lock:
            value = self._values.get(object_id)
            if not value:
                self._callbacks.setdefault(object_id, []).append(callback)
        if value:
            callback(object_id)
            return
        self._kick()
        self._start_reader()

    def _open(self, oid: bytes, encoded: bytes, execute: session_pb2.Execute | None = None) -> Stored:
        """Returns a value: that of an object, or an argument of a task."""
        if encoded[0] == 8 and len(encoded) > 3 and encoded[2] == 18:  # format, then metadata and nothing else: nearly all small values
            size = encoded[3]
            if size < 128:
                if len(encoded) == size + 4:
                    return _new_tuple(Stored, (encoded[1], encoded[4:], (), (), None))
            elif encoded[4] < 128 and len(encoded) == (size & 127 | encoded[4] << 7) + 5:
                return Stored(encoded[1], encoded[5:], (), (), None)
        value = value_pb2.Value.FromString(encoded)
        if value.HasField("block"):
            return self._shared().open(oid, None if execute is None else execute.handle, value)
        refs = value.refs
        return Stored(value.format, value.meta, list(value.buffers), split_ids(refs), None)

    def _shared(self) -> _store.Store:
        """Returns the shared memory, which is set up when it is first needed."""
        if self._store is None:
            from mobula import _store

            store = _store.Store(self)
            with self._store_lock:  # there is one, also when two threads need it at once
                if self._store is None:
                    self._store = store
        return self._store

    def _make_handlers(self) -> dict[int, Callable[[bytes], None]]:
        handlers = super()._make_handlers()
        for kind in (_wire.SEGMENT, _wire.GRANT, _wire.FREED, _wire.SEGMENT_GONE, _wire.COLLECT):
            handlers[kind] = lambda payload, kind=kind: self._shared().handle(kind, payload)  # type: ignore[misc]
        return handlers

    # --- holds ------------------------------------------------------------------------------------------------------------------
    def hold(self, object_id: bytes) -> None:
        """Adds a hold of this process, one for each living ref. Another hold must cover the object at this moment."""
        with self._lock:
            if object_id in self._values and object_id not in self._unheld:
                self._extra[object_id] = self._extra.get(object_id, 0) + 1
                return
            if self._ended is None:
                self._append(HEADER.pack(22, _wire.HOLD, 0) + b"\x0a\x14" + object_id)
            self._unheld.discard(object_id)
            self._values.setdefault(object_id, UNASKED if self._ended is None else self._lost())

    def hold_all(self, object_ids: list[bytes]) -> None:
        """Adds a hold for each of many objects, as hold does for one."""
        with self._lock:
            if self._released:
                self._append_releases()  # maybe of the same objects, which then are new
            state = UNASKED if self._ended is None else self._lost()
            frames = []
            for at in range(0, len(object_ids) if self._ended is None else 0, IDS_MAX):
                joined = b"".join(object_ids[at : at + IDS_MAX])
                frames.append(frame(_wire.HOLD, b"\x0a" + varint(len(joined)) + joined))
            if self._hold_new(object_ids, state, frames):
                return  # as nearly always
        for oid in object_ids:
            self.hold(oid)

    def adopt(self, object_id: bytes) -> None:
        """Notes a hold that the node has given this process already: of the handle that a GetActor query found."""
        with self._lock:
            known = object_id in self._values and object_id not in self._unheld
            self._unheld.discard(object_id)
            if known:
                self._extra[object_id] = self._extra.get(object_id, 0) + 1
                self._append(frame(_wire.RELEASE, b"\x0a\x14" + object_id))  # one hold at the node is enough
            else:
                self._values.setdefault(object_id, UNASKED if self._ended is None else self._lost())

    def release(self, object_id: bytes) -> None:
        """Drops a hold. It takes no lock, for finalisers."""
        self._released.append(object_id)
        if not self._armed:
            self._arm()

    def _append_releases(self) -> None:
        """Sends what was released. Needs the lock."""
        released = self._released
        streams = self._closed_streams
        while streams:
            stream = streams[0]
            if not (stream.given_up or stream.ended or self._ended):
                self._append(frame(_wire.CONSUMED, session_pb2.Consumed(object_id=stream.task_id + INDEX_0, items=NOBODY_READS).SerializeToString()))
                stream.given_up = True  # last: twice does no harm
            while stream.taken < stream.arrived:
                stream.taken += 1
                released.append(stream.task_id + U32(stream.taken))
            streams.popleft()
        if self._extra or self._unseen:
            ids = released[:]
            del released[: len(ids)]
            gone = [oid for oid in ids if self._drop(oid)]
            self._drop_unseen(gone)
        else:
            gone = self._drop_released()
        unpinned = [self._unpinned.popleft() for _ in range(len(self._unpinned))]
        if self._ended is None:
            for kind, ids in ((_wire.UNPIN, unpinned), (_wire.RELEASE, gone)):
                for at in range(0, len(ids), IDS_MAX):
                    joined = b"".join(ids[at : at + IDS_MAX])
                    self._append(frame(kind, b"\x0a" + varint(len(joined)) + joined))

    def _drop(self, object_id: bytes) -> bool:
        """Drops one hold of this process, and reports whether it was the last. Needs the lock."""
        more = self._extra.get(object_id, 0)
        if more > 1:
            self._extra[object_id] = more - 1
        elif more:
            del self._extra[object_id]
        return not more and self._values.pop(object_id, self) is not self

    # --- streams ----------------------------------------------------------------------------------------------------------------
    def stream(self, task_id: bytes) -> Stream:
        """Returns the stream of a streaming call of this process, once."""
        return self._streams.pop(task_id)

    def consumed(self, task_id: bytes, items: int) -> None:
        """Tells the producer how many items were read in all, for generator_backpressure."""
        self._post(_wire.CONSUMED, session_pb2.Consumed(object_id=task_id + INDEX_0, items=items).SerializeToString())

    # --- control ----------------------------------------------------------------------------------------------------------------
    def cancel(self, object_id: bytes, *, force: bool = False, recursive: bool = False) -> None:
        """Asks the node to end the task that makes the object."""
        self._post(_wire.CANCEL, session_pb2.Cancel(object_id=object_id, force=force, recursive=recursive).SerializeToString())

    def kill_actor(self, actor_id: bytes, *, no_restart: bool = True) -> None:
        """Asks the node to end an actor at once."""
        self._post(_wire.KILL_ACTOR, session_pb2.KillActor(actor_id=actor_id, no_restart=no_restart).SerializeToString())

    def query(self, query: session_pb2.Query, timeout: float | None = None) -> session_pb2.Reply:
        """Asks the node and waits for the reply, which may carry an error; so does the end of the session. Raises GetTimeout."""
        waiter = Waiter()
        with self._lock:
            if self._ended is not None:
                return session_pb2.Reply(error=value_pb2.ErrorValue.FromString(self._ended))
            self._query_id += 1
            query.id = number = self._query_id
            data = frame(_wire.QUERY, query.SerializeToString())
            self._queries[number] = waiter
            self._append(data)
        try:
            self._wait(waiter, None if timeout is None else time.monotonic() + timeout)
        finally:
            with self._lock:
                reply = self._queries.pop(number)
        if isinstance(reply, Waiter):
            raise GetTimeout(f"the node manager (pid {self.node_pid}) {stopped(self.node_pid) or f'did not answer within {timeout} s'}")
        return reply
