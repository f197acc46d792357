from __future__ import annotations

import hashlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from mobula import _session, _takeover
from mobula._gen import session_pb2 as pb

SECRET = bytes(range(32))
PROOF = hashlib.sha256(SECRET).hexdigest()


def message(**fields):
    body = {"version": 1, "kind": "worker", "secret": SECRET.hex(), "node": "0b" * 16, "job": "0c" * 16, "worker": "0a" * 16, **fields}
    data = json.dumps(body).encode()
    return len(data).to_bytes(4, "big") + data


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    yield ours, theirs
    ours.close()


def inherit(ends, data, kind="worker", proof=PROOF):
    ours, theirs = ends
    ours.sendall(data)
    return _takeover.inherit(theirs.detach(), kind, proof)


def test_no_variables_is_no_role(monkeypatch):
    for name in _takeover._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert _takeover.take() is None


def test_a_role_is_read_from_its_descriptor_and_leaves_the_environment(monkeypatch, ends):
    ours, theirs = ends
    ours.sendall(message(isolated=True, settings={"a": "b"}))
    for name, value in zip(_takeover._VARIABLES, ("worker", str(theirs.detach()), PROOF), strict=True):
        monkeypatch.setenv(name, value)
    role = _takeover.take()
    assert role is not None
    assert (role.kind, role.secret, role.node, role.job, role.worker) == ("worker", SECRET, b"\x0b" * 16, b"\x0c" * 16, b"\x0a" * 16)
    assert role.isolated
    assert role.settings == {"a": "b"}
    assert not any(name in os.environ for name in _takeover._VARIABLES)
    assert not os.get_inheritable(role.connection.fileno())
    role.ready()
    assert ours.recv(10) == b"\x01"
    role.connection.close()


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_role_of_which_a_part_is_missing_is_an_error(monkeypatch, missing):
    for i, (name, value) in enumerate(zip(_takeover._VARIABLES, ("worker", "3", PROOF), strict=True)):
        if i != missing:
            monkeypatch.setenv(name, value)
    with pytest.raises(_takeover.TakeoverError, match="all or none"):
        _takeover.take()


@pytest.mark.parametrize("fd", ["0", "-1", "x", "999999"])
def test_a_descriptor_that_was_not_inherited_is_an_error(monkeypatch, fd):
    for name, value in zip(_takeover._VARIABLES, ("worker", fd, PROOF), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(_takeover.TakeoverError, match="MOBULA_ROLE_FD"):
        _takeover.take()


def test_a_descriptor_of_someone_else_is_written_nothing_to(ends):
    with pytest.raises(_takeover.TakeoverError, match="secret"):
        inherit(ends, message(secret="00" * 32))
    assert ends[0].recv(10) == b""


@pytest.mark.parametrize(("fields", "text"), [({"version": 2}, "version 2"), ({"kind": "node"}, "node")])
def test_a_role_that_does_not_fit_is_refused_with_its_reason(ends, fields, text):
    with pytest.raises(_takeover.TakeoverError, match=text):
        inherit(ends, message(**fields))
    answer = ends[0].recv(1000)
    assert answer[:1] == b"\x02"
    assert text in answer[5:].decode()
    assert int.from_bytes(answer[1:5], "big") == len(answer) - 5


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\x02{}", b"\0\0\0\x03xyz"])
def test_a_broken_message_is_an_error(ends, data):
    with pytest.raises(_takeover.TakeoverError):
        inherit(ends, data)


def test_a_starter_that_is_gone_is_an_error(ends):
    ours, theirs = ends
    ours.close()
    with pytest.raises(_takeover.TakeoverError):
        _takeover.inherit(theirs.detach(), "worker", PROOF)


def test_fail_ends_the_process_with_its_reason_and_status_3():
    code = "from mobula import _takeover; _takeover.fail(ValueError('because')); print('not reached')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "mobula: because\n")


def test_the_end_of_a_group_leader_is_the_end_of_its_group():
    code = textwrap.dedent("""
        import os, subprocess, sys
        from mobula import _takeover
        child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
        print(child.pid, flush=True)
        _takeover.end_group(0)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, start_new_session=True)
    assert done.returncode == -9
    stat = pathlib.Path(f"/proc/{int(done.stdout)}/stat")
    for _ in range(1000):
        try:
            if " Z " in stat.read_text():
                return
        except OSError:
            return
        time.sleep(0.005)
    raise AssertionError("the child lives on")


# --- starting -------------------------------------------------------------------------------------------------------------------------


def script(tmp_path, text):
    path = tmp_path / "mobula"
    path.write_text(f"#!{sys.executable}\nimport os\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_the_binary_is_that_of_the_variable_or_of_the_path(monkeypatch, tmp_path):
    path = script(tmp_path, "")
    monkeypatch.setenv("MOBULA_BINARY", path)
    assert _takeover.find_binary() == path
    monkeypatch.setenv("MOBULA_BINARY", str(tmp_path / "none"))
    with pytest.raises(_takeover.StartError, match="MOBULA_BINARY"):
        _takeover.find_binary()


def test_without_a_binary_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.delenv("MOBULA_BINARY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_takeover, "__file__", str(tmp_path / "x.py"))
    with pytest.raises(_takeover.StartError, match="install a wheel"):
        _takeover.find_binary()


@pytest.mark.parametrize(
    ("text", "match"),
    [("raise SystemExit(7)", "exit status 7"), ('os.write(int(os.environ["MOBULA_ROLE_FD"]), b"\\2\\0\\0\\0\\3why")', "why")],
)
def test_a_node_that_does_not_start_says_why_and_leaves_nothing(monkeypatch, tmp_path, text, match):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    binary = script(tmp_path, text)
    with pytest.raises(_takeover.StartError, match=match):
        _takeover.start_node(binary, {})
    assert [p.name for p in tmp_path.iterdir()] == ["mobula"]


def test_a_binary_that_is_missing_is_a_start_error(tmp_path):
    with pytest.raises(_takeover.StartError, match="none"):
        _takeover.start_node(str(tmp_path / "none"), {})


def test_an_embedded_node_starts_serves_its_driver_and_ends_with_it(binary):
    connection, node = _takeover.start_node(binary, {"CPUs": 3})
    hello = pb.Hello(role=pb.ROLE_DRIVER, owns_node=True, program="test", worker_args=[sys.executable])
    try:
        session = _session.Session(connection, hello)
        assert session.node_pid == node.pid
        assert session.query(pb.Query(resources=pb.ResourcesQuery()), 20).total["CPU"] == 30_000
        assert os.path.isdir(node.directory)
        session.close()
    finally:
        connection.close()
        node.stop()
    assert node.poll() == 0
    assert not os.path.exists(node.directory)


def test_the_token_of_a_node_is_its_drivers_secret(tmp_path):
    (tmp_path / "token").write_text("ab" * 32 + "\n")
    assert _takeover.read_token(str(tmp_path)) == b"\xab" * 32
