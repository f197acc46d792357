"""A node that says nothing while somebody waits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from played import SECONDS, PlayedNode, encoded, packed

from mobula import _wire
from mobula._gen import session_pb2
from mobula._session import GetTimeout, silence
from mobula._session.parts import INDEX_0


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedNode]:
    monkeypatch.setattr(silence, "SECONDS", 0.1)
    node = PlayedNode()
    yield node
    node.close()


def test_a_node_that_gives_no_sign_of_life_is_named_once_and_the_wait_goes_on(node: PlayedNode, capsys: pytest.CaptureFixture[str]) -> None:
    session = node.open()
    oid = session.submit(1, packed()) + INDEX_0
    node.expect(_wire.SUBMIT, session_pb2.Submit)
    with ThreadPoolExecutor() as pool:
        got = pool.submit(session.get, [oid], SECONDS * 2)
        blocked = pool.submit(session.get_one, oid)
        asked = node.expect(_wire.QUERY, session_pb2.Query)
        assert asked.HasField("resources")
        told = _Said(capsys)
        told.wait_for("has not answered for 0.2 s")
        node.send(_wire.REPLY, session_pb2.Reply(id=asked.id))
        node.expect(_wire.QUERY, session_pb2.Query)  # it is asked again, for it may have fallen silent again
        told.wait_for("has not answered for 0.2 s")
        node.result(1, encoded(b"v"))
        assert got.result(SECONDS)[0].meta == blocked.result(SECONDS).meta == b"v"
    assert told.text.count("\n") == 2
    assert "node manager (pid 1)" in told.text
    node.close()
    session.close()


class _Said:
    """What was written to standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.text = ""

    def wait_for(self, text: str) -> None:
        """Waits until the text was written since the last call."""
        new, pause = "", threading.Event()
        for _ in range(int(SECONDS / 0.01)):
            new += self._capsys.readouterr().err
            if text in new:
                break
            pause.wait(0.01)
        self.text += new
        assert text in new


def test_a_node_that_answers_is_not_spoken_of_however_long_the_wait(capsys: pytest.CaptureFixture[str]) -> None:
    node = PlayedNode()
    session = node.open()
    for _ in range(3):
        session._on_silence()  # as after SECONDS each
        asked = node.expect(_wire.QUERY, session_pb2.Query)
        node.send(_wire.REPLY, session_pb2.Reply(id=asked.id))
        assert session.read_ready()
    assert capsys.readouterr().err == ""
    node.close()
    session.close()


def test_a_question_that_is_not_answered_in_time_names_the_node(node: PlayedNode) -> None:
    session = node.open()
    with pytest.raises(GetTimeout, match=r"^the node manager \(pid 1\) did not answer within 0.01 s$"):
        session.query(session_pb2.Query(), timeout=0.01)
    node.close()
    session.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the state of a process in a file")
def test_a_stopped_process_is_told_from_one_that_sleeps_and_from_none() -> None:
    assert silence.stopped(os.getpid()) == ""
    with subprocess.Popen(["sh", "-c", "kill -STOP $$"]) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert f"kill -CONT {process.pid}" in silence.stopped(process.pid)
        process.kill()
    assert silence.stopped(process.pid) == ""
