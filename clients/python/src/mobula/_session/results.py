"""What the node tells a session: results, credit, replies."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mobula import _wire
from mobula._gen import session_pb2
from mobula._session.link import Link
from mobula._session.parts import IDS_MAX, READY, RESULT_WINDOW, U32, Several, Waiter
from mobula._session.stream import Stream
from mobula._wire import frame

_ERROR = b"\x08\x03"
"""What an encoded value begins with that is an error: its format."""
_TOLD_MAX = 10_000


class Results(Link):
    """Adds the handling of frames that every session gets."""

    def _fire(self, key: bytes) -> None:
        """Notes that callbacks are to be called. Needs the lock."""
        self._fired.append((key, self._callbacks.pop(key)))

    def _consume(self, size: int) -> None:
        """Counts bytes of results, and lets the node push more when half of the window is used. Needs the lock."""
        self._consumed += size
        if self._granted - self._consumed <= RESULT_WINDOW // 2:
            self._granted = self._consumed + RESULT_WINDOW
            self._append(frame(_wire.CREDIT, session_pb2.Credit(bytes=self._granted).SerializeToString()))
            self._urgent = True

    def _make_handlers(self) -> dict[int, Callable[[bytes], None]]:
        handlers: dict[int, Callable[[bytes], None]] = {
            _wire.RESULT: self._on_result,
            _wire.CREDIT: self._on_credit,
            _wire.REPLY: self._on_reply,
            _wire.NOTICE: lambda payload: self._notices.append(session_pb2.Notice.FromString(payload)),
            _wire.GOODBYE: self._on_goodbye,
        }
        return handlers

    def _on_result(self, payload: bytes) -> None:
        """Handles a Result in all its forms."""
        result = session_pb2.Result.FromString(payload)
        value = result.value
        self._consume(len(value))
        if not result.sequence:
            self._on_answer(result.object_id, value)
            return
        target = self._pending.get(result.sequence)
        if target is None:
            return  # handled before, see the module's text
        if value[:2] == _ERROR:
            self._note_error(target if type(target) is bytes else target.task_id + U32(result.index), value)
        if type(target) is bytes:
            self._settle(target, value)
            del self._pending[result.sequence]
        elif isinstance(target, Several):
            self._settle(target.task_id + U32(result.index), value)
            target.left.discard(result.index)
            if not target.left:
                del self._pending[result.sequence]
        elif isinstance(target, Stream):
            self._on_item(target, result.index, value, result.sequence)

    def _note_error(self, oid: bytes, value: bytes) -> None:
        """Notes that a call of this process has failed. Needs the lock."""
        if self._unhandled is None or oid in self._told:
            self._told.pop(oid, None)
        elif oid in self._values:
            self._unseen[oid] = value
        else:
            self._unhandled(value)

    def _drop_unseen(self, gone: Iterable[bytes]) -> None:
        """Tells of the errors among the objects whose last ref has gone. Needs the lock."""
        for oid in gone:
            value = self._unseen.pop(oid, None)
            if value is not None and self._unhandled is not None and self._ended is None:
                self._unhandled(value)

    def handled(self, ids: Iterable[bytes]) -> None:
        """Notes that the errors of these objects are known to somebody, or will be."""
        if self._unhandled is None:
            return
        told, values = self._told, self._values
        with self._lock:
            for oid in ids:
                self._unseen.pop(oid, None)
                if not values.get(oid):
                    told[oid] = None
                    if len(told) > _TOLD_MAX:
                        del told[next(iter(told))]

    def _on_item(self, stream: Stream, index: int, value: bytes, sequence: int) -> None:
        oid = stream.task_id + U32(index)
        if index:
            if index > stream.arrived:
                self._values[oid] = value or READY
                stream.arrived = index
            if stream.closed:
                self._closed_streams.append(stream)
                self._arm()
        else:
            self._settle(oid, value)
            stream.ended = True
            del self._pending[sequence]
        for waiter in self._parked.pop(stream.task_id, ()):
            waiter.tell()
        if stream.task_id in self._callbacks:
            self._fire(stream.task_id)

    def _on_answer(self, oid: bytes, value: bytes) -> None:
        """Handles the answer to a Get."""
        if self._asked.get(oid) is True and not value:
            return  # an answer to a question about readiness that was overtaken
        self._asked.pop(oid, None)
        self._settle(oid, value)

    def _settle(self, oid: bytes, value: bytes) -> None:
        """Gives an object its value, or only its readiness when there is none. Needs the lock."""
        values = self._values
        old = values.get(oid, self)
        if old is self or old or (not value and old == READY):
            return  # released meanwhile, or known already
        values[oid] = value or READY
        waiters = self._parked.pop(oid, ())
        for waiter in waiters:
            waiter.tell()  # one that wants the value asks for it
        if oid in self._callbacks:
            if value:
                self._fire(oid)
            elif self._asked.get(oid) is not True:
                self._append_get([oid], True)
                self._urgent = True

    def _append_get(self, ids: list[bytes], want_value: bool) -> None:
        """Asks the node. Needs the lock."""
        for at in range(0, len(ids), IDS_MAX):
            some = ids[at : at + IDS_MAX]
            self._asked.update(dict.fromkeys(some, want_value))
            self._append(frame(_wire.GET, session_pb2.Get(object_ids=b"".join(some), ready_only=not want_value).SerializeToString()))

    def _on_credit(self, payload: bytes) -> None:
        credit = session_pb2.Credit.FromString(payload)
        self._credit_bytes = max(self._credit_bytes, credit.bytes)
        self._credit_count = max(self._credit_count, credit.count)
        for waiter in self._starved:
            waiter.tell()

    def _on_reply(self, payload: bytes) -> None:
        reply = session_pb2.Reply.FromString(payload)
        self._silence.answered(reply.id)
        waiter = self._queries.get(reply.id)
        if isinstance(waiter, Waiter):
            self._queries[reply.id] = reply
            waiter.tell()

    def _on_goodbye(self, payload: bytes) -> None:
        raise EOFError("the node ended the session: " + session_pb2.Goodbye.FromString(payload).reason)
