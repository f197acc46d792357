from __future__ import annotations

import gc
import os
import queue
import signal
import threading
import time

import pytest
from played import SECONDS, Background, PlayedNode, encoded, failure, packed

from mobula import _session, _wire
from mobula._gen import session_pb2 as pb
from mobula._gen import task_pb2, value_pb2
from mobula._session import FORMAT_ERROR, GetTimeout, QueueFull, Refused, SessionLost

INDEX_0 = b"\0\0\0\0"


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
    before = signal.getsignal(signal.SIGURG)
    session = node.open(pb.ROLE_WORKER)
    yield session
    node.close()
    session.close()
    signal.signal(signal.SIGURG, before)


def submit(session, **kw):
    """Submits a call and returns the id of its first object."""
    return session.submit(1, packed(), **kw) + INDEX_0


def error_of(stored):
    assert stored.format == FORMAT_ERROR
    return value_pb2.ErrorValue.FromString(bytes(stored.meta))


# --- handshake ------------------------------------------------------------------------------------------------------------------------


def test_hello_says_who_this_is_and_welcome_who_the_node_is(node, session):
    assert node.hello.protocol_version == 1
    assert node.hello.pid == os.getpid()
    assert node.hello.language == task_pb2.LANGUAGE_PYTHON
    assert node.hello.result_credit_bytes == 64 << 20
    assert (session.job_id, session.node_id, session.namespace, session.node_pid) == (b"j" * 16, b"n" * 16, "ns", 1)


def test_a_refused_session_raises_the_nodes_reason(node):
    error = value_pb2.ErrorValue(kind=value_pb2.ERROR_KIND_UNAVAILABLE, message="shutting down")
    node.send(_wire.REFUSED, pb.Refused(error=error))
    with pytest.raises(Refused, match="shutting down") as caught:
        _session.Session(node.client, pb.Hello(role=pb.ROLE_DRIVER))
    assert caught.value.error == error


def test_a_node_that_hangs_up_in_the_handshake_is_a_connection_error(node):
    node.close()
    with pytest.raises(ConnectionError):
        _session.Session(node.client, pb.Hello(role=pb.ROLE_DRIVER))


def test_frames_that_come_together_with_welcome_are_handled(node):
    node.send(_wire.WELCOME, pb.Welcome(id_root=b"r" * 8))
    node.template()
    node.execute(7)
    session = _session.Session(node.client, pb.Hello(role=pb.ROLE_WORKER))
    assert session.next_execute(block=False).handle == 7
    node.close()
    session.close()


# --- submitting -----------------------------------------------------------------------------------------------------------------------


def test_a_submission_has_what_it_was_given(node, session):
    number = session.template(task_pb2.Template(name="m.f").SerializeToString())
    ref = b"r" * 20
    task = session.submit(
        number,
        packed(b"meta", b"buffer", refs=(ref,)),
        [(1, ref)],
        ["key"],
        actor_id=b"a" * 16,
        timeout_ns=5,
        parent=1 << 33,
        call_site=session.call_site("x.py:1"),
        traceparent="00-tp",
    )
    assert node.expect(_wire.TEMPLATE, task_pb2.Template) == task_pb2.Template(id=1, name="m.f")
    assert node.expect(_wire.CALL_SITE, pb.CallSite) == pb.CallSite(id=1, location="x.py:1")
    assert node.expect(_wire.SUBMIT, pb.Submit) == pb.Submit(
        sequence=1,
        task_id=task,
        template=1,
        args=value_pb2.Value(format=1, meta=b"meta", buffers=[b"buffer"], refs=ref).SerializeToString(),
        ref_args=[task_pb2.RefArg(position=1, object_id=ref)],
        keywords=["key"],
        actor_id=b"a" * 16,
        timeout_ns=5,
        parent=1 << 33,
        call_site=1,
        traceparent="00-tp",
    )


def test_sequences_count_without_gaps_and_ids_differ(node, session):
    tasks = [session.submit(1, packed()) for _ in range(300)]
    submits = [node.expect(_wire.SUBMIT, pb.Submit) for _ in tasks]
    assert [m.sequence for m in submits] == list(range(1, 301))
    assert [m.task_id for m in submits] == tasks
    assert len(set(tasks)) == 300
    assert all(t.startswith(b"rootroot") for t in tasks)


def test_a_template_is_registered_once(node, session):
    a, b = (task_pb2.Template(name=n).SerializeToString() for n in "ab")
    assert [session.template(t) for t in (a, b, a, b)] == [1, 2, 1, 2]
    session.flush()
    assert node.expect(_wire.TEMPLATE, task_pb2.Template).name == "a"
    assert node.expect(_wire.TEMPLATE, task_pb2.Template).name == "b"


def test_arguments_that_fit_no_frame_are_refused_before_anything_is_sent(node, session):
    with pytest.raises(ValueError, match="put the large ones"):
        session.submit(1, packed(bytes(1 << 20)))
    submit(session)
    assert node.expect(_wire.SUBMIT, pb.Submit).sequence == 1


def test_a_burst_is_written_without_anybody_waiting(node, session):
    for _ in range(20):
        submit(session)
    for i in range(1, 21):  # the flusher writes what the burst left
        assert node.expect(_wire.SUBMIT, pb.Submit).sequence == i


def test_a_plain_submission_says_what_a_full_one_does(node, session):
    args = encoded(b"args")
    for sequence in range(1, 400):  # sequences of one byte and of two
        oid = session.submit_plain(b'\x18\x07"%c%bP\x05' % (len(args), args))
        want = pb.Submit(sequence=sequence, task_id=oid[:16], template=7, args=args, call_site=5)
        assert node.expect(_wire.SUBMIT, pb.Submit) == want
        node.result(sequence, encoded(b"%d" % sequence))
        assert session.get_one(oid).meta == b"%d" % sequence


def test_plain_submissions_wait_for_credit_too(node):
    session = node.open(credit_bytes=60)
    session.submit_plain(b"\x18\x01")
    session.submit_plain(b"\x18\x01")
    waiting = Background(lambda: session.submit_plain(b"\x18\x01"))
    for _ in range(2):
        node.expect(_wire.SUBMIT, pb.Submit)
    node.send(_wire.CREDIT, pb.Credit(bytes=1000, count=10))
    assert waiting.result() == node.expect(_wire.SUBMIT, pb.Submit).task_id + INDEX_0
    session.close()


def test_children_of_a_task_that_may_run_again_have_derived_ids(worker):
    again = pb.Execute(handle=1, task_id=b"t" * 16, attempt=1, may_run_again=True)
    other = pb.Execute(handle=2, task_id=b"t" * 16, attempt=2, may_run_again=True)
    first = worker.child_id(again, "f", b"args")
    second = worker.child_id(again, "f", b"args")
    assert first != second
    assert [worker.child_id(other, "f", b"args") for _ in range(2)] == [first, second]
    assert worker.child_id(again, "f", b"other") not in (first, second)
    assert worker.child_id(again, "C", b"", attempt=True) != worker.child_id(other, "C", b"", attempt=True)
    assert worker.child_id(pb.Execute(task_id=b"t" * 16), "f", b"args").startswith(b"rootroot")


# --- results --------------------------------------------------------------------------------------------------------------------------


def test_get_returns_values_in_the_order_of_the_ids(node, session):
    ids = [submit(session) for _ in range(3)]
    for sequence in (3, 1, 2):
        node.result(sequence, encoded(b"%d" % sequence))
    assert [s.meta for s in session.get(ids)] == [b"1", b"2", b"3"]
    assert session.get_one(ids[1]).meta == b"2"


def test_values_of_every_shape_are_read_as_they_were_written(node, session):
    for meta, buffers, refs in [
        (b"", [], []),
        (b"x", [], []),
        (b"x" * 127, [], []),
        (b"x" * 128, [], []),
        (b"x" * 20_000, [], []),
        (b"m", [b"", b"b" * 300], [b"r" * 20, b"s" * 20]),
    ]:
        oid = submit(session)
        sequence = session._sequence
        node.result(sequence, _session.encode_value(packed(meta, *buffers, refs=tuple(refs))))
        stored = session.get_one(oid, SECONDS)
        assert (stored.format, stored.meta, list(stored.buffers), list(stored.refs)) == (1, meta, buffers, refs)


def test_get_stops_at_the_first_failure_in_order(node, session):
    ids = [submit(session) for _ in range(3)]
    node.result(2, failure("broken"))
    node.result(1, encoded(b"1"))
    got = session.get(ids, SECONDS)  # the third never comes
    assert len(got) == 2
    assert got[0].meta == b"1"
    assert error_of(got[1]).message == "broken"


def test_get_times_out_and_can_be_repeated(node, session):
    oid = submit(session)
    with pytest.raises(GetTimeout):
        session.get([oid], 0.01)
    with pytest.raises(GetTimeout):
        session.get([oid], 0)
    node.result(1, encoded(b"late"))
    assert session.get([oid], SECONDS)[0].meta == b"late"


def test_several_results_of_one_call(node, session):
    task = session.submit(1, packed(), returns=3)
    for index in (2, 0, 1):
        node.result(1, encoded(b"%d" % index), index)
    ids = [task + i.to_bytes(4, "big") for i in range(3)]
    assert [s.meta for s in session.get(ids, SECONDS)] == [b"0", b"1", b"2"]
    assert not session._pending


def test_a_result_that_is_only_told_as_ready_is_asked_for(node, session):
    oid = submit(session)
    node.expect(_wire.SUBMIT, pb.Submit)
    node.send(_wire.RESULT, pb.Result(sequence=1, size=1000))
    got = Background(lambda: session.get([oid], SECONDS))
    assert node.expect(_wire.GET, pb.Get) == pb.Get(object_ids=oid)
    node.answer(oid, encoded(b"v"))
    assert got.result()[0].meta == b"v"


def test_put_is_readable_at_once(node, session):
    oid = session.put(packed(b"mine"))
    assert session.get_one(oid).meta == b"mine"
    assert node.expect(_wire.PUT, pb.Put) == pb.Put(object_id=oid, value=encoded(b"mine"))


def test_an_object_that_came_from_elsewhere_is_asked_for_once(node, session):
    oid = b"e" * 20
    session.hold(oid)
    got = [Background(lambda: session.get([oid], SECONDS)) for _ in range(2)]
    assert node.expect(_wire.HOLD, pb.Hold).object_ids == oid
    assert node.expect(_wire.GET, pb.Get).object_ids == oid
    node.answer(oid, encoded(b"v"))
    assert [g.result()[0].meta for g in got] == [b"v", b"v"]


def test_an_object_that_is_not_held_is_read_and_forgotten(node, session):
    oid = b"e" * 20
    for _ in range(2):
        node.answer(oid, encoded(b"v"))
        got = Background(lambda: session.get([oid], SECONDS))
        assert node.expect(_wire.GET, pb.Get).object_ids == oid
        node.answer(oid, encoded(b"v"))
        assert got.result()[0].meta == b"v"
        assert oid not in session._values


def test_wait_tells_which_are_ready(node, session):
    ids = [submit(session) for _ in range(4)]
    node.result(3, encoded())
    assert session.wait(ids, 1, SECONDS) == [False, False, True, False]
    node.result(1, failure())
    assert session.wait(ids, 2, SECONDS) == [True, False, True, False]
    assert session.wait(ids, 4, 0.01) == [True, False, True, False]
    assert session.wait(ids, 4, 0) == [True, False, True, False]
    assert not session._parked


def test_wait_first_returns_where_as_many_ready_ones_stand(node, session):
    ids = [submit(session) for _ in range(4)]
    for sequence in (4, 2):
        node.result(sequence, encoded())
    assert session.wait_first(ids, 2, SECONDS) == [1, 3]
    assert session.wait_first(ids, 1, SECONDS) == [1]
    assert session.wait_first(ids, 3, 0) == [1, 3]


def test_many_holds_are_one_frame_and_count_as_single_ones(node, session):
    ids = [b"%020d" % i for i in range(30)]
    session.hold_all(ids)
    session.hold_all([ids[0], ids[0]])  # of what is held already
    session.flush()
    assert node.expect(_wire.HOLD, pb.Hold).object_ids == b"".join(ids)
    for oid in (ids[0], ids[1], ids[0]):
        session.release(oid)
    assert node.expect(_wire.RELEASE, pb.Release).object_ids == ids[1]
    session.release(ids[0])
    assert node.expect(_wire.RELEASE, pb.Release).object_ids == ids[0]


def test_wait_without_time_sees_what_has_arrived(node, session):
    ids = [submit(session) for _ in range(2)]
    node.result(2, encoded())
    assert session.wait(ids, 2, 0) == [False, True]


def test_wait_asks_only_whether_a_foreign_object_is_ready(node, session):
    oid = b"e" * 20
    session.hold(oid)
    got = Background(lambda: session.wait([oid], 1, SECONDS))
    node.expect(_wire.HOLD, pb.Hold)
    assert node.expect(_wire.GET, pb.Get) == pb.Get(object_ids=oid, ready_only=True)
    node.send(_wire.RESULT, pb.Result(object_id=oid, size=5))
    assert got.result() == [True]
    value = Background(lambda: session.get([oid], SECONDS))
    assert node.expect(_wire.GET, pb.Get) == pb.Get(object_ids=oid)
    node.answer(oid, encoded(b"v"))
    assert value.result()[0].meta == b"v"


def test_a_get_overtakes_a_wait_for_the_same_object(node, session):
    oid = b"e" * 20
    session.hold(oid)
    ready = Background(lambda: session.wait([oid], 1, SECONDS))
    node.expect(_wire.HOLD, pb.Hold)
    assert node.expect(_wire.GET, pb.Get).ready_only
    value = Background(lambda: session.get([oid], SECONDS))
    assert not node.expect(_wire.GET, pb.Get).ready_only
    node.send(_wire.RESULT, pb.Result(object_id=oid, size=5))
    node.answer(oid, encoded(b"v"))
    assert value.result()[0].meta == b"v"
    assert ready.result() == [True]


def test_many_threads_get_what_each_asked_for(node, session):
    ids = [submit(session) for _ in range(50)]
    got = [Background(lambda oid=oid: session.get([oid], SECONDS)) for oid in ids]
    for sequence in range(50, 0, -1):
        node.result(sequence, encoded(b"%d" % sequence))
    assert [g.result()[0].meta for g in got] == [b"%d" % i for i in range(1, 51)]
    assert session._leader is None
    assert not session._followers


def test_a_wait_that_is_interrupted_leaves_nothing(node, session):
    oid = submit(session)
    threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        session.get([oid], SECONDS)
    assert not session._parked


def test_a_follower_that_gives_up_does_not_take_the_lead_with_it(node, session):
    a, b, c = (submit(session) for _ in range(3))
    leader = Background(lambda: session.get([a], SECONDS))
    quitter = Background(lambda: session.get([b], 0.05))
    last = Background(lambda: session.get([c], SECONDS))
    with pytest.raises(GetTimeout):
        quitter.result()
    node.result(1, encoded(b"a"))
    assert leader.result()[0].meta == b"a"
    node.result(3, encoded(b"c"))
    assert last.result()[0].meta == b"c"


def test_callbacks_are_called_once_without_anybody_waiting(node, session):
    done = threading.Event()
    seen = []
    oid = submit(session)
    session.on_ready(oid, lambda i: (seen.append((i, session.peek(i).meta)), done.set()))
    node.result(1, encoded(b"v"))
    assert done.wait(SECONDS)
    assert seen == [(oid, b"v")]
    session.on_ready(oid, lambda i: seen.append(i))
    assert seen[1:] == [oid]  # at once


def test_callbacks_come_also_while_another_thread_leads(node, session):
    a, b = submit(session), submit(session)
    leader = Background(lambda: session.get([a], SECONDS))
    done = threading.Event()
    session.on_ready(b, lambda _: done.set())
    node.result(2, encoded())
    assert done.wait(SECONDS)
    node.result(1, encoded())
    leader.result()


def test_a_callback_that_raises_harms_nobody(node, session, monkeypatch):
    reported = []
    monkeypatch.setattr("sys.excepthook", lambda *a: reported.append(a[0]))
    a, b = submit(session), submit(session)
    session.on_ready(a, lambda _: 1 / 0)
    node.result(1, encoded())
    node.result(2, encoded(b"v"))
    assert session.get([b], SECONDS)[0].meta == b"v"
    assert session.get([a], SECONDS)
    for _ in range(1000):
        if reported:
            break
        time.sleep(0.001)
    assert reported == [ZeroDivisionError]


def test_the_node_may_push_more_when_half_of_the_window_was_read(node, session):
    value = _session.encode_value(packed(bytes(900_000)))
    for i in range(1, 41):
        oid = submit(session)
        sending = Background(lambda i=i: node.result(i, value))
        session.get([oid], SECONDS)
        sending.result()
        session.release(oid)
    while (got := node.receive())[0] != _wire.CREDIT:
        pass
    assert pb.Credit.FromString(got[1]).bytes == (64 << 20) + 38 * len(value)  # the 38th is the first beyond half


# --- credit ---------------------------------------------------------------------------------------------------------------------------


def test_a_submission_waits_for_credit(node):
    session = node.open(credit_bytes=100)
    session.submit(1, packed(bytes(50)))
    waiting = Background(lambda: session.submit(1, packed(bytes(50))))
    node.expect(_wire.SUBMIT, pb.Submit)
    waiting.thread.join(0.05)
    assert waiting.thread.is_alive()
    node.send(_wire.CREDIT, pb.Credit(bytes=1000, count=1000))
    waiting.result()
    assert node.expect(_wire.SUBMIT, pb.Submit).sequence == 2
    node.close()
    session.close()


def test_without_credit_in_time_the_queue_is_full_and_nothing_was_sent(node):
    session = node.open(credit_bytes=100)
    session.submit(1, packed(bytes(50)))
    with pytest.raises(QueueFull) as caught:
        session.submit(1, packed(bytes(50)), timeout_ns=10_000_000)
    assert caught.value.error.kind == value_pb2.ERROR_KIND_QUEUE_FULL
    node.send(_wire.CREDIT, pb.Credit(bytes=1000, count=1000))
    session.submit(1, packed(), timeout_ns=int(SECONDS * 1e9))
    assert [node.expect(_wire.SUBMIT, pb.Submit).sequence for _ in range(2)] == [1, 2]
    node.close()
    session.close()


def test_credit_is_spent_by_exactly_what_the_node_counts(node, session):
    for n in (0, 100, 20_000):
        session.submit(1, packed(bytes(n)))
        session.put(packed(bytes(n)))
    session.flush()
    total = sum(len(node.receive()[1]) for _ in range(6))
    assert session._used_bytes == total


# --- holds ----------------------------------------------------------------------------------------------------------------------------


def releases(node, session):
    session.flush()
    return node.expect(_wire.RELEASE, pb.Release).object_ids


def test_the_last_release_is_sent_and_others_are_not(node, session):
    oid = submit(session)
    session.hold(oid)
    session.hold(oid)
    for _ in range(3):
        session.release(oid)
    node.expect(_wire.SUBMIT, pb.Submit)
    assert releases(node, session) == oid
    assert oid not in session._values


def test_an_object_that_comes_back_is_held_anew(node, session):
    oid = b"e" * 20
    session.hold(oid)
    session.release(oid)
    session.flush()
    session.hold(oid)
    session.flush()
    kinds = [node.receive()[0] for _ in range(3)]
    assert kinds == [_wire.HOLD, _wire.RELEASE, _wire.HOLD]


def test_releases_are_sent_together_by_themselves(node, session):
    ids = [b"%020d" % i for i in range(10)]
    for oid in ids:
        session.hold(oid)
    for oid in ids:
        session.release(oid)
    for oid in ids:
        assert node.expect(_wire.HOLD, pb.Hold).object_ids == oid
    got = b""
    while len(got) < 200:
        got += node.expect(_wire.RELEASE, pb.Release).object_ids
    assert got == b"".join(ids)


def test_a_result_for_a_released_object_is_dropped(node, session):
    a, b = submit(session), submit(session)
    session.release(a)
    session.flush()
    node.result(1, encoded())
    node.result(2, encoded())
    session.get([b], SECONDS)
    assert a not in session._values
    assert not session._pending


def test_a_hold_that_the_node_gave_is_released_once(node, session):
    oid = b"h" * 20
    session.adopt(oid)
    session.adopt(oid)  # looked up twice: the second hold goes back at once
    session.flush()
    assert node.expect(_wire.RELEASE, pb.Release).object_ids == oid
    session.release(oid)
    session.release(oid)
    assert releases(node, session) == oid


def test_release_is_safe_in_a_finaliser_that_runs_with_the_lock_held(node, session):
    oid = submit(session)

    class Ref:
        def __del__(self):
            session.release(oid)

    with session._lock:
        ref = Ref()
        ref.self = ref
        del ref
        gc.collect()
    node.expect(_wire.SUBMIT, pb.Submit)
    assert releases(node, session) == oid


# --- streams --------------------------------------------------------------------------------------------------------------------------


def test_items_of_a_stream_come_in_order_until_its_end(node, session):
    task = session.submit(1, packed(), streaming=True)
    stream = session.stream(task)
    assert stream.try_next() is None
    node.result(1, encoded(b"a"), 1)
    first = stream.next(SECONDS)
    assert first == task + b"\0\0\0\1"
    assert session.get_one(first).meta == b"a"
    node.result(1, encoded(b"b"), 2)
    node.result(1, encoded(b"\x02"), 0)
    assert stream.next(SECONDS) == task + b"\0\0\0\2"
    assert stream.next(SECONDS) is None
    assert stream.ended
    assert session.get_one(task + INDEX_0).meta == b"\x02"
    assert not session._pending


def test_a_stream_that_fails_gives_its_items_first(node, session):
    task = session.submit(1, packed(), streaming=True)
    stream = session.stream(task)
    node.result(1, encoded(b"a"), 1)
    node.result(1, failure("late"), 0)
    assert stream.next(SECONDS) is not None
    assert stream.next(SECONDS) is None
    assert error_of(session.get_one(task + INDEX_0)).message == "late"


def test_waiting_for_the_next_item_times_out(session):
    stream = session.stream(session.submit(1, packed(), streaming=True))
    with pytest.raises(GetTimeout):
        stream.next(0.01)
    assert not session._parked


def test_a_callback_tells_of_the_next_item_and_of_the_end(node, session):
    stream = session.stream(session.submit(1, packed(), streaming=True))
    for index in (1, 0):
        told = threading.Event()
        stream.on_next(told.set)
        node.result(1, encoded(), index)
        assert told.wait(SECONDS)
        stream.try_next()
    assert stream.ended
    told = threading.Event()
    stream.on_next(told.set)
    assert told.is_set()


def test_items_that_were_not_taken_are_released(node, session):
    task = session.submit(1, packed(), streaming=True)
    stream = session.stream(task)
    for i in (1, 2):
        node.result(1, encoded(), i)
    stream.next(SECONDS)
    node.expect(_wire.SUBMIT, pb.Submit)
    session.read_ready()
    stream.close()
    session.flush()
    told = node.expect(_wire.CONSUMED, pb.Consumed)
    assert (told.object_id, told.items) == (task + INDEX_0, 1 << 63)  # once
    assert releases(node, session) == task + b"\0\0\0\2"
    node.result(1, encoded(), 3)  # it goes on for a while
    session.wait([submit(session)], 1, 0)
    node.expect(_wire.SUBMIT, pb.Submit)
    assert releases(node, session) == task + b"\0\0\0\3"


def test_the_producer_is_told_how_far_a_stream_was_read(node, session):
    task = session.submit(1, packed(), streaming=True)
    session.consumed(task, 7)
    node.expect(_wire.SUBMIT, pb.Submit)
    assert node.expect(_wire.CONSUMED, pb.Consumed) == pb.Consumed(object_id=task + INDEX_0, items=7)


# --- control --------------------------------------------------------------------------------------------------------------------------


def test_queries_are_answered_to_who_asked(node, session):
    asked = [Background(lambda k=k: session.query(pb.Query(get_actor=pb.GetActor(name=k)), SECONDS)) for k in "ab"]
    queries = [node.expect(_wire.QUERY, pb.Query) for _ in asked]
    for q in reversed(queries):
        node.send(_wire.REPLY, pb.Reply(id=q.id, text=q.get_actor.name))
    assert [a.result().text for a in asked] == ["a", "b"]
    with pytest.raises(GetTimeout):
        session.query(pb.Query(resources=pb.ResourcesQuery()), 0.01)
    assert not session._queries


def test_cancel_and_kill_are_sent_at_once(node, session):
    session.cancel(b"o" * 20, force=True, recursive=True)
    session.kill_actor(b"a" * 16)
    assert node.expect(_wire.CANCEL, pb.Cancel) == pb.Cancel(object_id=b"o" * 20, force=True, recursive=True)
    assert node.expect(_wire.KILL_ACTOR, pb.KillActor) == pb.KillActor(actor_id=b"a" * 16, no_restart=True)


def test_notices_are_told_to_a_driver_that_does_nothing(node):
    seen, told = [], threading.Event()
    node.send(_wire.WELCOME, pb.Welcome(id_root=b"r" * 8))
    hello = pb.Hello(role=pb.ROLE_DRIVER, wants_logs=True)
    session = _session.Session(node.client, hello, notice=lambda n: (seen.append(n), told.set()))
    notice = pb.Notice(kind=pb.Notice.KIND_STDOUT, pid=3, source="f", lines=["hello"])
    node.send(_wire.NOTICE, notice)
    assert told.wait(SECONDS)
    assert seen == [notice]
    node.close()
    session.close()


# --- the end --------------------------------------------------------------------------------------------------------------------------


def test_everything_resolves_when_the_node_is_lost(node, session):
    ready, pending, foreign = submit(session), submit(session), b"e" * 20
    session.hold(foreign)
    called = threading.Event()
    session.on_ready(pending, lambda _: called.set())
    stream = session.stream(session.submit(1, packed(), streaming=True))
    node.result(1, encoded(b"v"))
    session.get([ready], SECONDS)
    waits = [
        Background(lambda: session.get([pending])),
        Background(lambda: session.get([foreign])),
        Background(lambda: session.wait([pending], 1)),
        Background(lambda: session.query(pb.Query(resources=pb.ResourcesQuery()))),
        Background(stream.next),
    ]
    node.close()
    gets, wait, query, item = waits[:2], waits[2], waits[3], waits[4]
    for got in gets:
        error = error_of(got.result()[0])
        assert error.kind == value_pb2.ERROR_KIND_NODE_LOST
        assert error.execution == value_pb2.EXECUTION_MAY_HAVE_EXECUTED
    assert wait.result() == [True]
    assert query.result().error.kind == value_pb2.ERROR_KIND_NODE_LOST
    assert item.result() is None
    assert called.wait(SECONDS)
    assert session.get_one(ready).meta == b"v"  # what was here stays
    assert error_of(session.get([b"x" * 20])[0]).kind == value_pb2.ERROR_KIND_NODE_LOST
    with pytest.raises(SessionLost):
        submit(session)
    with pytest.raises(SessionLost):
        session.put(packed())
    assert session.closed


def test_a_submission_that_waits_for_credit_ends_with_the_session(node):
    session = node.open(credit_bytes=100)
    session.submit(1, packed(bytes(50)))
    waiting = Background(lambda: session.submit(1, packed(bytes(50))))
    node.close()
    with pytest.raises(SessionLost):
        waiting.result()
    session.close()


def test_close_says_goodbye_after_everything_else(node, session):
    pending = submit(session)
    closing = Background(lambda: session.close("bye"))
    assert node.expect(_wire.SUBMIT, pb.Submit).sequence == 1
    assert node.expect(_wire.GOODBYE, pb.Goodbye).reason == "bye"
    node.close()
    closing.result()
    assert error_of(session.get([pending])[0]).kind == value_pb2.ERROR_KIND_SESSION_CLOSED
    session.close()


def test_a_goodbye_of_the_node_ends_the_session_with_its_reason(node, session):
    pending = submit(session)
    node.send(_wire.GOODBYE, pb.Goodbye(reason="going down"))
    assert "going down" in error_of(session.get([pending], SECONDS)[0]).message


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff\x12\0\0\0", b"\x01\0\0\0\x63\0\0\0x", b"\x02\0\0\0\x14\0\0\0\xff\xff"])
def test_garbage_ends_the_session(node, session, garbage):
    pending = submit(session)
    node.sock.sendall(garbage)
    assert error_of(session.get([pending], SECONDS)[0]).kind == value_pb2.ERROR_KIND_NODE_LOST


def test_a_forked_child_cannot_use_the_session_and_sends_nothing(node, session):
    oid = submit(session)
    node.expect(_wire.SUBMIT, pb.Submit)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            assert error_of(session.get([oid])[0]).kind == value_pb2.ERROR_KIND_SESSION_CLOSED
            session.release(oid)
            session.flush()
            try:
                submit(session)
            except SessionLost as e:
                status = 0 if "forked" in str(e) else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    node.result(1, encoded(b"v"))
    assert session.get([oid], SECONDS)[0].meta == b"v"
    session.release(oid)
    assert releases(node, session) == oid


def test_an_interrupted_get_leaves_the_session_whole(node, session):
    ids = [submit(session) for _ in range(3)]

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        for _ in range(5):
            killer = threading.Timer(0.01, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
            with pytest.raises(KeyboardInterrupt):
                killer.start()
                session.get(ids, SECONDS)
            killer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    for sequence in (1, 2, 3):
        node.result(sequence, encoded(b"v"))
    assert len(session.get(ids, SECONDS)) == 3
    assert session._leader is None


def test_exceptions_that_strike_anywhere_lose_and_double_nothing(node, session):
    """Interrupts a thread that submits and gets all the time, thousands of times, at arbitrary places."""
    stop = threading.Event()

    def play():
        while True:
            try:
                kind, payload = node.receive()
            except (OSError, EOFError):
                return
            if kind == _wire.SUBMIT:
                m = pb.Submit.FromString(payload)
                sequences.append(m.sequence)
                outcomes.put(m)

    def answer():
        """On a thread of its own: a node reads whether or not its client does."""
        while (m := outcomes.get()) is not None:
            try:
                node.result(m.sequence, encoded(m.task_id))
                if not m.sequence % 100:
                    node.send(_wire.CREDIT, pb.Credit(bytes=1 << 40, count=1 << 40))
            except OSError:
                return

    sequences: list[int] = []
    outcomes: queue.SimpleQueue[pb.Submit | None] = queue.SimpleQueue()
    node.send(_wire.CREDIT, pb.Credit(bytes=1 << 40, count=1 << 40))
    for run in (play, answer):
        threading.Thread(target=run, daemon=True).start()

    class Stop(Exception):
        pass

    def interrupt(*_):
        if armed:
            raise Stop

    armed = False
    struck = 0

    main = threading.get_ident()

    def strike():
        while not stop.wait(0.0003):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    striker = threading.Thread(target=strike, daemon=True)
    striker.start()
    try:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            oid = b""
            try:
                armed = True
                oid = submit(session)
                session.get([oid], SECONDS)
                armed = False
            except Stop:
                armed = False
                struck += 1
    finally:
        armed = False
        stop.set()
        striker.join()
        signal.signal(signal.SIGUSR1, before)
    last = submit(session)
    assert session.get([last], SECONDS)[0].meta == last[:16]
    outcomes.put(None)
    assert sequences == list(range(1, len(sequences) + 1))
    assert struck > 100
    assert not session._pending


# --- worker ---------------------------------------------------------------------------------------------------------------------------


def test_a_worker_gets_tasks_in_order_and_gives_outcomes(node, worker):
    node.template()
    for handle in (1 << 33, 2):
        node.execute(handle)
    first, second = worker.next_execute(), worker.next_execute()
    assert (first.handle, second.handle) == (1 << 33, 2)
    assert worker.templates[1].name == "m.f"
    assert worker.open_value(first.args, first).meta == b"\x90"
    worker.done(first, [packed(b"r1"), packed(b"r2")], 17, exit_worker=True)
    error = value_pb2.ErrorValue(message="no").SerializeToString()
    worker.done(second, [], 18, error=error, error_names=["builtins.ValueError", "builtins.Exception"], exit_actor=True)
    assert worker.next_execute(block=False) is None
    assert worker.next_execute(timeout=0.01) is None  # writes what is pending
    assert node.expect(_wire.DONE, pb.Done) == pb.Done(handle=1 << 33, results=[encoded(b"r1"), encoded(b"r2")], run_ns=17, exit_worker=True)
    failed = node.expect(_wire.DONE, pb.Done)
    assert value_pb2.Value.FromString(failed.results[0]) == value_pb2.Value(format=value_pb2.VALUE_FORMAT_ERROR, meta=error)
    assert (failed.failed, failed.run_ns, failed.exit_actor) == (True, 18, True)
    assert list(failed.error_names) == ["builtins.ValueError", "builtins.Exception"]


def test_the_end_of_the_session_ends_the_wait_for_tasks(node, worker):
    waiting = Background(worker.next_execute)
    node.close()
    with pytest.raises(SessionLost):
        waiting.result()


def test_a_task_that_waits_lends_its_cpu_and_returns_what_stands_behind_it(node, worker):
    node.template()
    for handle, lane in ((1, 1), (2, 1), (3, 9), (4, 1)):
        node.execute(handle, lane)
    running = worker.next_execute()
    worker.running(running)
    oid = submit(worker, parent=1)
    node.expect(_wire.SUBMIT, pb.Submit)
    worker.read_ready()

    def play():
        assert node.expect(_wire.BLOCKED, pb.Blocked) == pb.Blocked(handle=1, returned=[2, 4])
        node.result(1, encoded(b"v"))

    played = Background(play)
    assert worker.get([oid], SECONDS)[0].meta == b"v"
    played.result()
    worker.flush()
    assert node.expect(_wire.UNBLOCKED, pb.Unblocked) == pb.Unblocked(handle=1)
    assert worker.next_execute().handle == 3
    worker.get([oid])  # what is here makes nobody wait
    worker.running(None)


def test_a_task_is_told_as_blocked_once_however_many_threads_wait(node, worker):
    node.template()
    node.execute(1)
    running = worker.next_execute()
    a, b = submit(worker), submit(worker)

    def get(oid):
        worker.running(running)
        return worker.get([oid], SECONDS)

    waits = [Background(lambda oid=oid: get(oid)) for oid in (a, b)]
    frames = [node.receive()[0] for _ in range(3)]
    assert sorted(frames) == [_wire.SUBMIT, _wire.SUBMIT, _wire.BLOCKED]
    node.result(1, encoded())
    waits[0].result()
    node.result(2, encoded())
    waits[1].result()
    worker.flush()
    assert node.expect(_wire.UNBLOCKED, pb.Unblocked).handle == 1


def test_revoked_tasks_are_given_back(node, worker):
    node.template()
    for handle, lane in ((1, 1), (2, 1), (3, 2)):
        node.execute(handle, lane)
    assert worker.next_execute().handle == 1
    node.send(_wire.REVOKE, pb.Revoke(lane=1))
    worker.read_ready()
    assert node.expect(_wire.REVOKED, pb.Revoked) == pb.Revoked(lane=1, returned=[2])
    assert worker.next_execute().handle == 3


def test_control_messages_come_in_order_with_tasks_when_nobody_takes_them(node, worker):
    node.template()
    node.execute(1)
    node.send(_wire.CANCEL_TASK, pb.CancelTask(handle=1, reason="why"))
    node.send(_wire.ACTOR_GONE, pb.ActorGone(actor_id=b"a" * 16))
    node.send(_wire.EXIT, pb.Exit(reason="bye"))
    got = [worker.next_execute() for _ in range(4)]
    assert [type(m).__name__ for m in got] == ["Execute", "CancelTask", "ActorGone", "Exit"]
    assert got[1].reason == "why"


def nudge_when_read(node, worker, *messages):
    """Sends messages, and the signal beside them."""
    for kind, message in messages:
        node.send(kind, message)
    os.kill(os.getpid(), signal.SIGURG)


def test_a_nudge_revokes_while_a_task_runs(node, worker):
    node.template()
    node.execute(1)
    node.execute(2)
    worker.next_execute()
    nudge_when_read(node, worker, (_wire.REVOKE, pb.Revoke(lane=1)))
    assert node.expect(_wire.REVOKED, pb.Revoked) == pb.Revoked(lane=1, returned=[2])


def test_a_nudge_interrupts_the_task_that_is_cancelled(node, worker):
    node.template()
    node.execute(1)
    worker.next_execute()
    seen = []

    def control(message):
        seen.append(message)
        raise KeyboardInterrupt

    worker.control = control
    with pytest.raises(KeyboardInterrupt):
        nudge_when_read(node, worker, (_wire.CANCEL_TASK, pb.CancelTask(handle=1)))
        threading.Event().wait(SECONDS)
    worker.control = None
    assert seen == [pb.CancelTask(handle=1)]
    assert worker.next_execute(block=False) is None  # it was dealt with


def test_a_cancelled_task_is_interrupted_in_its_get(node, worker):
    node.template()
    node.execute(1)
    worker.running(worker.next_execute())
    oid = submit(worker)

    def control(message):
        raise KeyboardInterrupt

    worker.control = control

    def cancel():
        while node.receive()[0] != _wire.BLOCKED:
            pass
        node.send(_wire.CANCEL_TASK, pb.CancelTask(handle=1))

    played = Background(cancel)
    with pytest.raises(KeyboardInterrupt):
        worker.get([oid], SECONDS)
    played.result()
    worker.control = None
    worker.running(None)
    worker.flush()
    assert node.expect(_wire.UNBLOCKED, pb.Unblocked).handle == 1
    assert worker._leader is None


def test_a_message_that_another_thread_read_reaches_the_main_thread(node, worker):
    node.template()
    node.execute(1)
    worker.next_execute()
    oid = submit(worker)
    reading = Background(lambda: worker.get([oid], SECONDS))
    while worker._leader is None:
        time.sleep(0.001)
    seen = []

    def control(message):
        seen.append(threading.current_thread() is threading.main_thread())
        raise KeyboardInterrupt

    worker.control = control
    with pytest.raises(KeyboardInterrupt):
        node.send(_wire.CANCEL_TASK, pb.CancelTask(handle=1))
        threading.Event().wait(SECONDS)
    worker.control = None
    node.result(1, encoded())
    reading.result()
    assert seen == [True]


def test_a_nudge_while_the_lock_is_held_comes_again(node, worker):
    node.template()
    node.execute(1)
    node.execute(2)
    worker.next_execute()
    with worker._lock:
        nudge_when_read(node, worker, (_wire.REVOKE, pb.Revoke(lane=1)))
    assert node.expect(_wire.REVOKED, pb.Revoked).returned == [2]


def test_items_of_a_stream_are_written_at_once_and_paced_by_the_reader(node, worker):
    node.template()
    node.execute(5)
    running = worker.next_execute()
    worker.yield_item(running, 1, packed(b"a"))
    assert node.expect(_wire.YIELD, pb.Yield) == pb.Yield(handle=5, index=1, value=encoded(b"a"))
    paced = Background(lambda: worker.wait_consumed(running, 3))
    for items in (1, 3):
        node.send(_wire.CONSUMED, pb.Consumed(handle=5, items=items))
    paced.result()


def test_items_spend_credit_and_the_one_that_is_waited_for_needs_none(node, worker):
    worker._item_credit = 0
    node.template()
    node.execute(5)
    running = worker.next_execute()
    worker.yield_item(running, 1, packed(b"a"))
    node.expect(_wire.YIELD, pb.Yield)
    for index, kind, permission in (
        (2, _wire.CONSUMED, pb.Consumed(handle=5, items=1)),
        (3, _wire.CREDIT, pb.Credit(item_bytes=2000)),
    ):
        paced = Background(lambda index=index: worker.yield_item(running, index, packed(b"b")))
        while not worker._item_waiters:
            time.sleep(0.001)
        node.send(_wire.CONSUMED, pb.Consumed(handle=5, items=index - 2))  # not yet
        node.send(kind, permission)
        paced.result()
        while (frame := node.receive())[0] != _wire.YIELD:
            assert frame[0] in (_wire.BLOCKED, _wire.UNBLOCKED)  # it lends its CPU
        assert pb.Yield.FromString(frame[1]).index == index
    worker.yield_item(running, 4, packed(b"c"))  # credit is left, if only a little
    assert worker._item_used == sum(512 + len(encoded(b)) for b in (b"a", b"b", b"b", b"c"))
    assert not worker.may_yield(running, 5)


def test_a_task_that_waits_to_give_an_item_can_be_cancelled(node, worker):
    worker._item_credit = 0
    worker.control = lambda message: True
    node.template()
    node.execute(5)
    running = worker.next_execute()
    paced = Background(lambda: worker.yield_item(running, 2, packed(b"b")))
    while not worker._item_waiters:
        time.sleep(0.001)
    node.send(_wire.CANCEL_TASK, pb.CancelTask(handle=5))
    with pytest.raises(KeyboardInterrupt):
        paced.result()


def test_an_event_loop_is_told_when_an_item_may_be_given(node, worker):
    worker._item_credit = 0
    node.template()
    node.execute(5)
    running = worker.next_execute()
    told = []
    worker.on_yield(running, 1, lambda: told.append("at once"))
    worker.on_yield(running, 2, lambda: told.append("by what was read"))
    node.send(_wire.CONSUMED, pb.Consumed(handle=5, items=1))
    worker.read_ready()
    worker.on_yield(running, 9, lambda: told.append("by credit"))
    node.send(_wire.CREDIT, pb.Credit(item_bytes=1))
    worker.read_ready()
    assert told == ["at once", "by what was read", "by credit"]


def test_an_event_loop_reads_without_waiting(node, worker):
    news = []
    worker.on_execute(lambda: news.append(1))
    assert worker.fileno() >= 0
    worker.read_ready()
    assert worker.next_execute(block=False) is None
    node.template()
    node.execute(1)
    worker.read_ready()
    assert news
    message = worker.next_execute(block=False)
    worker.done(message, [packed()], 1)
    assert node.expect(_wire.DONE, pb.Done).handle == 1  # written, though nobody waits
