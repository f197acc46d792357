"""Reading values, from bytes that may be hostile."""

from __future__ import annotations

import datetime
import importlib
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from mobula._msgpack import forms
from mobula._msgpack.forms import HOOKS, Array, Buffer, FormatError

_GET_F64 = struct.Struct(">d").unpack_from
_GET_F32 = struct.Struct(">f").unpack_from

# Bytes of the number after the first byte 0xc0+i; the type of an forms.extension is counted apart.
_WIDTH = (0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4)


class Reader:
    """Decodes one value from hostile bytes."""

    __slots__ = ("buffers", "claims", "data", "pos", "refs", "used")

    def __init__(self, meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> None:
        self.data = meta if type(meta) is bytes else bytes(meta)
        self.buffers = buffers
        self.refs = refs
        self.pos = 0
        self.claims = len(self.data)
        """How many more elements the heads of lists and maps may announce: each takes a byte at least."""
        self.used: set[int] = set()
        """The buffers that were read: each is mentioned once, or a few bytes could ask for endless copies of one."""

    def read(self) -> object:
        """Read the whole value."""
        value = self.value()
        if self.pos != len(self.data):
            raise FormatError(f"malformed value at byte {self.pos}: {len(self.data) - self.pos} bytes follow the value")
        return value

    def value(self) -> object:
        """Read one item with all that is inside."""
        data, size, pos = self.data, len(self.data), self.pos
        # Lists and maps that are not complete: their items so far, how many there will be, whether it is a map.
        stack: list[tuple[list[Any], int, bool]] = []
        items: list[Any] = []
        count, is_map = 1, False
        while True:
            if pos >= size:
                self.pos = pos
                self.malformed("the value ends too early")
            c = data[pos]
            pos += 1
            if c < 0x80:
                items.append(c)
            elif c >= 0xE0:
                items.append(c - 0x100)
            elif c < 0xA0 or c >= 0xDC:
                self.pos = pos
                n, opens_map = self.opening(c)
                pos = self.pos
                stack.append((items, count, is_map))
                if len(stack) > forms.DEPTH_MAX:
                    self.malformed(f"it nests more than {forms.DEPTH_MAX:,} levels deep")
                items, count, is_map = [], n, opens_map
            elif c < 0xC0:
                end = pos + (c & 0x1F)
                if end > size:
                    self.pos = pos
                    self.malformed("text that is cut short")
                items.append(self.utf8(data[pos:end]))
                pos = end
            else:
                self.pos = pos
                items.append(self.scalar(c))
                pos = self.pos
            while len(items) == count:
                if not stack:
                    self.pos = pos
                    return items[0]
                done: Any = self.make_map(items) if is_map else items
                items, count, is_map = stack.pop()
                items.append(done)

    def opening(self, c: int) -> tuple[int, bool]:
        """Read the head of a list or map; return how many items follow, and whether it is a map."""
        is_map = c < 0x90 or c >= 0xDE
        if c < 0xA0:
            n = c & 0x0F
        else:
            n = self.number(2 if c in (0xDC, 0xDE) else 4)
        if is_map:
            n *= 2
        self.claims -= n
        if self.claims < 0 or n > len(self.data) - self.pos:
            self.malformed(f"a {'map' if is_map else 'list'} that announces more than the value holds")
        return n, is_map

    def make_map(self, items: list[Any]) -> dict[Any, Any]:
        """Return the dict of keys and values in turn."""
        keys = items[::2]
        try:
            made = dict(zip(keys, items[1::2], strict=True))
        except TypeError:
            keys = [_hashable(k) for k in keys]
            try:
                made = dict(zip(keys, items[1::2], strict=True))
            except TypeError:
                self.malformed("a map with a key that Python cannot hash")
        if len(made) != len(keys):
            self.malformed("a map with two keys that are equal")
        return made

    def scalar(self, c: int) -> object:
        """Read what follows the first byte of an item that is not a list, a map or a short text."""
        width = _WIDTH[c - 0xC0]
        if c >= 0xD9:
            return self.utf8(self.take(self.number(width)))
        if c >= 0xD4:
            return self.extension(1 << (c - 0xD4))
        if c >= 0xD0:
            return int.from_bytes(self.take(width), "big", signed=True)
        if c >= 0xCC:
            return int.from_bytes(self.take(width), "big")
        if c == 0xCB:
            return _GET_F64(self.take(8))[0]
        if c == 0xCA:
            return _GET_F32(self.take(4))[0]
        if c >= 0xC7:
            return self.extension(self.number(width))
        if c >= 0xC4:
            return self.take(self.number(width))
        if c == 0xC1:
            self.malformed("byte 0xc1 is not MessagePack")
        return None if c == 0xC0 else c == 0xC3

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def take(self, n: int) -> bytes:
        """Return the next n bytes."""
        pos = self.pos
        end = pos + n
        if end > len(self.data):
            self.malformed(f"{n} bytes, of which {len(self.data) - pos} are there")
        self.pos = end
        return self.data[pos:end]

    def utf8(self, b: Buffer) -> str:
        try:
            return str(b, "utf-8")
        except UnicodeDecodeError:
            self.malformed("text that is not UTF-8")

    def extension(self, n: int) -> object:
        """Read the type and the payload of an forms.extension with n bytes."""
        code = self.take(1)[0]
        payload = self.take(n)
        read = _READERS.get(code)
        if read is None:
            self.malformed(f"extension {code - 256 if code > 127 else code}, which this version does not know")
        return read(self, payload)

    def index(self, payload: bytes) -> int:
        if len(payload) != 4:
            self.malformed(f"the number of a buffer or ref in {len(payload)} bytes")
        return int.from_bytes(payload, "little")

    def buffer(self, payload: bytes) -> Buffer:
        """Return the buffer whose number is the payload, once."""
        i = self.index(payload)
        if i >= len(self.buffers):
            self.malformed(f"buffer {i} of {len(self.buffers)}")
        if i in self.used:
            self.malformed(f"buffer {i} is mentioned twice")
        self.used.add(i)
        return self.buffers[i]

    def ref_id(self, payload: bytes) -> bytes:
        i = self.index(payload)
        if i >= len(self.refs):
            self.malformed(f"ref {i} of {len(self.refs)}")
        return self.refs[i]

    def ext_bytes(self, payload: bytes) -> object:
        return bytes(self.buffer(payload))

    def ext_text(self, payload: bytes) -> object:
        return self.utf8(self.buffer(payload))

    def ext_array(self, payload: bytes) -> object:
        return self.array(payload, inline=False)

    def ext_inline(self, payload: bytes) -> object:
        return self.array(payload, inline=True)

    def array(self, payload: bytes, *, inline: bool) -> object:
        """Read an array: check that its shape fits its data, and let the library that is there hold it."""
        if len(payload) < 2 or payload[0] not in forms.DTYPES or payload[1] > forms.DIMENSIONS_MAX:
            self.malformed("an array with a bad element type or number of dimensions")
        dtype = payload[0]
        shape, pos, elements = [], 2, 1
        for _ in range(payload[1]):
            if pos < len(payload) and payload[pos] < 0x80:
                dim = payload[pos]
                pos += 1
            else:
                dim, pos = self.uvarint(payload, pos)
            shape.append(dim)
            elements *= dim
        data: Buffer = payload[pos:] if inline else self.buffer(payload[pos:])
        view = memoryview(data)
        if elements * forms.DTYPES[dtype][3] != view.nbytes:
            self.malformed(f"an array of shape {shape} with {view.nbytes} bytes of data")
        if dtype == 1 and bytes(view).strip(b"\x00\x01"):
            self.malformed("a bool that is neither 0 nor 1")
        try:
            return make_array(dtype, tuple(shape), view)
        except ValueError:  # no elements, but dimensions beyond what numpy holds
            self.malformed(f"an array of shape {shape}")

    def uvarint(self, b: bytes, pos: int) -> tuple[int, int]:
        n = shift = 0
        while True:
            if pos >= len(b) or shift > 63:
                self.malformed("an array whose dimensions are cut short")
            byte = b[pos]
            pos += 1
            n |= (byte & 0x7F) << shift
            if byte < 0x80:
                if (byte == 0 and shift) or n >= 1 << 63:
                    self.malformed("a dimension that is not in its shortest form, or too large")
                return n, pos
            shift += 7

    def ext_ref(self, payload: bytes) -> object:
        return HOOKS.from_wire(self.ref_id(payload), None)

    def ext_actor(self, payload: bytes) -> object:
        if len(payload) > 4 + forms.NAME_MAX:
            self.malformed("an actor handle with too long a class name")
        return HOOKS.from_wire(self.ref_id(payload[:4]), self.utf8(payload[4:]))

    def ext_integer(self, payload: bytes) -> object:
        if not payload:
            self.malformed("an forms.integer without bytes")
        return int.from_bytes(payload, "little", signed=True)

    def ext_complex(self, payload: bytes) -> object:
        if len(payload) not in (8, 16):
            self.malformed(f"a complex number of {len(payload)} bytes")
        return complex(*struct.unpack("<2f" if len(payload) == 8 else "<2d", payload))

    def ext_time(self, payload: bytes) -> object:
        if len(payload) == 4:
            nanoseconds, seconds = 0, int.from_bytes(payload, "big")
        elif len(payload) == 8:
            v = int.from_bytes(payload, "big")
            nanoseconds, seconds = v >> 34, v & (1 << 34) - 1
        elif len(payload) == 12:
            nanoseconds, seconds = struct.unpack(">Iq", payload)
        else:
            self.malformed(f"a time of {len(payload)} bytes")
        if nanoseconds >= 1_000_000_000:
            self.malformed(f"a time with {nanoseconds} nanoseconds")
        try:
            t = forms.EPOCH + datetime.timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
        except OverflowError:
            self.malformed(f"a time {seconds} seconds from 1970: Python knows the years 1 to 9999 only")
        return forms.nano_time(t, nanoseconds % 1000) if nanoseconds % 1000 else t

    def ext_duration(self, payload: bytes) -> object:
        if len(payload) != 8:
            self.malformed(f"a forms.duration of {len(payload)} bytes")
        microseconds, rest = divmod(int.from_bytes(payload, "little", signed=True), 1000)
        t = datetime.timedelta(microseconds=microseconds)
        return forms.nano_duration(t.days, t.seconds, t.microseconds, rest) if rest else t

    def ext_error(self, payload: bytes) -> object:
        return forms.RemoteError(str(payload, "utf-8", "replace"))

    def named(self, payload: bytes, what: str) -> list[Any]:
        """Read the MessagePack list in the payload of a protobuf message or a Python object, which begins with a name."""
        inner = _Plain(payload, self.buffers, ())
        inner.used = self.used
        parts = inner.read()
        if not isinstance(parts, list) or len(parts) < 2 or not isinstance(parts[0], str) or len(parts[0].encode()) > forms.NAME_MAX:
            self.malformed(f"{what} without its name")
        if not isinstance(parts[1], (bytes, memoryview)):
            self.malformed(f"{what} without its bytes")
        return parts

    def ext_protobuf(self, payload: bytes) -> object:
        parts = self.named(payload, "a protobuf message")
        if len(parts) != 2:
            self.malformed("a protobuf message with parts left over")
        return make_protobuf(parts[0], parts[1])

    def ext_pickle(self, payload: bytes) -> object:
        parts = self.named(payload, "a Python object")
        if len(parts) != 3 or not isinstance(parts[2], list):
            self.malformed("a Python object without the numbers of its buffers")
        buffers: list[Buffer] = []
        for i in parts[2]:
            if not isinstance(i, int) or not 0 <= i <= forms.LENGTH_MAX:
                self.malformed("a Python object with a buffer that is not a number")
            buffers.append(self.buffer(forms.U32(i)))
        return HOOKS.loads(parts[1], buffers)

    def malformed(self, reason: str) -> NoReturn:
        raise FormatError(f"malformed value at byte {self.pos}: {reason}")


class _Plain(Reader):
    """Reads the payload of an forms.extension that is MessagePack itself: it holds nothing but text, bytes, integers and lists."""

    __slots__ = ()

    def extension(self, n: int) -> object:
        code = self.take(1)[0]
        if code != forms.EXT_BYTES:
            self.malformed(f"extension {code} inside an extension")
        return memoryview(self.buffer(self.take(n)))


_READERS: dict[int, Callable[[Reader, bytes], object]] = {
    forms.EXT_TIME & 0xFF: Reader.ext_time,
    forms.EXT_BYTES: Reader.ext_bytes,
    forms.EXT_TEXT: Reader.ext_text,
    forms.EXT_ARRAY: Reader.ext_array,
    forms.EXT_INLINE: Reader.ext_inline,
    forms.EXT_REF: Reader.ext_ref,
    forms.EXT_ACTOR: Reader.ext_actor,
    forms.EXT_INTEGER: Reader.ext_integer,
    forms.EXT_COMPLEX: Reader.ext_complex,
    forms.EXT_DURATION: Reader.ext_duration,
    forms.EXT_ERROR: Reader.ext_error,
    forms.EXT_PROTO: Reader.ext_protobuf,
    forms.EXT_PICKLE: Reader.ext_pickle,
}


def decode(meta: Buffer, buffers: Sequence[Buffer] = (), refs: Sequence[bytes] = ()) -> object:
    """Read a value. Arrays alias their buffers and are read-only if those are; all else owns its memory."""
    if type(meta) is bytes and meta:  # most values of this format are one short item
        c, size = meta[0], len(meta)
        if size == 1 and (c < 0x80 or c == 0xC0):
            return c if c < 0x80 else None
        if c == 0xC4 and size > 1 and size == meta[1] + 2:
            return meta[2:]
    return Reader(meta, buffers, refs).read()


def _hashable(key: object) -> object:
    """Return the form in which a key of another language can be the key of a dict: lists and arrays are tuples."""
    if isinstance(key, list):
        return tuple([_hashable(k) for k in key])
    if isinstance(key, dict):
        return tuple([(k, _hashable(v)) for k, v in key.items()])
    tolist = getattr(key, "tolist", None)
    return _hashable(tolist()) if tolist is not None else key


def make_array(dtype: int, shape: tuple[int, ...], data: memoryview) -> object:
    """Return an array over data: numpy's, else a memoryview, else the raw parts."""
    if not _numpy_dtypes and not _import_numpy():
        name, _, letter, _ = forms.DTYPES[dtype]
        if not letter or 0 in shape or sys.byteorder != "little":
            return Array(name, shape, data)
        flat: Any = data.cast("B")
        return flat.cast(letter, shape)
    numpy_dtype = _numpy_dtypes.get(dtype)
    if numpy_dtype is None:
        return Array(forms.DTYPES[dtype][0], shape, data)
    return sys.modules["numpy"].ndarray(shape, numpy_dtype, data)


_numpy_dtypes: dict[int, Any] = {}
"""numpy's element types by their numbers, once numpy was imported."""


def _import_numpy() -> bool:
    """Fill the table of numpy's element types; report whether numpy is there."""
    try:
        import numpy
    except ImportError:
        return False
    found = {number: numpy.dtype(d[1]) for number, d in forms.DTYPES.items() if d[1]}
    try:
        bfloat16 = importlib.import_module("ml_dtypes").bfloat16
    except ImportError:
        pass  # what numpy lacks is read as its raw parts
    else:
        found[forms.DTYPE_BY_NAME["bfloat16"]] = numpy.dtype(bfloat16)
    _numpy_dtypes.update(found)
    return True


def make_protobuf(name: str, data: Buffer) -> object:
    """Return a protobuf message by its full name, whose generated module must have been imported."""
    from google.protobuf import descriptor_pool, message, message_factory

    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        raise FormatError(f"protobuf message {name!r} is not known here; import the module generated for it") from None
    made = message_factory.GetMessageClass(descriptor)()
    try:
        made.ParseFromString(bytes(data))
    except message.DecodeError as e:
        raise FormatError(f"protobuf message {name!r} cannot be parsed") from e
    return made
