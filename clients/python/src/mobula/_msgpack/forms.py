"""The forms of the value format: its codes, limits and element types, the types that stand for what Python lacks, and single items."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

Buffer = bytes | bytearray | memoryview

BYTES_OUT_OF_BAND = 4096
"""Length in bytes from which bytes and text are buffers."""
ARRAY_OUT_OF_BAND = 1024
"""Length in bytes from which arrays are buffers."""
DEPTH_MAX = 1000
"""Most levels of nesting; beyond it is a cycle, or an attack."""
DIMENSIONS_MAX = 32
NAME_MAX = 4096
TEXT_MAX = 65_536
LENGTH_MAX = 2**32 - 1

EXT_BYTES, EXT_TEXT, EXT_ARRAY, EXT_INLINE, EXT_REF, EXT_ACTOR, EXT_INTEGER, EXT_COMPLEX, EXT_DURATION = range(1, 10)
EXT_ERROR, EXT_PROTO, EXT_PICKLE = 10, 11, 12
EXT_TIME = -1

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)


class FormatError(ValueError):
    """Bytes are not a value: they are cut short, or break a rule of docs/values.md."""


class NotPortableError(TypeError):
    """A value has no portable form. `path` leads to the culprit from the outermost value, as in ``["model"].lock``."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path


class RemoteError(Exception):
    """An error that was sent as a plain value by a program in another language: its text is all that crossed."""


class Time(datetime.datetime):
    """A datetime whose nanoseconds do not fill whole microseconds; it keeps them for whoever sends it on."""

    nanosecond: int
    """Nanoseconds beyond the microsecond, 0 to 999."""

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return _make_time, (datetime.datetime.__reduce_ex__(self, 4)[1], self.nanosecond)


class Duration(datetime.timedelta):
    """A timedelta whose nanoseconds do not fill whole microseconds; it keeps them for whoever sends it on."""

    nanosecond: int
    """Nanoseconds beyond the microsecond, 0 to 999."""

    def __reduce__(self) -> tuple[Any, ...]:
        return nano_duration, (self.days, self.seconds, self.microseconds, self.nanosecond)


class Array(NamedTuple):
    """An array whose element type or shape neither numpy nor memoryview can hold here, as its raw bytes."""

    dtype: str
    """Name of the element type, as in numpy: "bfloat16"."""
    shape: tuple[int, ...]
    data: memoryview
    """The elements in row-major order, little endian."""


class Hooks:
    """How refs and Python objects enter and leave values; the ref module fills it once.

    `is_ref` are the classes of refs and actor handles. `to_wire` gives the id (20 bytes) of one, and the class name if it
    is an actor handle. `from_wire` makes one of them, `many_from_wire` refs of many ids; `loads` opens a pickle stream with its buffers.
    """

    __slots__ = ("from_wire", "is_ref", "loads", "many_from_wire", "to_wire")

    def __init__(self) -> None:
        self.is_ref: tuple[type, ...] = ()
        self.to_wire: Callable[[Any], tuple[bytes, str | None]] = _no_refs
        self.from_wire: Callable[[bytes, str | None], object] = _no_refs
        self.many_from_wire: Callable[[Sequence[bytes]], list[Any]] = self._one_by_one
        self.loads: Callable[[Buffer, list[Buffer]], object] = _no_pickles

    def _one_by_one(self, object_ids: Sequence[bytes]) -> list[Any]:
        return [self.from_wire(object_id, None) for object_id in object_ids]


def _no_refs(*_: object) -> NoReturn:
    raise FormatError("a ref, in a program that has no session")


def _no_pickles(*_: object) -> NoReturn:
    raise FormatError("a Python object, where none is read")


HOOKS = Hooks()
"""The hooks of this process."""

# Element types: number -> (numpy's name, numpy's dtype string, format of struct and memoryview or "", size in bytes).
DTYPES: dict[int, tuple[str, str, str, int]] = {
    1: ("bool", "|b1", "?", 1),
    2: ("int8", "|i1", "b", 1),
    3: ("uint8", "|u1", "B", 1),
    4: ("int16", "<i2", "h", 2),
    5: ("uint16", "<u2", "H", 2),
    6: ("int32", "<i4", "i", 4),
    7: ("uint32", "<u4", "I", 4),
    8: ("int64", "<i8", "q", 8),
    9: ("uint64", "<u8", "Q", 8),
    10: ("float16", "<f2", "", 2),
    11: ("bfloat16", "", "", 2),
    12: ("float32", "<f4", "f", 4),
    13: ("float64", "<f8", "d", 8),
    14: ("complex64", "<c8", "", 8),
    15: ("complex128", "<c16", "", 16),
}
DTYPE_BY_STR = {d[1]: number for number, d in DTYPES.items() if d[1]}
DTYPE_BY_NAME = {d[0]: number for number, d in DTYPES.items()}
DTYPE_BY_FORMAT = {d[2]: number for number, d in DTYPES.items() if d[2]} | {
    # C's own types have other letters for the same sizes.
    code: next(n for n, d in DTYPES.items() if d[0] == f"{kind}{8 * struct.calcsize(code)}")
    for code, kind in (("l", "int"), ("L", "uint"), ("n", "int"), ("N", "uint"))
}


def nano_time(t: datetime.datetime, nanosecond: int) -> Time:
    made = Time(t.year, t.month, t.day, t.hour, t.minute, t.second, t.microsecond, t.tzinfo)
    made.nanosecond = nanosecond
    return made


def _make_time(args: tuple[Any, ...], nanosecond: int) -> Time:
    made = Time(*args)
    made.nanosecond = nanosecond
    return made


def nano_duration(days: int, seconds: int, microseconds: int, nanosecond: int) -> Duration:
    made = Duration(days, seconds, microseconds)
    made.nanosecond = nanosecond
    return made


# Items.


U32 = struct.Struct("<I").pack
PACK_F64 = struct.Struct(">Bd").pack
PACK_F32 = struct.Struct(">Bf").pack


def integer(n: int) -> bytes:
    """Return the shortest form of an integer of any size."""
    if 0 <= n:
        if n < 0x80:
            return n.to_bytes(1, "big")
        if n < 1 << 8:
            return b"\xcc" + n.to_bytes(1, "big")
        if n < 1 << 16:
            return b"\xcd" + n.to_bytes(2, "big")
        if n < 1 << 32:
            return b"\xce" + n.to_bytes(4, "big")
        if n < 1 << 64:
            return b"\xcf" + n.to_bytes(8, "big")
    elif n >= -32:
        return (n & 0xFF).to_bytes(1, "big")
    elif n >= -(1 << 7):
        return b"\xd0" + n.to_bytes(1, "big", signed=True)
    elif n >= -(1 << 15):
        return b"\xd1" + n.to_bytes(2, "big", signed=True)
    elif n >= -(1 << 31):
        return b"\xd2" + n.to_bytes(4, "big", signed=True)
    elif n >= -(1 << 63):
        return b"\xd3" + n.to_bytes(8, "big", signed=True)
    bits = n.bit_length() if n >= 0 else (~n).bit_length()
    return extension(EXT_INTEGER, n.to_bytes(bits // 8 + 1, "little", signed=True))


def extension(code: int, payload: bytes) -> bytes:
    """Return an extension item."""
    fixed = _FIXED_EXTENSIONS.get(len(payload))
    head = fixed if fixed is not None else _head(len(payload), 0xC7, 0xC8, 0xC9)
    return head + (code & 0xFF).to_bytes(1, "big") + payload


_FIXED_EXTENSIONS = {1: b"\xd4", 2: b"\xd5", 4: b"\xd6", 8: b"\xd7", 16: b"\xd8"}


def _head(n: int, c8: int, c16: int, c32: int) -> bytes:
    """Return the head of something of length n whose first byte is c8 (0: none), c16 or c32 by the width of the length."""
    if n < 1 << 8 and c8:
        return bytes((c8, n))
    if n < 1 << 16:
        return c16.to_bytes(1, "big") + n.to_bytes(2, "big")
    if n > LENGTH_MAX:
        raise NotPortableError(f"a length of {n} is more than the format holds")
    return c32.to_bytes(1, "big") + n.to_bytes(4, "big")


def short_text(b: bytes) -> bytes:
    """Return text, given in UTF-8, that stays in the metadata."""
    n = len(b)
    return (0xA0 | n).to_bytes(1, "big") + b if n < 32 else _head(n, 0xD9, 0xDA, 0xDB) + b


def short_bytes(b: Buffer) -> bytes:
    """Return bytes that stay in the metadata."""
    return _head(len(b), 0xC4, 0xC5, 0xC6) + b


def list_head(n: int) -> bytes:
    """Return the head of a list of n elements."""
    return (0x90 | n).to_bytes(1, "big") if n < 16 else _head(n, 0, 0xDC, 0xDD)


def map_head(n: int) -> bytes:
    """Return the head of a map of n entries."""
    return (0x80 | n).to_bytes(1, "big") if n < 16 else _head(n, 0, 0xDE, 0xDF)


def uvarint(n: int) -> bytes:
    """Return n as a base-128 varint in its shortest form."""
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def utf8(s: str) -> bytes:
    """Return text in UTF-8; text with lone surrogates has no portable form."""
    try:
        return s.encode()
    except UnicodeEncodeError:
        raise NotPortableError(
            "the text holds a lone surrogate, which is not Unicode; decode bytes with errors='replace', or send the bytes"
        ) from None


def timestamp(t: datetime.datetime) -> bytes:
    """Return an aware datetime as MessagePack's timestamp."""
    if t.tzinfo is None:
        raise NotPortableError("a datetime without a time zone names no moment; add one, as in datetime.now(timezone.utc)")
    since = t - EPOCH
    seconds, nanoseconds = since // _SECOND, since.microseconds * 1000 + getattr(t, "nanosecond", 0)
    if 0 <= seconds < 1 << 32 and nanoseconds == 0:
        payload = struct.pack(">I", seconds)
    elif 0 <= seconds < 1 << 34:
        payload = struct.pack(">Q", nanoseconds << 34 | seconds)
    else:
        payload = struct.pack(">Iq", nanoseconds, seconds)
    return extension(EXT_TIME, payload)


def duration(t: datetime.timedelta) -> bytes:
    """Return a timedelta as a duration."""
    microseconds = (t.days * 86_400 + t.seconds) * 1_000_000 + t.microseconds
    nanoseconds = microseconds * 1000 + getattr(t, "nanosecond", 0)
    if not -(1 << 63) <= nanoseconds < 1 << 63:
        raise NotPortableError("the duration is longer than 292 years, the most that 64 bits of nanoseconds hold")
    return extension(EXT_DURATION, struct.pack("<q", nanoseconds))


def error_text(exc: BaseException) -> bytes:
    """Return an exception as its text."""
    text = (str(exc) or type(exc).__name__).encode(errors="replace")
    if len(text) > TEXT_MAX:
        text = text[:TEXT_MAX].decode(errors="ignore").encode() + f" … (cut from {len(text)} bytes)".encode()
    return extension(EXT_ERROR, text)
