"""The stored layout of docs/values.md: how a value lies in its block."""

from __future__ import annotations

from struct import Struct

from mobula._hot import split_ids
from mobula._session.parts import PackedValue
from mobula._store.memory import copy
from mobula._wire import ProtocolError

_MAGIC = b"MOBULAV\x01"
_HEAD = Struct("<8sQQII32x")
_HEAD_SIZE = 64


def stored_size(packed: PackedValue) -> int:
    """Returns the length of a value in the stored layout."""
    end = _HEAD_SIZE + 8 * len(packed.buffers) + 20 * len(packed.refs) + len(packed.meta)
    for buffer in packed.buffers:
        end = (end + 63 & ~63) + len(buffer)
    return end


def write_stored(packed: PackedValue, memory: memoryview, address: int) -> None:
    """Writes a value in the stored layout to memory, which begins at address and is as long as stored_size says."""
    at = _HEAD_SIZE
    _HEAD.pack_into(memory, 0, _MAGIC, len(memory), len(packed.meta), len(packed.buffers), len(packed.refs))
    lengths = b"".join(len(buffer).to_bytes(8, "little") for buffer in packed.buffers)
    for part in (lengths, b"".join(packed.refs), packed.meta):
        copy(memory[at:], address + at, part)
        at += len(part)
    for buffer in packed.buffers:
        start = at + 63 & ~63
        memory[at:start] = bytes(start - at)
        copy(memory[start:], address + start, buffer)
        at = start + len(buffer)


def read_stored(memory: memoryview) -> tuple[memoryview, list[memoryview], list[bytes]]:
    """Returns metadata, buffers and refs of a value in the stored layout, as views. Raises ProtocolError when it is none."""
    if len(memory) < _HEAD_SIZE:
        raise ProtocolError("a stored value is shorter than its head")
    magic, total, meta, count, refs = _HEAD.unpack_from(memory)
    at = _HEAD_SIZE + 8 * count
    if magic != _MAGIC or total != len(memory) or at + 20 * refs + meta > total:
        raise ProtocolError("a stored value has a broken head")
    lengths = memory[_HEAD_SIZE:at].cast("Q")  # hosts are little-endian, as the layout is
    ids = memory[at : at + 20 * refs].tobytes()
    at += 20 * refs
    meta_view = memory[at : at + meta]
    at += meta
    buffers = []
    for length in lengths:
        at = at + 63 & ~63
        if at + length > total:
            raise ProtocolError("a stored value has a buffer beyond its end")
        buffers.append(memory[at : at + length])
        at += length
    return meta_view, buffers, split_ids(ids)
