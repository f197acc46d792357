"""Frames of the session protocol: docs/protocol.md section 1.

A frame is a header of 8 bytes (length of the payload, kind, zero; little-endian) and a payload.
"""

from __future__ import annotations

from struct import Struct

PROTOCOL_VERSION = 1
FRAME_MAX = 1 << 20
"""Longest payload in bytes."""
HEADER = Struct("<IHH")
HEADER_SIZE = 8

# Kinds of frames, as FrameKind of session.proto names them.
HELLO, WELCOME, REFUSED, GOODBYE = 1, 2, 3, 4
TEMPLATE, CALL_SITE, SUBMIT, PUT, HOLD, RELEASE, GET, CANCEL, KILL_ACTOR, CREDIT, RESULT, QUERY, REPLY, NOTICE, CONSUMED = range(8, 23)
SEGMENT, GRANT_REQUEST, GRANT, FREED, UNPIN, SEGMENT_GONE, COLLECT = range(32, 39)
EXECUTE, DONE, BLOCKED, UNBLOCKED, REVOKE, REVOKED, CANCEL_TASK, EXIT, ACTOR_GONE, YIELD = range(48, 58)

_VARINTS = tuple(bytes((n,)) for n in range(128)) + tuple(bytes((n & 127 | 128, n >> 7)) for n in range(128, 16384))
_CONTINUED = tuple(bytes((n | 128,)) for n in range(128))


class ProtocolError(Exception):
    """The peer violated the protocol."""


def varint(n: int) -> bytes:
    """Returns n, from 0, in protobuf's base-128 form."""
    if n < 16384:
        return _VARINTS[n]
    head = _CONTINUED[n & 127]
    n >>= 7
    while n >= 16384:
        head += _CONTINUED[n & 127]
        n >>= 7
    return head + _VARINTS[n]


def frame(kind: int, payload: bytes) -> bytes:
    """Returns a whole frame. Raises ValueError when the payload is too long."""
    size = len(payload)
    if size > FRAME_MAX:
        raise ValueError(f"a frame of {size:,} bytes exceeds 1 MiB")
    return HEADER.pack(size, kind, 0) + payload
