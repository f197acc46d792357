"""The fork server: a process that has imported what workers need, and forks them in milliseconds.

The node manager starts ``python -P -m mobula._zygote`` in the role "zygote" once for each job and environment (or in the role "worker", where
a worker is to be started without one). It is single-threaded, which it checks before each fork: a thread that holds a lock would leave it locked
in the child for ever. On its socket it gets, and answers, messages of four bytes of length, big-endian, and so many bytes of JSON:

- ``{"op": "fork", "worker", "proof", "mark"}`` with three descriptors beside it: the worker's role connection, standard output and error. The
  answer is ``{"op": "forked", "worker", "pid"}`` or ``{"op": "failed", "worker", "error", "threads"}``.
- ``{"op": "exited", "pid", "status"}`` tells that a worker has ended. It stays a zombie, so that its number stays its own, until the node has
  answered ``{"op": "reap", "pid"}``.

The end of the socket is the end of the node: then the zygote ends, and with it, by their parent-death signal, its workers.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
from typing import Any, NoReturn

from mobula import _takeover

MARK = "MOBULA_PROCESS"
"""The variable by which the node knows a worker's subprocesses."""

_MESSAGE_MAX = 64 << 10
_PR_SET_PDEATHSIG = 1
_QUIET_MS = 250
"""How long nobody must have asked for anything before the zygote imports more: the first result comes first."""
_LATER = (
    "mobula._concurrent",
    "faulthandler",
    "asyncio",
    "concurrent.futures.thread",
    "logging",
    "inspect",
    "dataclasses",
    "datetime",
    "decimal",
    "random",
    "tempfile",
    "subprocess",
    "uuid",
    "pathlib",
    "urllib.parse",
)
"""What most programs import sooner or later: imported while nobody asks for a worker, and shared by all that come after."""


class Request:
    """What a forked worker is told."""

    __slots__ = ("files", "mark", "proof")

    def __init__(self, proof: str, mark: str, files: list[int]) -> None:
        self.proof = proof
        self.mark = mark
        self.files = files


class Zygote:
    """The state of the fork server. ``serve`` returns only in a forked worker."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._children: dict[int, int] = {}  # pidfd to pid
        self._received = bytearray()
        self._files: list[int] = []
        self._later = list(reversed(_LATER))
        self._libc = ctypes.CDLL(None, use_errno=True)

    def serve(self) -> Request:
        """Serves requests; returns in each worker what it was asked for."""
        while True:
            ready = self._poll.poll(_QUIET_MS if self._later else None)
            for fd, _ in ready:
                if fd in self._children:
                    self._ended(fd)
                    continue
                request = self._read()
                if request is not None:
                    return request
            if not ready:
                self._import(self._later.pop())

    def _import(self, name: str) -> None:
        try:
            __import__(name)
        except Exception:
            pass  # a build of Python without it: whoever needs it will say so
        if not self._later:
            freeze()

    def _read(self) -> Request | None:
        """Reads what has come and does it; returns a request in the worker that was forked for it."""
        data, files, _, _ = socket.recv_fds(self._connection, _MESSAGE_MAX, 64)
        self._files += files
        if not data:
            os._exit(0)  # the node has ended
        self._received += data
        while len(self._received) >= 4:
            size = int.from_bytes(self._received[:4], "big")
            if size > _MESSAGE_MAX:
                sys.exit(f"mobula: the node sent a message of {size} bytes")
            if len(self._received) < 4 + size:
                break
            message = json.loads(self._received[4 : 4 + size])
            del self._received[: 4 + size]
            if message["op"] == "fork":
                request = self._fork(message)
                if request is not None:
                    return request
            elif message["op"] == "reap":
                os.waitpid(message["pid"], 0)
        return None

    def _fork(self, message: dict[str, Any]) -> Request | None:
        worker = message["worker"]
        files, self._files = self._files[:3], self._files[3:]
        threads = len(os.listdir("/proc/self/task"))
        if threads > 1:
            error = f"it has {threads} threads; does a .pth file or sitecustomize start one?"
            self._send({"op": "failed", "worker": worker, "error": error, "threads": threads})
            _close(files)
            return None
        zygote = os.getpid()
        gc.freeze()  # what was made since the last time: the first collection of the worker would look at it, and copy its pages
        try:
            pid = os.fork()
        except OSError as e:
            self._send({"op": "failed", "worker": worker, "error": str(e)})
            _close(files)
            return None
        if pid == 0:
            self._become(zygote)
            return Request(message["proof"], message["mark"], files)
        _close(files)
        try:
            os.setpgid(pid, pid)  # the child does it too: whoever comes first
        except OSError:
            pass  # it has ended
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = pid
        self._poll.register(pidfd, select.POLLIN)
        self._send({"op": "forked", "worker": worker, "pid": pid})
        return None

    def _become(self, zygote: int) -> None:
        """Makes a forked process a worker: it ends with the zygote, leads a group of its own, and has none of the zygote's descriptors."""
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != zygote:
            os._exit(1)
        os.setpgid(0, 0)
        self._connection.close()
        _close(list(self._children))
        _close(self._files)

    def _ended(self, pidfd: int) -> None:
        """Tells of a worker that has ended, which keeps its number until the node says so."""
        pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        status = 0
        if result is not None:
            status = result.si_status << 8 if result.si_code == os.CLD_EXITED else result.si_status
            if result.si_code == os.CLD_DUMPED:
                status |= 0x80
        self._send({"op": "exited", "pid": pid, "status": status})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        try:
            self._connection.sendall(len(body).to_bytes(4, "big") + body)
        except OSError:
            os._exit(0)  # the node has ended


def _close(files: list[int]) -> None:
    for fd in files:
        os.close(fd)


def freeze() -> None:
    """Keeps the garbage collector of workers off what is shared with them: it would copy every page that it looks at."""
    gc.collect()
    gc.freeze()


def mark(value: str) -> None:
    """Writes the worker's mark over the zygote's, in the environment for subprocesses and in the memory that /proc/PID/environ shows."""
    try:
        with open("/proc/self/environ", "rb") as f:
            environ = b"\x00" + f.read()
        name = b"\x00" + MARK.encode() + b"="
        at = environ.find(name)
        end = environ.find(b"\x00", at + 1)
        new = value.encode()
        if at >= 0 and end - at - len(name) == len(new):
            with open("/proc/self/stat", "rb") as f:
                start = int(f.read().rpartition(b")")[2].split()[47])  # env_start, field 50; what is left begins with field 3
            ctypes.memmove(start + at + len(name) - 1, new, len(new))
    except (OSError, ValueError, IndexError):
        pass  # a system that hides it: a worker's subprocesses are then told by their group
    os.environ[MARK] = value


def prepare() -> None:
    """Imports what every worker needs."""
    import cloudpickle  # noqa: F401

    import mobula._errors
    import mobula._gen.session_pb2
    import mobula._session
    import mobula._worker_process  # noqa: F401


def receive(request: Request) -> _takeover.Role:
    """Takes over the role of a forked worker."""
    connection, stdout, stderr = request.files
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    _close([stdout, stderr])
    return _takeover.inherit(connection, "worker", request.proof)


def work(role: _takeover.Role) -> NoReturn:
    """Runs a worker to its end."""
    from mobula import _worker_process

    _worker_process.main(role)
    os._exit(0)


def main() -> NoReturn:
    """Serves the role in which this process was started."""
    try:
        role = _takeover.take()
    except _takeover.TakeoverError as e:
        _takeover.fail(e)
    if role is None:
        sys.exit("mobula: this module is started by the node manager, to fork workers")
    if role.kind == "worker":
        work(role)
    gc.disable()
    prepare()
    freeze()
    zygote = Zygote(role.connection)
    role.ready()
    del role
    request = zygote.serve()
    del zygote
    gc.enable()
    mark(request.mark)
    try:
        worker = receive(request)
    except (_takeover.TakeoverError, OSError) as e:
        _takeover.fail(e)
    work(worker)


if __name__ == "__main__":
    main()
