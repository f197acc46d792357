"""The fork server, with this test in the place of the node manager."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import pytest

from mobula import _zygote

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")

POOL = "0" * 16


class Node:
    """The node's side of a zygote."""

    def __init__(self) -> None:
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(20)
        self.files: list[Any] = []
        secret = secrets.token_bytes(32)
        self.send({"version": 1, "kind": "zygote", "secret": secret.hex()})
        env = {
            **os.environ,
            "MOBULA_ROLE": "zygote",
            "MOBULA_ROLE_FD": str(theirs.fileno()),
            "MOBULA_ROLE_PROOF": hashlib.sha256(secret).hexdigest(),
            _zygote.MARK: f"{POOL}/{'f' * 32}",
        }
        self.process = subprocess.Popen([sys.executable, "-P", "-m", "mobula._zygote"], env=env, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()

    def send(self, message: dict[str, Any], files: list[int] | None = None) -> None:
        body = json.dumps(message).encode()
        socket.send_fds(self.sock, [len(body).to_bytes(4, "big") + body], files or [])

    def hear(self) -> dict[str, Any]:
        size = int.from_bytes(self._read(4), "big")
        message: dict[str, Any] = json.loads(self._read(size))
        return message

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            assert part, "the zygote has ended"
            data += part
        return data

    def fork(self, secret: bytes, proof: str | None = None) -> tuple[dict[str, Any], socket.socket, BinaryIO]:
        """Asks for a worker; returns the answer, the worker's connection and its output."""
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        body = json.dumps({"version": 1, "kind": "worker", "secret": secret.hex(), "worker": "0" * 32}).encode()
        ours.sendall(len(body).to_bytes(4, "big") + body)
        read, write = os.pipe()
        output = os.fdopen(read, "rb")
        self.files += [ours, output]
        message = {"op": "fork", "worker": "0" * 32, "proof": proof or hashlib.sha256(secret).hexdigest(), "mark": f"{POOL}/{'0' * 32}"}
        self.send(message, [theirs.fileno(), write, write])
        os.close(write)
        theirs.close()
        return self.hear(), ours, output

    def close(self) -> None:
        self.sock.close()
        self.process.wait(20)
        for f in self.files:
            f.close()


@pytest.fixture
def node() -> Iterator[Node]:
    n = Node()
    try:
        assert n.sock.recv(1) == b"\x01"
        yield n
    finally:
        n.close()


def test_a_worker_takes_over_and_is_reaped_when_the_node_says_so(node: Node) -> None:
    answer, connection, _ = node.fork(secrets.token_bytes(32))
    pid = answer["pid"]
    assert answer["op"] == "forked"
    assert connection.recv(1) == b"\x01"
    assert os.getpgid(pid) == pid
    with open(f"/proc/{pid}/environ", "rb") as f:
        assert f"{_zygote.MARK}={POOL}/{'0' * 32}".encode() in f.read().split(b"\0")
    os.kill(pid, signal.SIGKILL)
    assert node.hear() == {"op": "exited", "pid": pid, "status": signal.SIGKILL}
    with open(f"/proc/{pid}/stat") as f:
        assert f.read().rpartition(")")[2].split()[0] == "Z"  # its number is still its own
    node.send({"op": "reap", "pid": pid})
    answer, _, _ = node.fork(secrets.token_bytes(32))  # messages are dealt with in order
    assert not os.path.exists(f"/proc/{pid}")
    os.kill(answer["pid"], signal.SIGKILL)


def test_a_wrong_proof_ends_the_worker(node: Node) -> None:
    answer, _, output = node.fork(secrets.token_bytes(32), proof="0" * 64)
    ended = node.hear()
    assert (ended["pid"], ended["status"]) == (answer["pid"], 3 << 8)
    assert b"secret" in output.read()


def test_workers_end_with_their_zygote(node: Node) -> None:
    answer, connection, _ = node.fork(secrets.token_bytes(32))
    assert connection.recv(1) == b"\x01"
    os.kill(node.process.pid, signal.SIGKILL)
    assert connection.recv(1 << 16) is not None
    while connection.recv(1 << 16):
        pass  # until its end of the connection is closed
    assert answer["op"] == "forked"


def test_the_zygote_ends_with_its_node(node: Node) -> None:
    node.sock.close()
    assert node.process.wait(20) == 0


def test_without_a_role_it_says_what_it_is() -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "mobula._zygote"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "node manager" in done.stderr
