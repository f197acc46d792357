"""A process's half of the session with its node: it submits, puts, waits and holds, and in a worker takes tasks and gives their outcomes.

It knows ids and encoded values; Python's values and exceptions belong to the modules above.

# Who reads

No thread is needed for it: whoever waits reads. The first that waits **leads**: it reads the socket, and tells the others, who are parked on a lock
each, when what they wait for has come. When it has what it waits for itself, it hands the lead on. A thread of the session's own reads only while
there are callbacks (`on_ready`) or notices to be told of and nobody else leads. In a worker's main thread, which runs tasks, the node's signal SIGURG
says that something urgent has come.

# Who writes

Frames are appended to one buffer. The first few of a burst are written at once by whoever appends them; in a longer burst every 32nd writes, and
what is left is written by whoever waits next, or by the session's flusher thread within a few milliseconds.

# Locks

`_lock` guards everything but what the leader alone uses; it is held for microseconds, and never while a system call or a callback runs. The
connection's write lock comes before it. Finalisers take no lock: they append to `_released`, from where the next who holds the lock takes the ids.

An exception may be raised in the main thread wherever Python looks at signals: after calls, and where loops go round (see `_conn`). Each change of
state is therefore a run of plain assignments that ends in one append, and handling a frame twice does no harm.
"""

from __future__ import annotations

import socket

from mobula._session.link import HANDSHAKE_SECONDS
from mobula._session.parts import (
    FORMAT_ERROR,
    FORMAT_MSGPACK,
    FORMAT_PICKLE5,
    Buffer,
    GetTimeout,
    Message,
    PackedValue,
    QueueFull,
    Refused,
    SessionError,
    SessionLost,
    Stored,
    StoreFull,
    encode_value,
)
from mobula._session.stream import Stream
from mobula._session.work import Work

__all__ = [
    "FORMAT_ERROR",
    "FORMAT_MSGPACK",
    "FORMAT_PICKLE5",
    "Buffer",
    "GetTimeout",
    "Message",
    "PackedValue",
    "QueueFull",
    "Refused",
    "Session",
    "SessionError",
    "SessionLost",
    "StoreFull",
    "Stored",
    "Stream",
    "connect",
    "encode_value",
]


class Session(Work):
    """An open session. All methods may be called from any thread.

    Attributes:
        job_id, node_id: 16 bytes each.
        namespace: of the job.
        node_pid: process id of the node manager.
        address: by which others reach the node.
        limits: that hold on both sides.
        role: session_pb2.ROLE_DRIVER or ROLE_WORKER.
        templates: in a worker, what the node announced, by number.
        control: in a worker, what is called in the main thread with each CancelTask, ActorGone and Exit as soon as it is known: from a signal handler
            while a task runs, or out of a get. True means that it was dealt with; otherwise next_execute returns it. It may raise, which then
            interrupts the task.
    """


def connect(path: str) -> socket.socket:
    """Connects to the node whose socket lies at path. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(HANDSHAKE_SECONDS)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock
