"""Roles of processes: taking over the one in which this process was started, and starting an embedded node.

A role is an inherited socket and a one-time secret; Go's package internal/takeover states the contract. The variables MOBULA_ROLE,
MOBULA_ROLE_FD and MOBULA_ROLE_PROOF name them, and are removed before any code of the user runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

_VERSION = 1
_EXIT_STATUS = 3
_MESSAGE_MAX = 32 << 10
_REASON_MAX = 4 << 10
_IO_SECONDS = 5.0
_START_SECONDS = 10.0
_VARIABLES = ("MOBULA_ROLE", "MOBULA_ROLE_FD", "MOBULA_ROLE_PROOF")
_NODE_SETTING = "head"


class TakeoverError(Exception):
    """The role that the environment promises cannot be taken over."""


class StartError(Exception):
    """A node could not be started."""


class Role(NamedTuple):
    """What the starter of this process told it.

    Attributes:
        kind: "worker", or another that Python does not serve.
        secret: proves to the starter that a session comes from this process; for Hello.
        socket: path of the node's socket, empty when the session runs on connection.
        node, job, worker: ids of 16 bytes.
        isolated: whether the worker runs nothing beside one task or actor.
        settings: for this library.
        connection: to the starter; free for a session after ready().
    """

    kind: str
    secret: bytes
    socket: str
    node: bytes
    job: bytes
    worker: bytes
    isolated: bool
    settings: dict[str, str]
    connection: socket.socket

    def ready(self) -> None:
        """Tells the starter that the role is taken over."""
        self.connection.sendall(b"\x01")

    def refuse(self, reason: str) -> None:
        """Tells the starter, instead of ready(), why this process cannot serve the role. The caller then calls fail."""
        text = reason.encode(errors="replace")[:_REASON_MAX]
        self.connection.sendall(b"\x02" + len(text).to_bytes(4, "big") + text)


def take() -> Role | None:
    """Returns the role in which this process was started, or None. The variables that carry it are removed from the environment.

    Call it once, before any code of the user. Raises TakeoverError; the process must not go on as if it had no role then: call fail.
    """
    found = [os.environ.pop(name, None) for name in _VARIABLES]
    if found == [None, None, None]:
        return None
    kind, number, proof = found
    if kind is None or number is None or proof is None:
        names = ", ".join(_VARIABLES)
        raise TakeoverError(f"{names} are set by Mobula for the processes that it starts, all or none: unset them to run this program by hand")
    return inherit(_descriptor(number), kind, proof)


def inherit(fd: int, kind: str, proof: str) -> Role:
    """Takes over a role on a descriptor. The process must have got kind and proof from its starter, by another way. Raises TakeoverError."""
    try:
        os.set_inheritable(fd, False)
        connection = socket.socket(fileno=fd)
    except OSError as e:
        raise TakeoverError(f"take over the role {kind!r}: descriptor {fd}: {e}") from e
    try:
        connection.settimeout(_IO_SECONDS)
        role = _receive(connection, kind, proof)
        connection.settimeout(None)
    except (OSError, ValueError, KeyError, TypeError) as e:
        connection.close()
        raise TakeoverError(f"take over the role {kind!r}: {e}") from e
    except TakeoverError:
        connection.close()
        raise
    return role


def _descriptor(text: str) -> int:
    """Checks the number of an inherited descriptor: it may be someone else's."""
    try:
        fd = int(text)
        if fd < 3 or not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise ValueError("not an inherited socket")
    except (OSError, ValueError) as e:
        raise TakeoverError(f"{_VARIABLES[1]}={text!r}: {e} (unset {_VARIABLES[0]} to run this program by hand)") from e
    return fd


def _receive(connection: socket.socket, kind: str, proof: str) -> Role:
    """Reads the role message and checks it. Only a starter whose secret fits is told why its role is refused."""
    size = int.from_bytes(_read(connection, 4), "big")
    if size > _MESSAGE_MAX:
        raise ValueError(f"the role message claims {size} bytes")
    message = json.loads(_read(connection, size))
    secret = bytes.fromhex(message["secret"])
    if len(secret) != 32 or not hmac.compare_digest(hashlib.sha256(secret).hexdigest(), proof):
        raise TakeoverError("the secret on the descriptor is not the one that the environment promises")
    role = Role(
        kind=message["kind"],
        secret=secret,
        socket=message.get("socket", ""),
        node=bytes.fromhex(message.get("node", "")),
        job=bytes.fromhex(message.get("job", "")),
        worker=bytes.fromhex(message.get("worker", "")),
        isolated=bool(message.get("isolated", False)),
        settings={str(k): str(v) for k, v in (message.get("settings") or {}).items()},
        connection=connection,
    )
    wrong = ""
    if message.get("version") != _VERSION:
        wrong = f"the role message has version {message.get('version')}, this program understands {_VERSION}: use the same release for both"
    elif role.kind != kind:
        wrong = f"the descriptor offers the role {role.kind!r}, the environment {kind!r}"
    if wrong:
        role.refuse(wrong)
        raise TakeoverError(wrong)
    return role


def _read(connection: socket.socket, size: int) -> bytes:
    """Reads exactly so many bytes."""
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("the starter closed the connection")
        data += part
    return data


def fail(error: BaseException) -> NoReturn:
    """Says on standard error that the role cannot be taken over, and ends the process: the user's program must not run."""
    print(f"mobula: {error}", file=sys.stderr, flush=True)
    os._exit(_EXIT_STATUS)


def end_group(status: int) -> NoReturn:
    """Ends this process at once, and its process group when it leads one, as workers do: subprocesses of user code do not outlive it."""
    if os.getpgid(0) == os.getpid():
        with contextlib.suppress(OSError):
            os.killpg(0, signal.SIGKILL)
    os._exit(status)


class NodeProcess:
    """An embedded node, which ends with the session on its connection.

    Attributes:
        pid: its process id.
        directory: its directory, which is removed with it.
    """

    def __init__(self, process: subprocess.Popen[bytes], directory: str) -> None:
        self._process = process
        self.pid = process.pid
        self.directory = directory

    def poll(self) -> int | None:
        """Returns its exit status if it has ended."""
        return self._process.poll()

    def stop(self, timeout: float = 5.0) -> None:
        """Waits for its end, which the end of the session brings about; kills it after timeout seconds."""
        import subprocess

        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def find_binary() -> str:
    """Returns the path of the mobula binary: that of MOBULA_BINARY, the one in this package, or the one on PATH. Raises StartError."""
    given = os.environ.get("MOBULA_BINARY")
    if given:
        if not os.access(given, os.X_OK):
            raise StartError(f"MOBULA_BINARY={given!r} is not a program")
        return given
    packaged = os.path.join(os.path.dirname(__file__), "_bin", "mobula")
    found = packaged if os.access(packaged, os.X_OK) else shutil.which("mobula")
    if found is None:
        raise StartError("the mobula program was found neither in this package nor on PATH: install a wheel that has it, or set MOBULA_BINARY")
    return found


def start_node(binary: str, settings: Mapping[str, object]) -> tuple[socket.socket, NodeProcess]:
    """Starts an embedded node and returns the connection for its session, and the process.

    Args:
        binary: path of the mobula program.
        settings: those of Go's head.Config by their names there: CPUs, GPUs, Memory, Resources, StoreBytes, Build. Dir is chosen here.

    Raises:
        StartError: it did not start within 10 s, or said why not.
    """
    with _uninterrupted() as came:
        connection, node = _launch(binary, settings)
    try:
        if came:
            signal.raise_signal(signal.SIGINT)
        _await_ready(connection)
    except BaseException as e:
        connection.close()
        if not isinstance(e, (OSError, StartError)):  # Ctrl-C: nothing that it began may stay behind
            node.stop(0.0)
            raise
        node.stop(1.0)
        code = node.poll()
        status = "" if code in (None, -signal.SIGKILL) else f" (exit status {code})"
        raise StartError(f"start a node: {e}{status}; its last words are on standard error") from e
    return connection, node


def _launch(binary: str, settings: Mapping[str, object]) -> tuple[socket.socket, NodeProcess]:
    """Starts the process of an embedded node."""
    import subprocess

    directory = tempfile.mkdtemp(prefix="mobula-node-")
    secret = secrets.token_bytes(32)
    message = json.dumps(
        {"version": _VERSION, "kind": "node", "secret": secret.hex(), "settings": {_NODE_SETTING: json.dumps({**settings, "Dir": directory})}}
    ).encode()
    ours, theirs = socket.socketpair()
    env = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    values = ("node", str(theirs.fileno()), hashlib.sha256(secret).hexdigest())
    env.update(zip(_VARIABLES, values, strict=True))
    ours.sendall(len(message).to_bytes(4, "big") + message)
    try:
        try:
            process = subprocess.Popen([binary], env=env, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, start_new_session=True)
        finally:
            theirs.close()
    except OSError as e:
        ours.close()
        shutil.rmtree(directory, ignore_errors=True)
        raise StartError(f"start a node: {binary}: {e}") from e
    return ours, NodeProcess(process, directory)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[list[int]]:
    """Notes Ctrl-C in a list for the caller to raise: a process that has been started and is not known yet could not be ended."""
    came: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:  # None: of C code, which could not be put back
        yield came
        return
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, handler)


def _await_ready(connection: socket.socket) -> None:
    """Waits until the started process has taken over."""
    connection.settimeout(_START_SECONDS)
    try:
        answer = _read(connection, 1)
        if answer == b"\x02":
            raise StartError("the node refused its role: " + _read(connection, int.from_bytes(_read(connection, 4), "big")).decode(errors="replace"))
    except TimeoutError:
        raise StartError(f"the node did not take over within {_START_SECONDS:g} s") from None
    if answer != b"\x01":
        raise StartError(f"the node answered {answer!r}")
    connection.settimeout(None)


def read_token(directory: str) -> bytes:
    """Returns the secret of a node's directory, for Hello; the node's socket is node.sock there. Raises OSError, ValueError."""
    with open(os.path.join(directory, "token"), encoding="ascii") as f:
        return bytes.fromhex(f.read().strip())
