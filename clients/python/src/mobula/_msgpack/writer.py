"""Writing values."""

from __future__ import annotations

import array
import datetime
import pickle
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from mobula._msgpack import forms
from mobula._msgpack.forms import HOOKS, Array, Buffer, NotPortableError


class _Raw(bytes):
    """Metadata that is ready: the key of a map, on the writer's list of things to do."""

    __slots__ = ()


_LEAVE = object()
"""Mark on the writer's list of things to do: a list or map is complete."""


class Writer:
    """Encodes one value; then `parts` joined are its metadata."""

    __slots__ = ("buffers", "depth", "in_key", "keep", "parts", "refs", "todo")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.buffers: list[Buffer] = []
        self.refs: list[bytes] = []
        self.keep: list[object] = []
        """The ref objects that were met, which keep what they refer to alive until the value was sent."""
        self.todo: list[object] = []
        self.depth = 0
        self.in_key = False

    def write(self, value: object) -> None:
        """Encode a value, its parts in the order in which they are mentioned."""
        todo, parts = self.todo, self.parts
        todo.append(value)
        while todo:
            v = todo.pop()
            t = type(v)
            put = _WRITERS.get(t)
            if put is not None:
                put(self, v)
            elif t is _Raw:
                parts.append(cast(bytes, v))
            elif v is _LEAVE:
                self.depth -= 1
            else:
                self.other(v, t)

    def enter(self) -> None:
        self.depth += 1
        if self.depth > forms.DEPTH_MAX:
            raise NotPortableError(f"it nests more than {forms.DEPTH_MAX:,} levels deep, or holds itself")
        self.todo.append(_LEAVE)

    def put_text(self, s: str) -> None:
        b = forms.utf8(s)
        if len(b) < forms.BYTES_OUT_OF_BAND or self.in_key:
            self.parts.append(forms.short_text(b))
        else:
            self.parts.append(forms.extension(forms.EXT_TEXT, self.buffer(b)))

    def put_bytes(self, b: Buffer) -> None:
        if len(b) < forms.BYTES_OUT_OF_BAND or self.in_key:
            self.parts.append(forms.short_bytes(b))
        else:
            self.parts.append(forms.extension(forms.EXT_BYTES, self.buffer(b)))

    def buffer(self, b: Buffer) -> bytes:
        """Take a buffer out of band and return its number as it stands in a payload."""
        self.buffers.append(b)
        return forms.U32(len(self.buffers) - 1)

    def put_list(self, v: Sequence[object]) -> None:
        self.parts.append(forms.list_head(len(v)))
        self.enter()
        self.todo.extend(v[::-1])

    def put_map(self, v: dict[Any, Any]) -> None:
        self.parts.append(forms.map_head(len(v)))
        self.enter()
        self.entries([(self.key(k), x) for k, x in v.items()])

    def entries(self, entries: list[tuple[bytes, object]]) -> None:
        """Put the entries of a map on the list of things to do, so that they are written in the order of their keys."""
        entries.sort(key=_first, reverse=True)
        before = None
        for k, x in entries:
            if k == before:
                raise NotPortableError("two keys of a map are equal in their portable form")
            before = k
            self.todo.append(x)
            self.todo.append(_Raw(k))

    def key(self, k: object) -> bytes:
        """Return the encoded form of a key, which has no buffers and no refs."""
        if type(k) is str:
            return forms.short_text(forms.utf8(k))
        if type(k) is int:
            return forms.integer(k)
        w = Writer()
        w.in_key = True
        w.depth = self.depth
        w.write(k)
        return b"".join(w.parts)

    def put_array(self, dtype: int, shape: Sequence[int], data: memoryview) -> None:
        """Write an array; data is flat bytes in row-major order."""
        if len(shape) > forms.DIMENSIONS_MAX:
            raise NotPortableError(f"an array of {len(shape)} dimensions; the most is {forms.DIMENSIONS_MAX}")
        head = bytes((dtype, len(shape))) + b"".join([forms.uvarint(n) for n in shape])
        if data.nbytes >= forms.ARRAY_OUT_OF_BAND and not self.in_key:
            self.parts.append(forms.extension(forms.EXT_ARRAY, head + self.buffer(data)))
        else:
            self.parts.append(forms.extension(forms.EXT_INLINE, head + data.tobytes()))

    def put_numpy(self, v: Any) -> None:
        """Write a numpy array of numbers, in row-major order."""
        dtype = plain_dtype(v.dtype) or forms.DTYPE_BY_STR.get(v.dtype.newbyteorder("<").str) or forms.DTYPE_BY_NAME.get(v.dtype.name)
        if dtype is None:
            raise NotPortableError(f"a numpy array of {v.dtype} holds no plain numbers")
        if v.dtype.byteorder == ">":
            v = v.astype(v.dtype.newbyteorder("<"))
        self.put_array(dtype, v.shape, flat(v))

    def put_view(self, v: memoryview) -> None:
        if v.format == "B" and v.ndim == 1:
            self.put_bytes(v if v.c_contiguous else v.tobytes())
            return
        dtype = forms.DTYPE_BY_FORMAT.get(v.format.lstrip("@="))
        if dtype is None or sys.byteorder != "little":
            raise NotPortableError(f"a memoryview of format {v.format!r} holds no plain numbers")
        shape = v.shape or ()
        self.put_array(dtype, shape, v.cast("B") if v.c_contiguous and 0 not in shape else memoryview(v.tobytes()))

    def put_stdlib_array(self, v: array.array[Any]) -> None:
        if v.typecode not in forms.DTYPE_BY_FORMAT or sys.byteorder != "little":
            raise NotPortableError(f"an array of type code {v.typecode!r} holds no plain numbers")
        self.put_array(forms.DTYPE_BY_FORMAT[v.typecode], (len(v),), memoryview(v).cast("B") if len(v) else memoryview(b""))

    def put_raw_array(self, v: Array) -> None:
        dtype = forms.DTYPE_BY_NAME.get(v.dtype)
        n = 1
        for dim in v.shape:
            n *= dim
        if dtype is None or n * forms.DTYPES[dtype][3] != memoryview(v.data).nbytes:
            raise NotPortableError(f"an Array of {v.dtype} and shape {v.shape} does not fit its data")
        self.put_array(dtype, v.shape, memoryview(v.data).cast("B"))

    def put_torch(self, v: Any) -> None:
        """Write a tensor of torch as an array; one on a device is fetched."""
        t = v.detach().cpu()
        if str(t.dtype) == "torch.bfloat16":
            data = t.contiguous().view(sys.modules["torch"].int16).numpy()
            self.put_array(forms.DTYPE_BY_NAME["bfloat16"], tuple(t.shape), flat(data))
        else:
            self.put_numpy(t.numpy())

    def put_ref(self, v: object) -> None:
        object_id, class_name = HOOKS.to_wire(v)
        if self.in_key:
            raise NotPortableError("a ref cannot be the key of a map")
        self.refs.append(object_id)
        self.keep.append(v)
        number = forms.U32(len(self.refs) - 1)
        if class_name is None:
            self.parts.append(forms.extension(forms.EXT_REF, number))
        else:
            self.parts.append(forms.extension(forms.EXT_ACTOR, number + forms.utf8(class_name)[: forms.NAME_MAX]))

    def put_protobuf(self, v: Any) -> None:
        data = v.SerializeToString(deterministic=True)
        inner = Writer()
        inner.in_key, inner.buffers = self.in_key, self.buffers
        inner.put_bytes(data)
        payload = forms.list_head(2) + forms.short_text(forms.utf8(v.DESCRIPTOR.full_name)) + b"".join(inner.parts)
        self.parts.append(forms.extension(forms.EXT_PROTO, payload))

    def other(self, v: Any, t: type) -> None:
        """Write a value whose exact class has no writer: by its base class, or by duck typing; or refuse it."""
        if isinstance(v, HOOKS.is_ref):
            self.put_ref(v)
        elif isinstance(v, Array):
            self.put_raw_array(v)
        elif (scalar := _scalar(v, t)) is not None:
            self.parts.append(scalar)
        elif (kind := _kind(t)) is not None:
            getattr(self, kind)(v)
        else:
            for base in _BASES:
                if isinstance(v, base):
                    _WRITERS[base](self, v)
                    return
            self.last(v, t)

    def last(self, v: Any, t: type) -> None:
        """Write a dataclass as the map of its fields; refuse all else."""
        fields = getattr(t, "__dataclass_fields__", None)
        if fields is None:
            raise NotPortableError(f"a {t.__module__}.{t.__qualname__} has no portable form{_advice(v)}")
        entries = [(forms.short_text(forms.utf8(name)), getattr(v, name)) for name, f in fields.items() if f._field_type.name == "_FIELD"]
        self.parts.append(forms.map_head(len(entries)))
        self.enter()
        self.entries(entries)


def _first(entry: tuple[bytes, object]) -> bytes:
    return entry[0]


def _advice(v: object) -> str:
    if isinstance(v, (set, frozenset)):
        return "; send a list"
    if isinstance(v, datetime.date):
        return "; send a datetime with a time zone, or text"
    if callable(v):
        return "; code is not portable"
    return "; send plain data, an array, a dataclass or a protobuf message"


def plain_dtype(dtype: Any) -> int:
    """Return the number of numpy's element type if it is the same after a round trip, else 0."""
    if not _number_by_num:
        if sys.byteorder != "little":
            return 0
        numpy = sys.modules["numpy"]
        _number_by_num.update({numpy.dtype(letter).num: forms.DTYPE_BY_STR[numpy.dtype(letter).str] for letter in "?bBhHiIlLqQefdFD"})
    return _number_by_num.get(dtype.num, 0) if dtype.isnative else 0


_number_by_num: dict[int, int] = {}
"""Our number of each of numpy's own element types, once an array was met."""


def flat(v: Any) -> memoryview:
    """Return the bytes of a numpy array in row-major order, without copying them if they lie so already."""
    if not v.size:
        return memoryview(b"")
    return pickle.PickleBuffer(v if v.flags.c_contiguous else v.copy("C")).raw()


def _kind(t: type) -> str | None:
    """Return which writer serves a class of a library that may not be installed."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(t, numpy.ndarray):
        return "put_numpy"
    if "google.protobuf.message" in sys.modules and issubclass(t, sys.modules["google.protobuf.message"].Message):
        return "put_protobuf"
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "Tensor") and issubclass(t, torch.Tensor):
        return "put_torch"
    return None


def _scalar(v: Any, t: type) -> bytes | None:
    """Return the form of a numpy scalar, or None if v is none or has a Python base that serves."""
    if t.__module__ != "numpy":
        return None
    numpy = sys.modules["numpy"]
    if isinstance(v, numpy.bool_):
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, numpy.integer) and not isinstance(v, numpy.timedelta64):
        return forms.integer(int(v))
    if isinstance(v, (numpy.float32, numpy.float16)):
        return forms.PACK_F32(0xCA, float(v))
    if isinstance(v, numpy.complex64):
        return forms.extension(forms.EXT_COMPLEX, struct.pack("<2f", v.real, v.imag))
    return None


_WRITERS: dict[type, Callable[[Writer, Any], None]] = {
    type(None): lambda w, v: w.parts.append(b"\xc0"),
    bool: lambda w, v: w.parts.append(b"\xc3" if v else b"\xc2"),
    int: lambda w, v: w.parts.append(forms.integer(v)),
    float: lambda w, v: w.parts.append(forms.PACK_F64(0xCB, v)),
    str: Writer.put_text,
    bytes: Writer.put_bytes,
    bytearray: Writer.put_bytes,
    memoryview: Writer.put_view,
    list: Writer.put_list,
    tuple: Writer.put_list,
    dict: Writer.put_map,
    complex: lambda w, v: w.parts.append(forms.extension(forms.EXT_COMPLEX, struct.pack("<2d", v.real, v.imag))),
    datetime.datetime: lambda w, v: w.parts.append(forms.timestamp(v)),
    datetime.timedelta: lambda w, v: w.parts.append(forms.duration(v)),
    array.array: Writer.put_stdlib_array,
    BaseException: lambda w, v: w.parts.append(forms.error_text(v)),
}
_BASES = (int, float, str, bytes, bytearray, list, tuple, dict, complex, datetime.datetime, datetime.timedelta, array.array, BaseException)


def encode(value: object) -> tuple[bytes, list[Buffer], list[bytes]]:
    """Return a value's metadata, buffers and refs.

    The buffers may alias the value's memory, which must not change until they were sent. A value that has no portable
    form is a `NotPortableError` with the path to the culprit.
    """
    w = Writer()
    try:
        w.write(value)
    except NotPortableError as e:
        raise NotPortableError(e.reason, e.path or culprit(value)) from None
    return b"".join(w.parts), w.buffers, w.refs


def culprit(value: object) -> str:
    """Return the path to the first part of a value that has no portable form, for an error message."""
    path = ""
    for _ in range(forms.DEPTH_MAX):
        for step, part in _parts(value):
            try:
                Writer().write(part)
            except NotPortableError:
                path += step
                value = part
                break
        else:
            return path
    return path[:200] + " …"


def _parts(value: Any) -> Iterable[tuple[str, object]]:
    if isinstance(value, dict):
        for k, v in value.items():
            yield f"[key {k!r}]", k
            yield f"[{k!r}]", v
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            yield f"[{i}]", v
    elif hasattr(type(value), "__dataclass_fields__"):
        for name in type(value).__dataclass_fields__:
            yield f".{name}", getattr(value, name, None)
