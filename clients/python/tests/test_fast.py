"""The inner loops in C do what those in Python do, and neither lose nor keep memory."""

from __future__ import annotations

import array
import gc
import importlib
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import tracemalloc
import weakref
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobula import _pure, _wire
from mobula._gen import session_pb2 as pb
from mobula._gen import value_pb2

try:
    from mobula import _fast
except ImportError:
    _fast = None  # type: ignore[assignment]

SOURCES = sorted(Path(_pure.__file__).with_name("_c").glob("*.c"))
BOTH = [pytest.param(_pure, id="python"), pytest.param(_fast, id="c", marks=pytest.mark.skipif(_fast is None, reason="the extension was not built"))]
needs_c = pytest.mark.skipif(_fast is None, reason="the extension was not built")


def oid(n: int) -> bytes:
    return b"rootroot" + n.to_bytes(8, "big") + b"\0\0\0\0"


def make_pipe(module: ModuleType, sock: socket.socket | None = None, data: bytes = b"", at: int = 0) -> Any:
    """Returns a connection's buffers; without a socket one that is busy writing."""

    class Conn(module.Pipe):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            self.sock, self._fd = sock, -1 if sock is None else sock.fileno()
            self.data, self.at, self.out, self.out_bytes = data, at, [], 0
            self._lock, self._write_lock = Lock(), Lock()
            self._tail = b"busy" if sock is None else None
            self._sent, self._files_out, self._got = [], [], []
            self._buffer = bytearray(1000)
            self._buffers = (self._buffer,)

    return Conn()


class Waiter:
    def __init__(self) -> None:
        self.told = 0

    def tell(self) -> None:
        self.told += 1


def make_session(module: ModuleType, data: bytes = b"", at: int = 0) -> Any:
    """Returns a session that has no node: it notes what its classes above would do."""

    class Session(module.Core):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self._root, self._lock, self._ended = b"rootroot", Lock(), None
            self._conn = make_pipe(module, None, data, at)
            self._asked: dict[bytes, bool] = {}
            self._extra: dict[bytes, int] = {}
            self._leader: object = None
            self._inbox: deque[Any] = deque()
            self._closed_streams: deque[Any] = deque()
            self._unpinned: deque[bytes] = deque()
            self._unseen: dict[bytes, bytes] = {}
            self._values: dict[bytes, Any] = {}
            self._pending: dict[int, Any] = {}
            self._parked: dict[bytes, list[Waiter]] = {}
            self._callbacks: dict[bytes, list[Any]] = {}
            self._released: list[bytes] = []
            self._sequence = self._used_bytes = self._used_count = self._burst = 0
            self._credit_bytes = self._credit_count = 1 << 40
            self._last, self._armed = 0.0, False
            self.log: list[Any] = []

        def _handle(self, kind: int, payload: bytes) -> None:
            self.log.append((kind, payload))
            if kind == _wire.EXECUTE:
                self._inbox.append(payload)
            if kind == 99:
                raise _wire.ProtocolError("a frame of the unknown kind 99")
            if kind == _wire.RESULT:
                pb.Result.FromString(payload)

        def _fire(self, key: bytes) -> None:
            self.log.append(("fire", key, self._callbacks.pop(key)))

        def _consume(self, size: int) -> None:
            self.log.append(("consume", size))

        def _await_credit(self, size: int, timeout_ns: int) -> None:
            self.log.append(("credit", size, timeout_ns))
            self._lock.release()
            self._lock.acquire()
            self._sequence += 100
            self._credit_bytes = self._credit_count = 1 << 40

        def _append_releases(self) -> None:
            assert self._lock.locked()
            if gone := b"".join(self._drop_released()):
                data = _wire.frame(_wire.RELEASE, b"\x0a" + _wire.varint(len(gone)) + gone)
                self._conn.out.append(data)
                self._conn.out_bytes += len(data)

        def _flush(self) -> None:
            self.log.append("write")

        def _arm(self) -> None:
            self.log.append("arm")
            self._armed = True

    return Session()


def state(s: Any) -> Any:
    """Returns all that a session has, for comparing."""
    told = {key: [w.told for w in waiters] for key, waiters in s._parked.items()}
    counts = (s._sequence, s._used_bytes, s._used_count, s._armed)
    return list(s._values.items()), s._pending, told, s._callbacks, s._released, counts, s._conn.out, s._conn.out_bytes, s._conn.at, s.log


# --- results ----------------------------------------------------------------------------------------------------------------------


def outcome(module: ModuleType, data: bytes, at: int = 0) -> Any:
    """Returns what handling bytes does to a session with calls 1 to 300 pending: every third released, every fifth waited for."""
    s = make_session(module, data, at)
    waiters = []
    for n in range(1, 301):
        s._pending[n] = oid(n) if n % 7 else ("several", n)
        if n % 3:
            s._values[oid(n)] = None
        if n % 5 == 0:
            waiters.append(Waiter())
            s._parked[oid(n)] = [waiters[-1], waiters[-1]]
        if n % 11 == 0:
            s._callbacks[oid(n)] = ["callback"]
    try:
        s._dispatch()
        error = None
    except Exception as e:
        error = e
    return error, s, [w.told for w in waiters]


def assert_same(data: bytes, at: int = 0) -> None:
    error_py, py, told_py = outcome(_pure, data, at)
    error_c, c, told_c = outcome(_fast, data, at)
    assert (error_py is None) == (error_c is None), (error_py, error_c)
    if error_py is None:
        assert (state(py), told_py) == (state(c), told_c)
    else:  # what a session does with bytes that break off is to end, wherever they did
        assert isinstance(error_py, type(error_c)) or isinstance(error_c, type(error_py)) or "cut off" in str(error_py)


def result(sequence: int, value: bytes, index: int = 0, size: int = 0) -> bytes:
    return _wire.frame(_wire.RESULT, pb.Result(sequence=sequence, index=index, value=value, size=size).SerializeToString())


frames = st.one_of(
    st.builds(
        result,
        st.integers(0, 310) | st.integers(0, 2**64 - 1),
        st.binary(max_size=300) | st.binary(max_size=9).map(b"\x08\x03".__add__),  # errors, too
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([0, 0, 9]),
    ),
    st.builds(_wire.frame, st.sampled_from([10, 17, 18, 20, 99, 300]), st.binary(max_size=20)),
)


@needs_c
@settings(deadline=None)  # the machine may be busy
@given(st.lists(frames, max_size=30), st.integers(0, 40), st.integers(0, 3))
def test_both_handle_frames_alike_however_they_are_cut(parts: list[bytes], missing: int, before: int) -> None:
    data = b"".join(parts)
    assert_same(b"x" * before + data[: len(data) - missing], before)


@needs_c
@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=60), st.sampled_from([10, 18, 18, 18, 19]))
def test_both_refuse_the_same_payloads(payload: bytes, kind: int) -> None:
    assert_same(_wire.frame(kind, payload) + result(4, b"\x08\x01\x12\x01\xc0"))


@needs_c
def test_both_take_or_refuse_the_same_mutations() -> None:
    chance = random.Random(7)
    recorded = b"".join(result(n, bytes(chance.randrange(256) for _ in range(chance.choice((5, 5, 9, 130, 20_000))))) for n in range(1, 60))
    end = time.monotonic() + 3
    while time.monotonic() < end:
        data = bytearray(recorded[: chance.randrange(600)])
        for _ in range(chance.randrange(1, 4)):
            if data:
                data[chance.randrange(len(data))] = chance.choice((0, 1, 8, 34, 127, 128, 255, chance.randrange(256)))
        assert_same(bytes(data))


@pytest.mark.parametrize("module", BOTH)
def test_a_broken_header_and_a_broken_result_are_protocol_errors(module: ModuleType) -> None:
    for data in (
        b"\xff\xff\xff\xff\x12\0\0\0",
        b"\x03\0\0\0\x12\0\x01\0\x08\x01\x22",
        _wire.frame(_wire.RESULT, b"\x08\x01\x22\x05\xc0"),
        _wire.frame(_wire.RESULT, b"\x08\x01\x22\x01\xc0\x28\x01"),
    ):
        error, s, _ = outcome(module, data)
        assert isinstance(error, _wire.ProtocolError), data
        assert s._conn.at == 0


@pytest.mark.parametrize("module", BOTH)
def test_an_exception_in_a_handler_leaves_its_frame_and_counts_what_came_before(module: ModuleType) -> None:
    first = result(1, b"\x08\x01\x12\x01\xc0")
    error, s, _ = outcome(module, first + _wire.frame(99, b"") + result(2, b"x"))
    assert isinstance(error, _wire.ProtocolError)
    assert s._conn.at == len(first)
    assert s.log == [(99, b""), ("consume", 5)]
    assert 1 not in s._pending and 2 in s._pending


# --- calls --------------------------------------------------------------------------------------------------------------------------


@needs_c
@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(st.binary(max_size=200), st.sampled_from([0, 0, 1, 2, 70])), max_size=20), st.integers(0, 20_000), st.integers(0, 400))
def test_both_submit_alike(calls: list[tuple[bytes, int]], sequence: int, credit: int) -> None:
    sessions = [make_session(_pure), make_session(_fast)]
    for s in sessions:
        s._sequence, s._credit_bytes = sequence, credit
        for fields, release in calls:
            s._last = float("inf")  # the clock stands still
            made = s.submit_plain(fields)
            assert made == oid(int.from_bytes(made[8:16], "big"))
            if release:
                s._released += [made] * release
        assert not s._lock.locked()
    assert state(sessions[0]) == state(sessions[1])
    assert sessions[0].new_id() == sessions[1].new_id()


@pytest.mark.parametrize("module", BOTH)
def test_a_call_on_a_session_that_has_ended_raises_and_leaves_the_lock(module: ModuleType) -> None:
    s = make_session(module)
    s._ended = b"over"
    s._await_credit = lambda size, timeout_ns: 1 / 0
    with pytest.raises(ZeroDivisionError):
        s.submit_plain(b"\x18\x01")
    assert not s._lock.locked() and not s._values and not s._pending and not s._conn.out


@pytest.mark.parametrize("module", BOTH)
def test_a_burst_is_written_in_parts(module: ModuleType) -> None:
    s = make_session(module)
    for _ in range(70):
        s._last = float("inf") if s._burst else 0.0  # the clock stands still
        s._kick()
    assert s.log == ["write", "write", "arm", "write", "write"]
    s._conn.out_bytes, s._last = 70_000, float("inf")
    s._kick()
    assert len(s.log) == 6
    s._last = 0.0
    s._kick()
    assert len(s.log) == 7 and s._burst == 1


@needs_c
def test_a_session_that_is_not_open_refuses() -> None:
    core = _fast.Core()
    for method in (core.new_id, core._kick, core.flush, core._dispatch, core._drop_released, _fast.Pipe()._send_now):
        with pytest.raises(RuntimeError, match="not open"):
            method()
    for method in (core.submit_plain, core._lead_for):
        with pytest.raises(RuntimeError, match="not open"):
            method(b"")
    with pytest.raises(RuntimeError, match="not open"):
        _fast.Pipe()._receive_now(0)


# --- connections -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    a, b = socket.socketpair()
    yield a, b
    a.close()
    b.close()


@needs_c
def test_what_can_be_written_at_once_is_and_the_rest_is_left(ends: tuple[socket.socket, socket.socket]) -> None:
    pipe = make_pipe(_fast, ends[0])
    assert pipe._send_now() is True
    pipe.out += [b"one", b"two"]
    pipe.out_bytes = 6
    assert pipe._send_now() is True
    assert (ends[1].recv(100), pipe.out, pipe.out_bytes, pipe._tail) == (b"onetwo", [], 0, None)
    for busy in (pipe._lock, pipe._write_lock):
        pipe.out.append(b"x")
        with busy:
            assert pipe._send_now() is False and pipe.out == [b"x"]
        pipe.out.clear()
    large = os.urandom(4 << 20)
    pipe.out.append(large)
    assert pipe._send_now() is False
    assert pipe._tail == large and pipe.out == [] and len(pipe._sent) == 1
    got = b""
    while len(got) < pipe._sent[0]:
        got += ends[1].recv(1 << 20)
    assert got == large[: pipe._sent[0]]
    pipe.out.append(b"later")
    assert pipe._send_now() is False and pipe.out == [b"later"]
    pipe._tail, pipe.out = None, ["text"]
    pipe._sent.clear()
    with pytest.raises(TypeError):
        pipe._send_now()


@needs_c
def test_what_is_read_is_put_behind_what_is_there(ends: tuple[socket.socket, socket.socket]) -> None:
    pipe = make_pipe(_fast, ends[0], b"oldrest", 3)
    assert pipe._receive_now(socket.MSG_DONTWAIT) is False
    ends[1].send(b"new")
    assert pipe._receive_now(0) is True
    assert (pipe.data, pipe.at, pipe._got) == (b"restnew", 0, [])
    r, w = os.pipe()
    socket.send_fds(ends[1], [b"with"], [r, w])
    assert pipe._receive_now(0) is None
    ((count, ((level, kind, data),), _, _),) = pipe._got
    assert (count, level, kind, len(data), bytes(pipe._buffer[:4])) == (4, socket.SOL_SOCKET, socket.SCM_RIGHTS, 8, b"with")
    for fd in (r, w, *array.array("i", data)):
        os.close(fd)
    pipe._got.clear()
    ends[1].close()
    assert pipe._receive_now(0) is None and pipe._got[0][:2] == (0, [])
    pipe._fd = -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        pipe._receive_now(0)


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("module", BOTH)
def test_a_signal_interrupts_who_reads_and_leaves_the_lead(module: ModuleType, ends: tuple[socket.socket, socket.socket]) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupt

    s = leader(module, ends[0])
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        timer = threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGUSR1))
        timer.start()
        with pytest.raises(Interrupt):
            s._lead_for(oid(1))
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert s._leader is None and not s._lock.locked() and s._values[oid(1)] is None
    ends[1].send(result(1, b"value"))
    s._lead_for(oid(1))
    assert s._values[oid(1)] == b"value"


def leader(module: ModuleType, sock: socket.socket) -> Any:
    """Returns a session with call 1 under way whose frames come from a socket."""
    s = make_session(module)
    s._conn = make_pipe(module, sock)
    s._values[oid(1)], s._pending[1] = None, oid(1)

    def read(timeout: float | None) -> None:
        """What Link._read does with the loops in Python, and for what is rare in C."""
        if not s._conn._got:
            s._conn._receive_now(0)
        count, _, _, _ = s._conn._got.pop()
        if not count:
            s._fail("the node closed the connection")
            return
        s._conn.data, s._conn.at = s._conn.data[s._conn.at :] + bytes(s._conn._buffer[:count]), 0
        try:
            with s._lock:
                s._dispatch()
        except _wire.ProtocolError as e:
            s._fail(str(e))
            return
        s._after_dispatch()

    def fail(why: str) -> None:
        s.log.append(why)
        s._values[oid(1)] = b"lost"

    def pass_on() -> None:
        assert s._leader is None and not s._lock.locked()
        s.log.append("passed on")

    s._read, s._fail, s._pass_on, s._after_dispatch = read, fail, pass_on, lambda: s.log.append("after")
    return s


@pytest.mark.parametrize("module", BOTH)
def test_who_waits_for_a_call_reads_until_its_result_is_there(module: ModuleType, ends: tuple[socket.socket, socket.socket]) -> None:
    s = leader(module, ends[0])
    ends[1].send(_wire.frame(77, b"other") + result(2, b"unknown") + result(1, b"value")[:5])
    later = threading.Timer(0.2, ends[1].send, (result(1, b"value")[5:],))
    later.start()
    s._lead_for(oid(1))
    later.join()
    assert s._values == {oid(1): b"value"} and s._pending == {} and s._leader is None and not s._lock.locked()
    assert (77, b"other") in s.log and "after" in s.log and s.log[-1] == "passed on"
    s._lead_for(oid(1))  # nothing is pending: at once
    s._values[oid(2)], s._pending[2], s._leader = None, oid(2), "somebody"
    s._lead_for(oid(2))
    assert s._leader == "somebody"
    s._leader, s._asked[oid(2)] = None, True
    s._lead_for(oid(2))


@pytest.mark.parametrize("module", BOTH)
def test_a_worker_reads_until_there_is_work(module: ModuleType, ends: tuple[socket.socket, socket.socket]) -> None:
    s = leader(module, ends[0])
    work = _wire.frame(_wire.EXECUTE, b"task")
    ends[1].send(_wire.frame(77, b"other") + work[:3])
    later = threading.Timer(0.2, ends[1].send, (work[3:] + work,))
    later.start()
    s._lead_for_work()
    later.join()
    assert list(s._inbox) == [b"task", b"task"] and s._leader is None and not s._lock.locked()
    s._lead_for_work()  # there is work: at once
    s._inbox.clear()
    s._leader = "somebody"
    s._lead_for_work()
    s._leader, s._ended = None, b"over"
    s._lead_for_work()


@needs_c
@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 2**64 - 1), st.integers(1, 3), st.binary(max_size=300) | st.integers(0, 40_000).map(bytes), st.integers(1, 2**63 - 1))
def test_both_encode_the_same_outcome(handle: int, format: int, meta: bytes, run_ns: int) -> None:
    data = _fast.done_frame(handle, format, meta, run_ns)
    assert data == _pure.done_frame(handle, format, meta, run_ns)
    value = value_pb2.Value(format=format, meta=meta)  # type: ignore[arg-type]
    if meta:
        assert pb.Done.FromString(data[8:]) == pb.Done(handle=handle, results=[value.SerializeToString()], run_ns=run_ns)


@pytest.mark.parametrize("module", BOTH)
def test_the_end_of_the_connection_ends_the_wait(module: ModuleType, ends: tuple[socket.socket, socket.socket]) -> None:
    for data, why in ((b"", "the node closed the connection"), (b"\xff\xff\xff\xff\x12\0\0\0", "a frame of 4294967295 bytes")):
        a, b = socket.socketpair()
        s = leader(module, a)
        b.send(data)
        b.close()
        s._lead_for(oid(1))
        a.close()
        assert why in s.log and s._leader is None and not s._lock.locked()


# --- holds --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", BOTH)
def test_ids_are_held_together_or_not_at_all(module: ModuleType) -> None:
    s = make_session(module)
    ids = [oid(n) for n in range(100)]
    assert s._hold_new(ids, False, [b"frame"]) is True
    assert s._values == dict.fromkeys(ids, False) and s._conn.out == [b"frame"] and s._conn.out_bytes == 5
    assert s._hold_new([oid(200), oid(50)], False, [b"no"]) is False
    assert s._hold_new([oid(200), oid(201), oid(200)], False, [b"no"]) is False
    assert s._values == dict.fromkeys(ids, False) and s._conn.out == [b"frame"]
    s._released += [oid(3), oid(500), oid(4)]
    assert s._drop_released() == [oid(3), oid(4)]
    assert s._released == [] and oid(3) not in s._values and len(s._values) == 98


# --- refs ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", BOTH)
def test_a_ref_is_its_id(module: ModuleType) -> None:
    class Mine(module.Ref):  # type: ignore[name-defined, misc]
        __slots__ = ()

    s = make_session(module)
    a, b, c = Mine(oid(1), s), Mine(oid(1), s, True), Mine(oid(2), s)
    assert a == b and a != c and hash(a) == hash(b) == hash(oid(1)) and len({a, b, c}) == 2
    assert (a == oid(1), a is None, a._method, b._method, a._id, a._session) == (False, False, False, True, oid(1), s)
    seen: list[Any] = []
    weak = weakref.ref(a, seen.append)
    assert weak() is a
    del a
    assert weak() is None and seen == [weak]
    assert s._released == [oid(1)] and s.log == ["arm"]
    del b, c
    assert s._released == [oid(1), oid(1), oid(2)] and s.log == ["arm"]


@pytest.mark.parametrize("module", BOTH)
def test_a_ref_without_a_session_takes_a_hold_of_that_of_the_process(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from mobula import _context

    s = make_session(module)
    held: list[bytes] = []
    s.hold = held.append
    monkeypatch.setattr(_context.process, "session", s)
    ref = module.Ref(oid(1))
    assert held == [oid(1)] and ref._session is s
    with pytest.raises(ValueError, match="ID string needs to have length 20, got 3"):
        module.Ref(b"abc")
    with pytest.raises(TypeError):
        module.Ref()


@pytest.mark.parametrize("module", BOTH)
def test_the_end_of_a_ref_raises_nothing_and_keeps_what_is_raised(module: ModuleType) -> None:
    s = make_session(module)

    def broken() -> None:
        raise ValueError("in a finaliser")

    s._arm = broken
    caught: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, caught.append
    try:
        ref = [module.Ref(oid(1), s)]
        with pytest.raises(KeyError):
            {}[ref.pop()]
        ref.clear()
        gc.collect()
    finally:
        sys.unraisablehook = hook
    assert [type(c.exc_value) for c in caught] == [ValueError]
    assert s._released == [oid(1)]
    module.Ref(oid(1), object())  # of nobody's session


@pytest.mark.parametrize("module", BOTH)
def test_many_refs_and_their_ids(module: ModuleType) -> None:
    class Mine(module.Ref):  # type: ignore[name-defined, misc]
        __slots__ = ()

    s = make_session(module)
    ids = [oid(n) for n in range(1000)]
    refs = module.make_refs(Mine, ids, s)
    assert [type(r) for r in refs] == [Mine] * 1000 and module.ref_ids(refs, Mine) == ids
    shuffled = random.Random(1).sample(refs, 1000)
    assert module.unique_ids(refs, Mine) == ids and module.unique_ids(shuffled, Mine) == [r._id for r in shuffled]
    assert module.unique_ids([*refs, refs[5]], Mine) is None and module.unique_ids([refs[0], refs[0]], Mine) is None
    assert module.unique_ids([], Mine) == [] and module.ref_ids([refs[0], None], Mine) is None
    assert module.ref_ids([module.Ref(oid(1), s)], Mine) is None
    assert module.split_ids(b"".join(ids)) == ids and module.split_ids(b"") == []
    del refs, shuffled
    assert sorted(s._released) == sorted([*ids, oid(1)])


@pytest.mark.parametrize("module", BOTH)
def test_what_is_ready_is_found_in_order(module: ModuleType) -> None:
    values = {oid(1): None, oid(2): False, oid(3): b"", oid(4): b"v", oid(6): b"v"}
    ids = [oid(n) for n in range(1, 7)]
    assert module.first_ready(values, ids, 9) == [2, 3, 5]
    assert module.first_ready(values, ids, 2) == [2, 3]
    assert module.first_ready({}, ids, 1) == []


@needs_c
def test_what_is_no_id_is_refused_by_c() -> None:
    s = make_session(_fast)
    for call in (
        lambda: _fast.make_refs(dict, [], s),
        lambda: _fast.make_refs(_fast.Ref, (), s),
        lambda: _fast.first_ready({}, [[]], 1),
        lambda: _fast.split_ids("text"),
        lambda: s._hold_new([[]], False, []),
        lambda: setattr(s, "_values", None) or s._drop_released(),
    ):
        with pytest.raises((TypeError, RuntimeError)):
            call()
    assert _fast.ref_ids([1], int) is None
    blank = _fast.Ref.__new__(_fast.Ref)
    with pytest.raises(AttributeError):
        blank._id  # noqa: B018
    assert blank == blank and hash(blank) == hash(blank) and blank != _fast.Ref(oid(1), s)


# --- memory ---------------------------------------------------------------------------------------------------------------------------


@needs_c
def test_nothing_leaks() -> None:
    """Every way through the module, over and over, leaves no more memory than it found."""

    def use() -> None:
        s = make_session(_fast)
        for _ in range(20):
            s.submit_plain(b"\x18\x01")
        s._conn.data = b"".join(result(n, b"value") for n in range(1, 21)) + _wire.frame(20, b"x")
        s._parked[oid(3)] = [Waiter()]
        s._callbacks[oid(4)] = ["callback"]
        s._dispatch()
        refs = _fast.make_refs(_fast.Ref, list(s._values), s)
        _fast.unique_ids(refs[::-1], _fast.Ref)
        _fast.done_frame(1 << 40, 1, b"meta", 1 << 30)
        _fast.first_ready(s._values, _fast.ref_ids(refs, _fast.Ref), 5)
        s._hold_new(_fast.split_ids(b"".join(oid(n) for n in range(100, 120))), False, [b"frame"])
        s._hold_new([oid(100), oid(300)], False, [])
        weakref.ref(refs[0])
        del refs
        s._drop_released()
        outcome(_fast, b"\x03\0\0\0\x12\0\x01\0\x08\x01\x22")
        outcome(_fast, _wire.frame(99, b""))
        s.cycle = s
        a, b = socket.socketpair()
        r = leader(_fast, a)
        b.send(result(1, b"value"))
        r._lead_for(oid(1))
        pipe = make_pipe(_fast, a)
        pipe.out += [b"frame", b"frame"]
        pipe._send_now()
        b.recv(100)
        b.close()
        pipe._receive_now(0)
        a.close()

    def blocks() -> int:
        for _ in range(40):
            use()
        gc.collect()
        return sys.getallocatedblocks()

    blocks()
    tracemalloc.start()
    before, traced = blocks(), tracemalloc.get_traced_memory()[0]
    for _ in range(5):
        after = blocks()
    grown = tracemalloc.get_traced_memory()[0] - traced
    tracemalloc.stop()
    assert after - before < 50 and grown < 20_000, (after - before, grown)


# --- building -------------------------------------------------------------------------------------------------------------------------


def test_the_source_compiles_without_a_warning(tmp_path: Path) -> None:
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = sysconfig.get_path("include")
    if shutil.which(compiler[0]) is None or not Path(include, "Python.h").is_file():
        pytest.skip("no C compiler, or no headers")
    flags = ["-std=c11", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", f"-I{include}", "-c"]
    done = subprocess.run([*compiler, *flags, *map(str, SOURCES)], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_loops_are_those_in_python_when_asked_for() -> None:
    program = "import mobula._hot as h; print(h.Core.__module__, h.Ref.__module__)"

    def said(value: str) -> str:
        environment = {**os.environ, "MOBULA_PURE_PYTHON": value}
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment).stdout.strip()

    assert said("1") == "mobula._pure mobula._pure"
    assert said("0") == ("mobula._pure mobula._pure" if _fast is None else "mobula._fast mobula._fast")


@needs_c
@pytest.mark.timeout(240)
def test_the_session_keeps_its_promises_with_the_other_loops() -> None:
    """Runs the tests of sessions with the loops in Python, or with those in C when this run has the former."""
    pure = importlib.import_module("mobula._hot").Core is _pure.Core
    here = Path(__file__).parent
    files = [str(here / name) for name in ("test_session.py", "test_wire.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files],
        cwd=here.parent, capture_output=True, text=True, timeout=200, env={**os.environ, "MOBULA_PURE_PYTHON": "0" if pure else "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
