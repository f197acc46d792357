from __future__ import annotations

import gc
import mmap
import os
import signal
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from played import SECONDS, Background, PlayedNode, packed

from mobula import _session, _store, _wire
from mobula._gen import session_pb2 as pb
from mobula._gen import task_pb2, value_pb2
from mobula._session import SessionLost, StoreFull
from mobula._wire import ProtocolError

INDEX_0 = b"\0\0\0\0"
LENGTH = 64 << 20


@pytest.fixture
def node():
    node = PlayedNode()
    yield node
    node.close()


@pytest.fixture
def session(node):
    session = node.open()
    yield session
    node.close()
    session.close()


@pytest.fixture
def worker(node):
    session = node.open(pb.ROLE_WORKER)
    yield session
    node.close()
    session.close()


def test_threads_that_need_the_store_at_once_have_the_same(session):
    together = threading.Barrier(8)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        stores = [Background(lambda: (together.wait(SECONDS), session._shared())[1]) for _ in range(8)]
        assert len({store.result() for store in stores}) == 1
    finally:
        sys.setswitchinterval(interval)


# --- layout ---------------------------------------------------------------------------------------------------------------------------

values = st.builds(
    lambda meta, buffers, refs: packed(meta, *buffers, refs=tuple(refs)),
    st.binary(max_size=300),
    st.lists(st.binary(max_size=300), max_size=5),
    st.lists(st.binary(min_size=20, max_size=20), max_size=4),
)


def stored(value):
    memory = bytearray(_store.stored_size(value))
    view = memoryview(memory)
    import ctypes

    _store.write_stored(value, view, ctypes.addressof((ctypes.c_char * len(memory)).from_buffer(memory)))
    return memory


@given(values)
def test_a_stored_value_is_read_as_it_was_written(value):
    meta, buffers, refs = _store.read_stored(memoryview(stored(value)))
    assert (meta, buffers, refs) == (value.meta, value.buffers, value.refs)


def test_the_stored_layout_is_that_of_docs_values():
    memory = stored(packed(b"meta", b"b" * 10, b"c", refs=(b"r" * 20,)))
    head = (
        b"MOBULAV\x01" + (193).to_bytes(8, "little") + (4).to_bytes(8, "little") + (2).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(32)
    )
    assert memory[:64] == head
    lengths = (10).to_bytes(8, "little") + (1).to_bytes(8, "little")
    body = lengths + b"r" * 20 + b"meta"
    start = (64 + len(body) + 63) & ~63
    assert memory[64:start] == body.ljust(start - 64, b"\0")
    assert memory[start : start + 10] == b"b" * 10


@given(values, st.data())
def test_a_broken_stored_value_is_a_protocol_error_or_another_value(value, data):
    memory = stored(value)
    at = data.draw(st.integers(0, min(len(memory), 64 + 8 * len(value.buffers)) - 1))
    memory[at] ^= data.draw(st.integers(1, 255))
    try:
        meta, buffers, _ = _store.read_stored(memoryview(memory))
    except ProtocolError:
        return
    assert len(meta) + sum(map(len, buffers)) <= len(memory)


@given(st.binary(max_size=200))
def test_garbage_is_no_stored_value(garbage):
    with pytest.raises(ProtocolError):
        _store.read_stored(memoryview(garbage))


# --- allocation -----------------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-20, 8), max_size=80))
def test_extents_give_each_page_to_one_object_and_find_the_first_room(steps):
    pages = 24
    extents, owner, taken = _store.Extents(pages), [0] * pages, []
    for number, step in enumerate(steps, start=1):
        if step > 0:
            free = [i for i in range(pages - step + 1) if not any(owner[i : i + step])]
            start = extents.take(step)
            assert start == (free[0] if free else None)
            if start is not None:
                owner[start : start + step] = [number] * step
                taken.append((start, step))
        elif taken:
            start, count = taken.pop(step % len(taken))
            extents.give(start, count)
            owner[start : start + count] = [0] * count
    assert extents.empty == (not taken)


def test_long_copies_are_whole():
    import ctypes

    source = os.urandom((9 << 20) + 12_345)
    target = bytearray(len(source))
    _store.copy(memoryview(target), ctypes.addressof((ctypes.c_char * len(target)).from_buffer(target)), source)
    assert target == source


# --- writing --------------------------------------------------------------------------------------------------------------------------


def big(n: int = 200_000, byte: bytes = b"x") -> object:
    return packed(b"meta", byte * n)


def grant(node, segment=1, length=LENGTH):
    request = node.expect(_wire.GRANT_REQUEST, pb.GrantRequest)
    node.send(_wire.GRANT, pb.Grant(id=request.id, segment=segment, bytes=length))
    return request


def put(node, session, value, segment=1, length=LENGTH):
    """Puts the first large value; returns its id and block."""
    putting = Background(lambda: session.put(value))
    grant(node, segment, length)
    announced = node.expect(_wire.SEGMENT, pb.Segment)
    assert announced == pb.Segment(segment=segment, size=length)
    message = node.expect(_wire.PUT, pb.Put)
    assert putting.result() == message.object_id
    return message.object_id, value_pb2.Value.FromString(message.value).block


def test_a_large_value_is_written_into_a_sealed_segment_that_the_node_can_read(node, session):
    value = packed(b"meta", b"x" * 200_000, refs=(b"r" * 20,))
    oid, block = put(node, session, value)
    fd = node.files[0]
    _store.check(fd, LENGTH)
    assert (block.segment, block.offset % _store.PAGE, block.size) == (1, 0, _store.stored_size(value))
    with mmap.mmap(fd, LENGTH, prot=mmap.PROT_READ) as memory:
        meta, buffers, refs = _store.read_stored(memoryview(memory[block.offset : block.offset + block.size]))
        assert (meta, buffers, refs) == (b"meta", value.buffers, value.refs)
    got = session.get_one(oid)  # without asking the node
    assert (got.meta, got.buffers[0], got.refs) == (b"meta", value.buffers[0], [b"r" * 20])


def test_further_values_share_the_segment_and_freed_space_is_used_again(node, session):
    _, first = put(node, session, big())
    session.put(big())
    second = value_pb2.Value.FromString(node.expect(_wire.PUT, pb.Put).value).block
    assert second.offset >= first.offset + first.size
    node.send(_wire.FREED, pb.Freed(blocks=[first]))
    session.put(big())
    third = value_pb2.Value.FromString(node.expect(_wire.PUT, pb.Put).value).block
    assert third.offset == first.offset


def test_space_that_is_freed_while_waiting_for_a_grant_is_taken_and_the_request_withdrawn(node, session):
    length = 1 << 20
    _, first = put(node, session, big(400_000), length=length)
    session.put(big(400_000))
    node.expect(_wire.PUT, pb.Put)
    waiting = Background(lambda: session.put(big(400_000)))
    request = node.expect(_wire.GRANT_REQUEST, pb.GrantRequest)
    node.send(_wire.FREED, pb.Freed(blocks=[first]))
    waiting.result()
    frames = dict(node.receive() for _ in range(2))
    assert pb.GrantRequest.FromString(frames[_wire.GRANT_REQUEST]) == pb.GrantRequest(id=request.id, withdraw=True)
    block = value_pb2.Value.FromString(pb.Put.FromString(frames[_wire.PUT]).value).block
    assert block.offset == first.offset
    node.send(_wire.GRANT, pb.Grant(id=request.id, segment=9, bytes=length))  # it crossed the withdrawal
    session.wait([b"e" * 20], 1, 0)
    session.read_ready()
    session.flush()
    kinds = {}
    while _wire.SEGMENT_GONE not in kinds:
        kind, payload = node.receive()
        kinds[kind] = payload
    assert pb.SegmentGone.FromString(kinds[_wire.SEGMENT_GONE]).segment == 9


def test_a_value_with_too_many_refs_is_refused_before_room_is_asked_for(node, session):
    with pytest.raises(ValueError, match="50,001 refs cannot"):
        session.put(packed(b"m" * 200_000, refs=(b"r" * 20,) * 50_001))
    assert not session._shared()._asking


def test_a_put_that_is_interrupted_before_it_is_sent_gives_its_place_back(node, session):
    _, first = put(node, session, big())
    session._credit_bytes = session._used_bytes
    threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        session.put(big())
    (segment,) = session._store._own.values()
    assert list(segment.blocks) == [first.offset]


def test_a_refused_grant_is_a_full_store(node, session):
    putting = Background(lambda: session.put(big()))
    request = node.expect(_wire.GRANT_REQUEST, pb.GrantRequest)
    error = value_pb2.ErrorValue(kind=value_pb2.ERROR_KIND_STORE_FULL, message="full of x")
    node.send(_wire.GRANT, pb.Grant(id=request.id, error=error))
    with pytest.raises(StoreFull, match="full of x"):
        putting.result()


def test_waiting_for_room_ends_with_the_session(node, session):
    putting = Background(lambda: session.put(big()))
    node.expect(_wire.GRANT_REQUEST, pb.GrantRequest)
    node.close()
    with pytest.raises(SessionLost):
        putting.result()


def test_an_empty_segment_is_given_back_when_the_node_asks(node, session):
    _, block = put(node, session, big())
    node.send(_wire.FREED, pb.Freed(blocks=[block], give_back=True))
    session.read_ready()
    assert node.expect(_wire.SEGMENT_GONE, pb.SegmentGone).segment == 1
    putting = Background(lambda: session.put(big()))
    grant(node, 2)
    assert node.expect(_wire.SEGMENT, pb.Segment).segment == 2
    putting.result()


def test_the_segment_of_one_large_value_is_for_large_values(node, session):
    length = 65 << 20
    _, block = put(node, session, packed(b"m", bytes(length - 4096)), length=length)
    node.send(_wire.FREED, pb.Freed(blocks=[block]))
    putting = Background(lambda: session.put(big()))
    grant(node, 2)  # a small one does not go there
    node.expect(_wire.SEGMENT, pb.Segment)
    putting.result()
    node.expect(_wire.PUT, pb.Put)
    session.put(packed(b"m", bytes(40 << 20)))
    assert value_pb2.Value.FromString(node.expect(_wire.PUT, pb.Put).value).block.segment == 1


def test_results_and_items_of_streams_go_through_the_store(node, worker):
    node.template()
    node.execute(3)
    running = worker.next_execute()
    giving = Background(lambda: (worker.yield_item(running, 1, big()), worker.done(running, [big()], 1), worker.flush()))
    grant(node)
    kinds = []
    while _wire.DONE not in kinds:
        kind, payload = node.receive()
        kinds.append(kind)
        if kind == _wire.YIELD:
            assert value_pb2.Value.FromString(pb.Yield.FromString(payload).value).block.segment == 1
    giving.result()
    done = pb.Done.FromString(payload)
    assert value_pb2.Value.FromString(done.results[0]).block.segment == 1


# --- reading --------------------------------------------------------------------------------------------------------------------------


class Segment:
    """A segment of somebody else."""

    def __init__(self, length: int = 1 << 20) -> None:
        self.own = _store.Own(77, length)
        self.own.back(length)

    def write(self, value, offset=0):
        size = _store.stored_size(value)
        _store.write_stored(value, self.own.memory[offset : offset + size], self.own.mapping.address + offset)
        block = value_pb2.Block(segment=77, offset=offset, size=size)
        return value_pb2.Value(format=1, refs=b"".join(value.refs), block=block).SerializeToString()

    def announce(self, node):
        node.send(_wire.SEGMENT, pb.Segment(segment=77, size=self.own.length), self.own.fd)


def result(node, session, value, segment):
    oid = session.submit(1, packed()) + INDEX_0
    node.expect(_wire.SUBMIT, pb.Submit)
    segment.announce(node)
    node.result(1, segment.write(value))
    return oid


def test_a_stored_value_is_a_read_only_view_of_shared_memory(node, session):
    segment = Segment()
    array = np.arange(10_000)
    oid = result(node, session, packed(b"m", array.tobytes()), segment)
    got = session.get_one(oid, SECONDS)
    seen = np.frombuffer(got.buffers[0], dtype=array.dtype)
    assert (seen == array).all()
    assert not seen.flags.writeable
    _, buffers, _ = _store.read_stored(segment.own.memory[: _store.stored_size(packed(b"m", array.tobytes()))])
    buffers[0][:8] = (99).to_bytes(8, "little")
    assert seen[0] == 99  # the very same memory


def test_a_value_is_held_until_its_last_view_is_gone(node, session):
    oid = result(node, session, packed(b"m", bytes(8000)), Segment())
    got = session.get_one(oid, SECONDS)
    view = np.frombuffer(got.buffers[0], dtype=np.int64)[10:20]
    session.release(oid)
    del got
    gc.collect()
    session.flush()
    assert oid in session._values
    assert view.sum() == 0
    del view
    session.flush()
    assert node.expect(_wire.RELEASE, pb.Release).object_ids == oid
    assert oid not in session._values


def test_views_outlive_the_session_and_the_segment(node, session):
    oid = result(node, session, packed(b"m", b"y" * 8000), Segment())
    view = session.get_one(oid, SECONDS).buffers[0]
    node.send(_wire.SEGMENT_GONE, pb.SegmentGone(segment=77))
    session.read_ready()
    node.close()
    session.close()
    gc.collect()
    assert bytes(view) == b"y" * 8000


def test_a_value_that_is_not_held_is_unpinned(node, session):
    oid, segment = b"e" * 20, Segment()
    getting = Background(lambda: session.get([oid], SECONDS)[0].buffers[0][:1].tobytes())
    node.expect(_wire.GET, pb.Get)
    segment.announce(node)
    node.answer(oid, segment.write(packed(b"m", b"z" * 8000)))
    assert getting.result() == b"z"
    gc.collect()
    session.flush()
    assert node.expect(_wire.UNPIN, pb.Unpin).object_ids == oid


def argument(node, worker, segment, data, offset=0):
    """Has the worker take a task with an argument that lies in a segment; returns the task and the argument's buffer."""
    value = segment.write(packed(b"m", data), offset=offset)
    node.execute(1, resolved=[task_pb2.ResolvedArg(position=0, value=value, object_id=b"a" * 20)])
    task = worker.next_execute()
    arg = task.resolved[0]
    return task, worker.open_value(arg.value, task, arg.object_id).buffers[0]


def test_an_argument_that_is_kept_is_held_until_its_last_view_is_gone(node, worker):
    segment = Segment()
    node.template()
    segment.announce(node)
    data = os.urandom(50_000)
    task, buffer = argument(node, worker, segment, data, 8192)
    kept, another = buffer[100:], buffer[:7]
    del buffer
    worker.done(task, [packed()], 1)
    worker.flush()
    assert node.expect(_wire.HOLD, pb.Hold).object_ids == b"a" * 20  # before the node lets go of it
    node.expect(_wire.DONE, pb.Done)
    assert bytes(kept) == data[100:]
    del another
    worker.flush()
    segment.own.memory[8192 + 128 :] = bytes(segment.own.length - 8192 - 128)
    assert not any(bytes(kept)[128:]), "a kept argument is a copy"
    del kept
    worker.flush()
    assert node.expect(_wire.RELEASE, pb.Release).object_ids == b"a" * 20


def test_an_argument_that_a_task_has_twice_is_held_once_at_the_node(node, worker):
    segment = Segment()
    node.template()
    segment.announce(node)
    task, first = argument(node, worker, segment, bytes(50_000))
    arg = task.resolved[0]
    second = worker.open_value(arg.value, task, arg.object_id).buffers[0]
    worker.done(task, [packed()], 1)
    del first
    worker.flush()
    node.expect(_wire.HOLD, pb.Hold)
    node.expect(_wire.DONE, pb.Done)
    del second
    worker.flush()
    assert node.expect(_wire.RELEASE, pb.Release).object_ids == b"a" * 20


def test_an_argument_that_is_not_kept_is_not_held(node, worker):
    segment = Segment()
    node.template()
    segment.announce(node)
    task, buffer = argument(node, worker, segment, bytes(50_000))
    del buffer
    worker.done(task, [packed()], 1)
    worker.flush()
    node.expect(_wire.DONE, pb.Done)
    assert not worker._store._arguments


def test_a_descriptor_that_could_shrink_is_refused(node, session):
    oid = session.submit(1, packed()) + INDEX_0
    fd = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 1 << 20)
    node.send(_wire.SEGMENT, pb.Segment(segment=5, size=1 << 20), fd)
    os.close(fd)
    assert session.get([oid], SECONDS)[0].format == _session.FORMAT_ERROR
    assert session.closed


def test_a_block_beyond_its_segment_is_refused(node, session):
    segment = Segment()
    oid = session.submit(1, packed()) + INDEX_0
    segment.announce(node)
    block = value_pb2.Block(segment=77, offset=(1 << 20) - 64, size=128)
    node.result(1, value_pb2.Value(format=1, block=block).SerializeToString())
    with pytest.raises(ProtocolError):
        session.get([oid], SECONDS)


def test_memory_pressure_finds_values_in_garbage(node, session):
    oid = result(node, session, packed(b"m", bytes(8000)), Segment())

    class Cycle:
        pass

    cycle = Cycle()
    cycle.me, cycle.view = cycle, session.get_one(oid, SECONDS)
    session.release(oid)
    gc.disable()
    try:
        del cycle
        node.send(_wire.COLLECT, pb.Collect(held_bytes=1))
        session.read_ready()
        assert node.expect(_wire.RELEASE, pb.Release).object_ids == oid
    finally:
        gc.enable()
