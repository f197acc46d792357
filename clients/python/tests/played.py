"""A node that a test plays, at the other end of a socket pair."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from google.protobuf.message import Message

from mobula import _session, _wire
from mobula._gen import session_pb2, task_pb2, value_pb2

M = TypeVar("M", bound=Message)
T = TypeVar("T")

SECONDS = 20.0
"""How long a test waits for what must come."""


class Packed(NamedTuple):
    format: int
    meta: bytes
    buffers: list[bytes] = []  # noqa: RUF012
    refs: list[bytes] = []  # noqa: RUF012
    size: int = 0


def packed(meta: bytes = b"\x01", *buffers: bytes, refs: tuple[bytes, ...] = ()) -> Packed:
    return Packed(_session.FORMAT_MSGPACK, meta, list(buffers), list(refs), len(meta) + sum(map(len, buffers)))


def encoded(meta: bytes = b"\x01") -> bytes:
    return _session.encode_value(packed(meta))


def failure(message: str = "no") -> bytes:
    error = value_pb2.ErrorValue(kind=value_pb2.ERROR_KIND_TASK_FAILED, message=message)
    return value_pb2.Value(format=value_pb2.VALUE_FORMAT_ERROR, meta=error.SerializeToString()).SerializeToString()


class PlayedNode:
    """The node's end: tests say what it sends and expect what it gets."""

    def __init__(self) -> None:
        self.sock, self.client = socket.socketpair()
        self.sock.settimeout(SECONDS)
        self.data = b""
        self.files: list[int] = []
        self.root = b"rootroot"

    def open(
        self, role: int = session_pb2.ROLE_DRIVER, notice: Callable[[session_pb2.Notice], None] | None = None, **welcome: int
    ) -> _session.Session:
        """Opens a session to this node."""
        answer = session_pb2.Welcome(
            node_id=b"n" * 16,
            job_id=b"j" * 16,
            id_root=self.root,
            namespace="ns",
            node_pid=1,
            credit_bytes=welcome.pop("credit_bytes", 1 << 20),
            credit_count=1000,
        )
        self.send(_wire.WELCOME, answer)
        session = _session.Session(self.client, session_pb2.Hello(role=role), notice=notice)
        self.hello = self.expect(_wire.HELLO, session_pb2.Hello)
        return session

    def send(self, kind: int, message: Message, *fds: int) -> None:
        data = _wire.frame(kind, message.SerializeToString())
        if fds:
            self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        else:
            self.sock.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """Returns the next frame from the client."""
        while True:
            if len(self.data) >= 8:
                size, kind, _ = _wire.HEADER.unpack_from(self.data)
                if len(self.data) >= 8 + size:
                    payload, self.data = self.data[8 : 8 + size], self.data[8 + size :]
                    return kind, payload
            data, fds, _, _ = socket.recv_fds(self.sock, 1 << 20, 16)
            if not data:
                raise EOFError("the client closed the connection")
            self.data += data
            self.files += fds

    def expect(self, kind: int, message: type[M]) -> M:
        """Returns the next frame, which must be of that kind."""
        got, payload = self.receive()
        assert got == kind, f"frame of kind {got} instead of {kind}"
        parsed = message()
        parsed.ParseFromString(payload)
        return parsed

    def result(self, sequence: int, value: bytes, index: int = 0) -> None:
        self.send(_wire.RESULT, session_pb2.Result(sequence=sequence, index=index, value=value))

    def answer(self, oid: bytes, value: bytes) -> None:
        self.send(_wire.RESULT, session_pb2.Result(object_id=oid, value=value))

    def execute(self, handle: int, lane: int = 1, **fields: object) -> None:
        m = session_pb2.Execute(handle=handle, lane=lane, template=1, task_id=b"t" * 16, attempt=1, args=encoded(b"\x90"), **fields)  # type: ignore[arg-type]
        self.send(_wire.EXECUTE, m)

    def template(self) -> None:
        self.send(_wire.TEMPLATE, task_pb2.Template(id=1, kind=task_pb2.TEMPLATE_KIND_FUNCTION, name="m.f"))

    def close(self) -> None:
        for fd in self.files:
            with contextlib.suppress(OSError):
                os.close(fd)
        self.sock.close()


class Background:
    """A call on a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.value: object = None
        self.error: BaseException | None = None

        def run() -> None:
            try:
                self.value = call()
            except BaseException as e:
                self.error = e

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def result(self) -> object:
        self.thread.join(SECONDS)
        assert not self.thread.is_alive(), "the call did not return"
        if self.error is not None:
            raise self.error
        return self.value
