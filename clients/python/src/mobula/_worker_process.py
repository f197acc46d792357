"""A worker process, from its takeover to its end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from mobula import _stdio, _takeover
from mobula._context import process
from mobula._worker import Worker, leave

if TYPE_CHECKING:
    from mobula._session import Session


def reseed() -> None:
    """Gives this process random numbers of its own: a fork begins with those of its parent."""
    if (random := sys.modules.get("random")) is not None:
        random.seed()
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()


def _set_path() -> None:
    """Has the worker import what the driver can import."""
    path = os.environ.pop("MOBULA_DRIVER_PATH", None)
    if path is None:
        return
    for entry in reversed(path.split(os.pathsep)):
        if entry in sys.path:
            sys.path.remove(entry)
        sys.path.insert(0, entry)


def _trace(s: Session, worker_id: bytes) -> None:
    """Turns tracing on, if the variables say so."""
    import atexit

    from mobula import _tracing

    if hook := os.environ.get("MOBULA_TRACING_HOOK"):
        try:
            _tracing.call_hook(hook)
        except Exception as e:  # of user code: its tasks run without tracing
            sys.excepthook(type(e), e, e.__traceback__)
    process.tracer = tracer = _tracing.open_tracer("worker")
    if tracer is not None:
        tracer.set_process(s.node_id, s.job_id, worker_id)
        atexit.register(tracer.close)


def main(role: _takeover.Role) -> NoReturn:
    """Is the worker that a role asks for: opens the session on its connection, runs until the node says to end, and ends the process."""
    from mobula._gen import session_pb2
    from mobula._session import Session, SessionLost, connect

    try:
        _set_path()
        if os.environ.get("MOBULA_RAY"):  # the driver runs a program that was written for Ray
            from mobula.ray import _hook

            _hook.install()
        reseed()
        threading.current_thread().name = "MainThread"
        if "MOBULA_RUNTIME_ENV" in os.environ:
            from mobula import _runtime_env

            _runtime_env.enter()
        if role.socket:
            connection = connect(role.socket)
        else:
            role.ready()
            connection = role.connection
        hello = session_pb2.Hello(
            role=session_pb2.ROLE_WORKER, secret=role.secret, worker_id=role.worker, program=os.path.basename(sys.argv[0] or "python")
        )
        s = Session(connection, hello)
        if role.socket:
            role.ready()
    except BaseException as e:  # of the takeover: there is nothing to run
        _takeover.fail(e)
        raise AssertionError("fail returned") from e
    worker = Worker(s, role.worker, role.settings)
    process.session, process.worker = s, worker
    process.info.update({"address": s.address, "gcs_address": s.address, "node_id": s.node_id.hex(), "namespace": s.namespace})
    signal.signal(signal.SIGTERM, lambda *_: leave(0))  # so that exit handlers run; user code may install its own, here as well
    signal.signal(signal.SIGINT, worker.interrupt)
    if any(name.startswith("OTEL_") or name == "MOBULA_TRACING_HOOK" for name in os.environ):
        _trace(s, role.worker)
    _stdio.install(worker.source)
    status = 0
    try:
        if "runtime_env" in process.info:
            from mobula import _runtime_env

            _runtime_env.run_hook()
        status = worker.run()
    except SessionLost:  # the node is gone, and with it everybody who could want anything of this process
        _stdio.flush()
        if not _is_open(s.fileno()):  # the node is not: it ends the group, and shall not take this for a kill
            print("mobula: user code closed the descriptor of this worker's connection to its node", file=sys.stderr, flush=True)
            os._exit(1)
        _takeover.end_group(0)
    except BaseException as e:  # a setup hook that fails, or a defect of the worker itself: say so, and let the node see it
        sys.excepthook(type(e), e, e.__traceback__)
        status = 1
    leave(status)


def _is_open(descriptor: int) -> bool:
    """Reports whether a descriptor is that of something open."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
