"""The logs that a node keeps: what its workers print, and what it says itself."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from typing import Any

from mobula import _context
from mobula._cluster import own_address
from mobula._gen import state_pb2
from mobula.util.state.exception import StateApiException
from mobula.util.state.query import call, check_address, parse_id

__all__ = ["get_log", "list_logs"]

_INTERVAL_S = 0.2
_STREAMS = {"out": state_pb2.LOG_STREAM_OUT, "err": state_pb2.LOG_STREAM_ERR}
_ANSI = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")


def _check_node(address: str | None, node_id: str | None, node_ip: str | None) -> None:
    check_address(address)
    here = _context.session().node_id.hex()
    if node_id is not None and node_id.lower() != here:
        raise StateApiException(f"there is no node {node_id}: this program's is {here}")
    if node_ip is not None and node_ip not in (own_address(), "127.0.0.1", "localhost"):
        raise StateApiException(f"there is no node at {node_ip}: this program's is at {own_address()}")


def list_logs(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    glob_filter: str | None = None,
    timeout: float = 30,
) -> dict[str, list[str]]:
    """Returns the names of the node's log files by what they are of: ``worker_out``, ``worker_err``, ``runtime_env_setup``, ``node``.

    The files of workers are named ``worker-ID-PID.out`` and ``.err``; those of workers that have ended stay for as long as there is room.

    Args:
        address: of no use: the logs are those of the cluster to which this program is connected.
        node_id: the node; there is one, which need not be named.
        node_ip: likewise.
        glob_filter: only files whose names match, such as ``"worker-*.err"``.
        timeout: of the question, in seconds.

    Raises:
        StateApiException: there is no such node, or the pattern is malformed.
    """
    _check_node(address, node_id, node_ip)
    kinds: dict[str, list[str]] = {}
    for file in call("ListLogs", state_pb2.ListLogsRequest(glob=glob_filter or ""), timeout).files:
        kinds.setdefault(file.kind, []).append(file.name)
    return kinds


def get_log(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    filename: str | None = None,
    actor_id: str | None = None,
    task_id: str | None = None,
    pid: int | None = None,
    follow: bool = False,
    tail: int = -1,
    timeout: float = 30,
    suffix: str = "out",
    encoding: str | None = "utf-8",
    errors: str = "strict",
    submission_id: str | None = None,
    attempt_number: int = 0,
    _interval: float | None = None,
    filter_ansi_code: bool = False,
) -> Generator[Any, None, None]:
    """Yields a log in chunks of whole lines: a file's, or what the process of an actor, a task or a process has printed.

    What a task has printed is that of its latest attempt, without what other tasks of its process print; threads of an actor that print at the same
    moment may get each other's lines. Of an actor it is that of its latest process. What is gone because newer lines took its place is left out.

    Args:
        address: of no use, as node_id and node_ip, which may be given when they name the one node.
        node_id: see there.
        node_ip: see there.
        filename: a file that list_logs has.
        actor_id: an actor's id, in hexadecimal.
        task_id: a task's id, in hexadecimal.
        pid: a worker's process.
        follow: go on with what comes, until the process has ended.
        tail: only so many lines from the end; -1 is all.
        timeout: of each question to the node, in seconds.
        suffix: "out" or "err": which output, if not by filename.
        encoding: of the text; None yields bytes.
        errors: what to do about what cannot be decoded, as for bytes.decode.
        submission_id: is refused: there are no submitted jobs.
        attempt_number: of a task: only the latest attempt is known.
        filter_ansi_code: leave colours and other escape sequences out.

    Raises:
        StateApiException: there is no such log, or none yet.
    """
    _check_node(address, node_id, node_ip)
    if submission_id is not None:
        raise StateApiException("there are no submitted jobs: give filename, actor_id, task_id or pid")
    request = _request(filename, actor_id, task_id, pid, suffix)
    if attempt_number and task_id is not None:
        _check_attempt(task_id, attempt_number, timeout)
    if tail > 0:
        request.tail = min(tail, 1_000_000)
    while True:
        page = call("ReadLog", request, timeout)
        if page.data:
            data = _ANSI.sub(b"", page.data) if filter_ansi_code else page.data
            yield data if encoding is None else data.decode(encoding, errors)
        if page.end and not (follow and page.live):
            return
        if page.next_offset:  # else nothing has been printed, and there is no file yet
            request = state_pb2.ReadLogRequest(name=page.name, offset=page.next_offset, inside=page.inside, task_id=request.task_id)
        if page.end:
            time.sleep(_INTERVAL_S if _interval is None else _interval)


def _request(filename: str | None, actor_id: str | None, task_id: str | None, pid: int | None, suffix: str) -> state_pb2.ReadLogRequest:
    """Returns the first question: of what is given the first, in this order."""
    if suffix not in _STREAMS:
        raise ValueError(f"suffix is 'out' or 'err', not {suffix!r}")
    request = state_pb2.ReadLogRequest(stream=_STREAMS[suffix])
    if actor_id is not None:
        request.actor_id = bytes.fromhex(parse_id("actor", actor_id))
    elif task_id is not None:
        request.task_id = bytes.fromhex(parse_id("task", task_id))
    elif filename is not None:
        request.name = filename
    elif pid is not None:
        request.pid = pid
    else:
        raise ValueError("say whose log: give filename, actor_id, task_id or pid")
    return request


def _check_attempt(task_id: str, attempt_number: int, timeout: float) -> None:
    from mobula.util.state.api import get_task

    task = get_task(task_id, timeout=timeout)
    if task is not None and task.attempt_number != attempt_number:
        raise StateApiException(f"of task {task_id} the output of attempt {task.attempt_number} is known, the latest, not of {attempt_number}")
