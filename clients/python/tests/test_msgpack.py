"""The portable form of values: the vectors that all languages share, hostile bytes, and random values."""

from __future__ import annotations

import array
import dataclasses
import datetime
import enum
import json
import pickle
import random
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobula import _msgpack, _values
from mobula._msgpack import FormatError, NotPortableError, decode, encode, forms, reader
from mobula.exceptions import RaySystemError

VECTORS: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parents[3] / "tests" / "vectors" / "values.json").read_text(encoding="utf-8"))
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Ref:
    """Stands for a ref or an actor handle, whose module is not there."""

    def __init__(self, object_id: bytes, class_name: str | None = None) -> None:
        self.wire = object_id, class_name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.wire == self.wire

    def __hash__(self) -> int:
        return hash(self.wire)


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_msgpack.HOOKS, "is_ref", (Ref,))
    monkeypatch.setattr(_msgpack.HOOKS, "to_wire", lambda r: r.wire)
    monkeypatch.setattr(_msgpack.HOOKS, "from_wire", Ref)


def python_value(notation: dict[str, Any]) -> Any:
    """Return the Python value that a vector writes down."""
    ((kind, v),) = notation.items()
    match kind:
        case "int":
            return int(v)
        case "float64":
            return float(v)
        case "float32":
            return np.float32(v)
        case "bytes":
            return bytes.fromhex(v)
        case "list":
            return [python_value(x) for x in v]
        case "map":
            return {python_value(k): python_value(x) for k, x in v}
        case "array":
            return python_array(v["dtype"], v["shape"], bytes.fromhex(v["data"]))
        case "complex128":
            return complex(*map(float, v))
        case "complex64":
            return np.complex64(complex(*map(float, v)))
        case "time":
            t = EPOCH + datetime.timedelta(seconds=int(v["seconds"]), microseconds=v["nanoseconds"] // 1000)
            return forms.nano_time(t, v["nanoseconds"] % 1000) if v["nanoseconds"] % 1000 else t
        case "duration":
            microseconds, rest = divmod(int(v), 1000)
            t = datetime.timedelta(microseconds=microseconds)
            return forms.nano_duration(t.days, t.seconds, t.microseconds, rest) if rest else t
        case "error":
            return ValueError(v)
        case "ref":
            return Ref(bytes.fromhex(v))
        case "actor":
            return Ref(bytes.fromhex(v["id"]), v["class"])
        case "protobuf":
            return protobuf_value(v["name"], bytes.fromhex(v["data"]))
    return v


def python_array(dtype: str, shape: list[int], data: bytes) -> Any:
    if dtype == "bfloat16":
        return _msgpack.Array(dtype, tuple(shape), memoryview(data))
    return np.frombuffer(data, dtype=np.dtype(dtype)).reshape(shape) if data else np.empty(shape, dtype)


def protobuf_value(name: str, data: bytes) -> Any:
    from google.protobuf import duration_pb2, wrappers_pb2

    made = {
        "google.protobuf.Duration": duration_pb2.Duration,
        "google.protobuf.BytesValue": wrappers_pb2.BytesValue,
    }[name]()
    made.ParseFromString(data)
    return made


def same(a: Any, b: Any) -> bool:
    """Report whether a value was read back as it was."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, _msgpack.Array):
        return isinstance(b, _msgpack.Array) and a[:2] == b[:2] and bytes(a.data) == bytes(b.data)
    if isinstance(a, BaseException):
        return isinstance(b, _msgpack.RemoteError) and str(a) == str(b)
    if isinstance(a, (list, tuple)):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, float) and not isinstance(a, np.generic):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, (_msgpack.Time, _msgpack.Duration)):
        return a == b and type(a) is type(b) and a.nanosecond == b.nanosecond
    return bool(a == b) and (isinstance(a, np.generic) or type(a) is type(b))


def of(section: str, chosen: Callable[[dict[str, Any]], bool] = lambda v: True) -> Any:
    vectors = [v for v in VECTORS[section] if chosen(v)]
    return pytest.mark.parametrize("vector", vectors, ids=[v["name"] for v in vectors])


def parts(vector: dict[str, Any]) -> tuple[bytes, list[bytes], list[bytes]]:
    return (
        bytes.fromhex(vector["meta"]),
        [bytes.fromhex(b) for b in vector["buffers"]],
        _values.split_refs(bytes.fromhex(vector["refs"])),
    )


@of("values", lambda v: not v.get("decode_only"))
def test_encodes_each_vector_to_exactly_its_bytes(vector: dict[str, Any]) -> None:
    meta, buffers, refs = encode(python_value(vector["value"]))
    assert (meta, [bytes(b) for b in buffers], refs) == parts(vector)


@of("values", lambda v: "not_portable" not in v)
def test_reads_each_vector_back(vector: dict[str, Any]) -> None:
    assert same(python_value(vector["value"]), decode(*parts(vector)))


@of("malformed")
def test_refuses_malformed_vectors(vector: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        decode(*parts(vector))


def test_opens_the_python_objects_of_the_vectors() -> None:
    plain, broken = (v for v in VECTORS["values"] if "not_portable" in v)
    assert decode(*parts(plain)) is None
    with pytest.raises(RaySystemError):  # its stream is none
        decode(*parts(broken))


def test_opens_python_objects_with_their_buffers() -> None:
    w = _msgpack.Writer()
    value = np.arange(1000.0)
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps({"a": value}, 5, buffer_callback=buffers.append)
    payload = b"\x93" + forms.short_text(b"builtins.dict") + forms.short_bytes(stream) + b"\x91\x00"
    w.parts.append(forms.extension(forms.EXT_PICKLE, payload))
    read = decode(b"".join(w.parts), [b.raw() for b in buffers])
    assert isinstance(read, dict)
    np.testing.assert_array_equal(read["a"], value)


# What only Python has.


@dataclasses.dataclass
class Point:
    x: int
    y: list[int]


class Color(enum.IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (Point(1, [2]), {"x": 1, "y": [2]}),
        (Color.RED, 3),
        ((1, (2,)), [1, [2]]),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (np.int32(7), 7),
        (np.bool_(True), True),
        (np.float64(1.5), 1.5),
        ({(1, "a"): 2}, {(1, "a"): 2}),
        ({b"k": 1, None: 2, 1.5: 3}, {b"k": 1, None: 2, 1.5: 3}),
    ],
)
def test_writes_pythons_own_types_in_the_nearest_form(value: object, read: object) -> None:
    assert decode(*encode(value)) == read


def test_arrays_of_other_layouts_are_written_in_row_major_order() -> None:
    a = np.arange(600, dtype=np.int16).reshape(20, 30)
    for v in (a.T, a[::2, ::3], a.astype(">i2"), np.asfortranarray(a)):
        read = decode(*encode(v))
        assert isinstance(read, np.ndarray)
        np.testing.assert_array_equal(read, v)
    for v in (array.array("d", [1, 2]), memoryview(array.array("i", [1, 2])), array.array("q")):
        read = decode(*encode(v))
        assert isinstance(read, np.ndarray)
        assert read.tolist() == list(v)


def test_large_arrays_and_bytes_are_not_copied() -> None:
    a = np.zeros(1000)
    _, buffers, _ = encode([a, b"x" * 5000])
    assert np.shares_memory(np.frombuffer(buffers[0], dtype=float), a)
    read = decode(*encode(a))
    assert isinstance(read, np.ndarray)
    meta, _, _ = encode(a)
    shared = bytearray(8000)
    view = decode(meta, [memoryview(shared).toreadonly()])
    assert isinstance(view, np.ndarray)
    assert not view.flags.writeable
    shared[:8] = struct.pack("d", 9.0)
    assert view[0] == 9.0


def test_arrays_are_read_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.setattr(reader, "_numpy_dtypes", {})
    meta, buffers, refs = encode(memoryview(array.array("d", range(6))).cast("B").cast("d", (2, 3)))
    read = decode(meta, buffers, refs)
    assert isinstance(read, memoryview)
    assert read.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    empty = decode(*encode(array.array("q")))
    assert isinstance(empty, _msgpack.Array)
    assert empty.shape == (0,)


def test_nanoseconds_survive_a_round_trip_and_a_pickle() -> None:
    t = forms.nano_time(datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC), 7)
    d = forms.nano_duration(-1, 2, 3, 4)
    for v in (t, d):
        for again in (decode(*encode(v)), pickle.loads(pickle.dumps(v))):
            assert same(v, again)


def test_times_with_a_zone_name_the_same_moment() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    t = datetime.datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=zone)
    assert decode(*encode(t)) == t


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"a": [1, {2, 3}]}, "['a'][1]", "send a list"),
        ([lambda: 0], "[0]", "code is not portable"),
        (Point(1, [object()]), ".y[0]", "no portable form"),  # type: ignore[list-item]
        ("\ud800", "", "surrogate"),
        ({"t": datetime.datetime(2026, 1, 1)}, "['t']", "time zone"),
        (datetime.timedelta(days=200_000), "", "292 years"),
        ([np.array(["a"])], "[0]", "no plain numbers"),
        ({Ref(bytes(20)): 1}, "", "key"),
        ({1: 1, np.int64(2): object()}, "[np.int64(2)]", "no portable form"),
    ],
)
def test_refuses_what_has_no_portable_form_with_the_path(value: object, path: str, reason: str) -> None:
    with pytest.raises(NotPortableError) as e:
        encode(value)
    assert reason in str(e.value)
    assert e.value.path.startswith(path)


def test_nests_a_thousand_levels_and_no_more() -> None:
    value: Any = 0
    for _ in range(1000):
        value = [value]
    meta, _, _ = encode(value)
    read: Any = decode(meta)
    for _ in range(1000):
        (read,) = read
    assert read == 0
    with pytest.raises(NotPortableError, match="1,000 levels"):
        encode([value])
    with pytest.raises(FormatError, match="1,000 levels"):
        decode(b"\x91" + meta)
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(NotPortableError, match="holds itself"):
        encode(cycle)


@pytest.mark.parametrize(
    "meta",
    [
        b"\xdd\x7f\xff\xff\xff" + bytes(100),
        b"\x92\xdc\x00\x09" + bytes(9),
        forms.extension(forms.EXT_INLINE, b"\x08\x02\x00" + forms.uvarint(2**62)),
        forms.extension(forms.EXT_INLINE, b"\x08\x20" + forms.uvarint(2**62) * 31 + b"\x00"),
        b"\x82\x01\x01\xc3\x02",  # 1 and True are one key in Python: no entry is dropped without a word
        b"\xa2\xff\xff",
        forms.extension(forms.EXT_TIME, struct.pack(">Iq", 0, 2**62)),
        forms.extension(forms.EXT_PICKLE, b"\x93\xa1x\xc4\x00\x91\x05"),
        forms.extension(forms.EXT_PROTO, b"\x92\xa3a.b\xc4\x00"),
        forms.extension(forms.EXT_PROTO, b"\x91" * 2000),
        forms.extension(forms.EXT_ACTOR, b"\x00\x00\x00\x00" + b"x" * 5000),
        b"\xc7\x00\x63",
    ],
)
def test_refuses_hostile_metadata(meta: bytes) -> None:
    with pytest.raises(FormatError):
        decode(meta, [], [bytes(20)])


# Random values and random bytes.


def random_value(r: random.Random, depth: int = 0) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: r.random() < 0.5,
        lambda: r.randrange(-300, 300),
        lambda: r.choice((-1, 1)) * r.getrandbits(r.choice((7, 8, 16, 31, 32, 63, 64, 65, 200))),
        lambda: struct.unpack("d", r.randbytes(8))[0],
        lambda: "".join(r.choice("ab√🐟\0") for _ in range(r.choice((0, 3, 31, 32, 300, 4095)))),
        lambda: r.randbytes(r.choice((0, 1, 255, 256, 4095, 4096, 70_000))),
        lambda: EPOCH + datetime.timedelta(microseconds=r.randrange(-(10**16), 10**17)),
        lambda: datetime.timedelta(microseconds=r.randrange(-(10**15), 10**15)),
        lambda: complex(r.random(), r.random()),
        lambda: Ref(r.randbytes(20), r.choice((None, "m.C"))),
        lambda: np.frombuffer(r.randbytes(r.choice((0, 8, 1016, 1024, 4096))), dtype=r.choice(("<i4", "<u8", "<f4", "|i1"))),
        lambda: np.frombuffer(r.randbytes(240), dtype="<i2").reshape(r.choice(((2, 60), (5, 4, 6), (120, 1)))),
    ]
    if depth < 4:
        kinds += [
            lambda: [random_value(r, depth + 1) for _ in range(r.choice((0, 1, 5, 16, 20)))],
            lambda: {random_key(r): random_value(r, depth + 1) for _ in range(r.choice((0, 1, 5, 20)))},
        ] * 3
    return r.choice(kinds)()


def random_key(r: random.Random) -> Any:
    return r.choice(
        [
            lambda: r.randrange(-1000, 1000),
            lambda: "k" * r.randrange(5000),
            lambda: r.randbytes(r.randrange(6)),
            lambda: (r.randrange(9), "x"),
            lambda: EPOCH + datetime.timedelta(seconds=r.randrange(10**9)),
        ]
    )()


def test_random_values_are_read_back_and_equal_values_are_equal_bytes() -> None:
    for seed in range(400):
        value = random_value(random.Random(seed))
        meta, buffers, refs = encode(value)
        assert same(value, decode(meta, buffers, refs)), seed
        assert all(len(b) >= forms.ARRAY_OUT_OF_BAND for b in buffers)
        if isinstance(value, dict):
            shuffled = list(value.items())
            random.Random(seed).shuffle(shuffled)
            again = encode(dict(shuffled))
            assert (again[0], [bytes(b) for b in again[1]], again[2]) == (meta, [bytes(b) for b in buffers], refs)


def mutations(r: random.Random, meta: bytes) -> Iterator[bytes]:
    for _ in range(30):
        b = bytearray(meta)
        for _ in range(r.choice((1, 1, 2, 8))):
            at = r.randrange(len(b) + 1)
            match r.randrange(4):
                case 0:
                    del b[at : at + r.randrange(9)]
                case 1:
                    b[at:at] = r.randbytes(r.randrange(1, 6))
                case _:
                    b[at : at + 1] = bytes([r.choice((0xC7, 0xC9, 0xD6, 0xDC, 0xDD, 0xDF, 0x91, 0x81, r.randrange(256)))])
        yield bytes(b)


def test_random_bytes_are_refused_or_read_and_nothing_else() -> None:
    refused = read = 0
    pool = [parts(v) for v in VECTORS["values"] if "not_portable" not in v]
    for seed in range(1500):
        r = random.Random(seed)
        meta, buffers, refs = r.choice(pool)
        for mutated in mutations(r, meta):
            try:
                decode(mutated, buffers, refs)
                read += 1
            except FormatError:
                refused += 1
    assert refused > 1000
    assert read > 1000
