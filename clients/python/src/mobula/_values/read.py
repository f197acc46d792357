"""Bytes to values."""

from __future__ import annotations

import gc
import io
import pickle
from collections.abc import Sequence
from typing import Any

from mobula import _msgpack
from mobula._hot import split_ids
from mobula._msgpack import Buffer
from mobula._values.packed import ERROR, ID_BYTES, MSGPACK, PICKLE5
from mobula._values.refs import load_ref, local

_MANY = 16
"""From so many refs in a value on, they are made together."""


def split_refs(joined: Buffer) -> list[bytes]:
    """Return the ids that stand one after the other in `joined`."""
    if not joined:
        return []
    if len(joined) % ID_BYTES:
        raise _msgpack.FormatError(f"{len(joined)} bytes are no list of ids")
    b = bytes(joined)
    return split_ids(b)


def unpack(format: int, meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> object:
    """Return the value that was packed; for format ERROR the exception that get raises.

    Arrays alias their buffers, read-only if those are. A value that cannot be unpickled is a RaySystemError.
    """
    if format == PICKLE5:
        return _loads(meta, buffers, refs)
    if format == MSGPACK:
        return _msgpack.decode(meta, buffers, refs)
    if format == ERROR:
        from mobula._errors import unpack_error

        return unpack_error(meta)
    raise _msgpack.FormatError(f"a value of format {format}, which this version does not know")


def unpack_args(format: int, meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> list[object]:
    """Return the arguments of a call as a list of the caller's own, None where a resolved ref belongs."""
    args = unpack(format, meta, buffers, refs)
    if not isinstance(args, list):
        raise _msgpack.FormatError("the arguments of a call that are not a list")
    return args


class _ManyRefs(pickle.Unpickler):
    """Opens a value with many refs: they are made, and held, together, and looked up by number without a call in Python."""

    def __init__(self, meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> None:
        super().__init__(io.BytesIO(meta), buffers=buffers)
        self._refs = _msgpack.HOOKS.many_from_wire(refs)

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Returns what a name stands for."""
        if global_name == "load_ref" and module_name == load_ref.__module__:
            return self._refs.__getitem__
        return super().find_class(module_name, global_name)


def _load_many(meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> object:
    """Opens a value with many refs; the garbage collector, which would run for every 700 of them, waits meanwhile."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return _ManyRefs(meta, buffers, refs).load()
    finally:
        if collects:
            gc.enable()


def _loads(meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> object:
    outer = local.unpacking
    if refs or outer is not None:
        local.unpacking = refs
    try:
        if len(refs) >= _MANY:
            return _load_many(meta, buffers, refs)
        return pickle.loads(meta, buffers=buffers)
    except Exception as e:
        raise _unpickling_failed(e) from e
    finally:
        if refs or outer is not None:
            local.unpacking = outer


def _unpickling_failed(e: Exception) -> Exception:
    import traceback

    from mobula.exceptions import RaySystemError

    if isinstance(e, RaySystemError):
        return e
    return RaySystemError(e, "".join(traceback.format_exception(e)))


def _open_pickle(stream: Buffer, buffers: list[Buffer]) -> object:
    """Open a Python object inside a portable value."""
    return _loads(stream, buffers, local.unpacking or ())


_msgpack.HOOKS.loads = _open_pickle
