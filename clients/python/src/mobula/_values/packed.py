"""A value on its way: its format, its bytes, its refs."""

from __future__ import annotations

from typing import NamedTuple

from mobula._msgpack import Buffer

MSGPACK, PICKLE5, ERROR = 1, 2, 3
"""Formats of a value, as ValueFormat numbers them."""

ID_BYTES = 20
"""Length of an object's id."""


class Packed(NamedTuple):
    """A value that is ready to be sent."""

    format: int
    meta: bytes
    buffers: list[Buffer]
    """Out-of-band bytes, each contiguous, counted by `len`; they may alias the user's memory until they were sent."""
    refs: list[bytes]
    """Ids of the objects and actors inside, 20 bytes each, in the order in which the metadata numbers them."""
    size: int
    """Length of the metadata and all buffers in bytes."""
    keep: object = None
    """What must live until the value was sent: the refs inside, which hold their objects."""
