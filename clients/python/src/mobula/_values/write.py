"""Values, and the arguments of calls, to bytes."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any, cast

from mobula import _msgpack
from mobula._msgpack import forms
from mobula._values.kinds import ARRAY, ATOM, BYTES, FLAT, KINDS, REF, TEXT, is_plain_array, learn
from mobula._values.packed import MSGPACK, PICKLE5, Packed
from mobula._values.pickling import pack_pickle

_FLAT_MAX = 32
"""Most elements of a list or tuple that is looked through for being plain."""

_NO_ARGUMENTS = Packed(PICKLE5, pickle.dumps([], 5), [], [], len(pickle.dumps([], 5)))


def pack(value: object, *, portable: bool = False) -> Packed:
    """Return a value, a result or what is put, ready to be sent.

    None, bool, int, float, str, bytes and numeric numpy arrays take the portable form, all else is pickled, unless
    `portable` asks for the portable form of everything. A value that cannot be sent is a TypeError with the path to the
    culprit.
    """
    t = type(value)
    kind = KINDS.get(t)
    if kind is None:
        kind = learn(t)
    if kind == ATOM:
        meta = _ATOMS[t](value)
        return Packed(MSGPACK, meta, [], [], len(meta))
    if portable or (kind == TEXT and _is_unicode(cast(str, value))) or (kind == ARRAY and is_plain_array(value)):
        return _pack_portable(value)
    if kind == BYTES:
        if t is bytes and len(cast(bytes, value)) < 256:
            meta = b"\xc4%c%b" % (len(cast(bytes, value)), cast(bytes, value))
            return Packed(MSGPACK, meta, [], [], len(meta))
        return _pack_portable(value) if t is bytes else pack_pickle(_LargeBytes(cast(bytearray, value)), "the value")
    if kind == FLAT and _is_flat(value):
        meta = pickle.dumps(value, 5)
        return Packed(PICKLE5, meta, [], [], len(meta))
    return pack_pickle(value, "the value")


_ATOMS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda v: b"\xc0",
    bool: lambda v: b"\xc3" if v else b"\xc2",
    int: forms.integer,
    float: lambda v: forms.PACK_F64(0xCB, v),
    complex: lambda v: forms.extension(forms.EXT_COMPLEX, struct.pack("<2d", v.real, v.imag)),
}
"""The portable forms of the values that have no parts."""


def pack_args(
    args: tuple[object, ...], kwargs: dict[str, object], *, portable: bool = False, function: str = ""
) -> tuple[Packed, list[tuple[int, bytes]], list[str]]:
    """Return the arguments of a call as one value, the refs among them, and the names of those given by name.

    The value is a list, the positional arguments first. A top-level ref stands there as None, and in the second result as
    its position and object id. `function` is for the text of errors.
    """
    names = list(kwargs) if kwargs else []
    items = [*args, *kwargs.values()] if kwargs else list(args)
    if not items and not portable:
        return _NO_ARGUMENTS, [], names
    refs: list[tuple[int, bytes]] = []
    owners: list[object] = []
    plain = True
    for i, x in enumerate(items):
        kind = KINDS.get(type(x))
        if kind is None:
            kind = learn(type(x))
        if kind == ATOM:
            continue
        if kind == REF:
            refs.append((i, _msgpack.HOOKS.to_wire(x)[0]))
            owners.append(x)
            items[i] = None
        elif kind == TEXT:
            continue
        elif kind == BYTES:
            if len(cast(bytes, x)) >= forms.BYTES_OUT_OF_BAND and not portable:
                items[i] = _LargeBytes(cast(bytes, x))
                plain = False
        elif plain:
            plain = kind == FLAT and _is_flat(x)
    if portable:
        packed = _pack_portable(items, function)
    elif plain:
        meta = pickle.dumps(items, 5)
        packed = Packed(PICKLE5, meta, [], [], len(meta))
    else:
        packed = pack_pickle(items, function or "the call", names)
    if owners:
        packed = packed._replace(keep=(packed.keep, owners))
    return packed, refs, names


def pack_definition(obj: object, *, name: str = "") -> Packed:
    """Return the code of a function or class, which refs it captured included."""
    return pack_pickle(obj, name or getattr(obj, "__qualname__", "the definition"))


def _is_flat(items: Any) -> bool:
    """Report whether a list, tuple or dict holds nothing but a few plain values, so that plain pickle serves."""
    if len(items) > _FLAT_MAX:
        return False
    for x in items:
        kind = KINDS.get(type(x))
        if kind != ATOM and kind != TEXT and not (kind == BYTES and len(x) < forms.BYTES_OUT_OF_BAND):
            return False
    return type(items) is not dict or _is_flat(tuple(items.values()))


def _is_unicode(s: str) -> bool:
    """Report whether text has a UTF-8 form; Python's may hold lone surrogates."""
    if s.isascii():
        return True
    try:
        s.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pack_portable(value: object, function: str = "") -> Packed:
    w = _msgpack.Writer()
    try:
        w.write(value)
    except _msgpack.NotPortableError as e:
        path = _msgpack.culprit(value)
        raise _msgpack.NotPortableError(e.reason, f"argument {path} of {function}" if function else path) from None
    meta = w.parts[0] if len(w.parts) == 1 else b"".join(w.parts)
    size = len(meta)
    for b in w.buffers:
        size += len(b)
    return Packed(MSGPACK, meta, w.buffers, w.refs, size, w.keep or None)


class _LargeBytes:
    """Bytes among the arguments that are long enough to go out of band."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self.data), (pickle.PickleBuffer(self.data),)
