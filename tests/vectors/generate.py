"""Write values.json: examples of docs/values.md, encoded by a second, independent implementation.

It favours clearness over speed and uses the standard library only. Run it without arguments to write the file, with
--check to compare.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_name("values.json")

DTYPES = {
    name: number
    for number, name in enumerate(
        "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 bfloat16 float32 float64 complex64 complex128".split(),
        start=1,
    )
}


def uvarint(n: int) -> bytes:
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def head(n: int, *forms: tuple[int, int]) -> bytes:
    """Return the first of the (first byte, bytes of the length) forms that n fits into."""
    for first, width in forms:
        if n < 1 << 8 * width:
            return bytes([first]) + n.to_bytes(width, "big")
    raise ValueError(n)


def integer(n: int) -> bytes:
    if 0 <= n < 128 or -32 <= n < 0:
        return (n & 0xFF).to_bytes(1, "big")
    if n >= 0:
        forms, signed = ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)), False
    else:
        forms, signed = ((0xD0, 1), (0xD1, 2), (0xD2, 4), (0xD3, 8)), True
    for first, width in forms:
        try:
            return bytes([first]) + n.to_bytes(width, "big", signed=signed)
        except OverflowError:
            continue
    width = 1
    while not -(1 << 8 * width - 1) <= n < 1 << 8 * width - 1:
        width += 1
    return ext(7, n.to_bytes(width, "little", signed=True))


def ext(code: int, payload: bytes) -> bytes:
    fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}
    if len(payload) in fixed:
        start = bytes([fixed[len(payload)]])
    else:
        start = head(len(payload), (0xC7, 1), (0xC8, 2), (0xC9, 4))
    return start + struct.pack("b", code) + payload


def text(s: str) -> bytes:
    b = s.encode()
    if len(b) < 32:
        return bytes([0xA0 | len(b)]) + b
    return head(len(b), (0xD9, 1), (0xDA, 2), (0xDB, 4)) + b


def binary(b: bytes) -> bytes:
    return head(len(b), (0xC4, 1), (0xC5, 2), (0xC6, 4)) + b


def array_head(n: int) -> bytes:
    return bytes([0x90 | n]) if n < 16 else head(n, (0xDC, 2), (0xDD, 4))


def map_head(n: int) -> bytes:
    return bytes([0x80 | n]) if n < 16 else head(n, (0xDE, 2), (0xDF, 4))


def timestamp(seconds: int, nanoseconds: int) -> bytes:
    if 0 <= seconds < 1 << 32 and nanoseconds == 0:
        return ext(-1, struct.pack(">I", seconds))
    if 0 <= seconds < 1 << 34:
        return ext(-1, struct.pack(">Q", nanoseconds << 34 | seconds))
    return ext(-1, struct.pack(">Iq", nanoseconds, seconds))


class Writer:
    """Encodes one value in the notation of README.md."""

    def __init__(self) -> None:
        self.buffers: list[bytes] = []
        self.refs = b""

    def buffer(self, b: bytes) -> bytes:
        self.buffers.append(b)
        return struct.pack("<I", len(self.buffers) - 1)

    def ref(self, id_hex: str) -> bytes:
        self.refs += bytes.fromhex(id_hex)
        return struct.pack("<I", len(self.refs) // 20 - 1)

    def bytes(self, b: bytes, *, key: bool = False) -> bytes:
        return ext(1, self.buffer(b)) if len(b) >= 4096 and not key else binary(b)

    def array(self, v: dict[str, Any]) -> bytes:
        data = bytes.fromhex(v["data"])
        start = bytes([DTYPES[v["dtype"]], len(v["shape"])]) + b"".join(map(uvarint, v["shape"]))
        return ext(3, start + self.buffer(data)) if len(data) >= 1024 else ext(4, start + data)

    def encode(self, value: dict[str, Any], *, key: bool = False) -> bytes:
        ((kind, v),) = value.items()
        match kind:
            case "nil":
                return b"\xc0"
            case "bool":
                return b"\xc3" if v else b"\xc2"
            case "int":
                return integer(int(v))
            case "float64":
                return b"\xcb" + struct.pack(">d", float(v))
            case "float32":
                return b"\xca" + struct.pack(">f", float(v))
            case "text":
                b = v.encode()
                return ext(2, self.buffer(b)) if len(b) >= 4096 and not key else text(v)
            case "bytes":
                return self.bytes(bytes.fromhex(v), key=key)
            case "list":
                return array_head(len(v)) + b"".join(self.encode(x) for x in v)
            case "map":
                entries = sorted((self.encode(k, key=True), x) for k, x in v) if v else []
                return map_head(len(v)) + b"".join(k + self.encode(x) for k, x in entries)
            case "array":
                return self.array(v)
            case "complex128":
                return ext(8, struct.pack("<2d", *map(float, v)))
            case "complex64":
                return ext(8, struct.pack("<2f", *map(float, v)))
            case "time":
                return timestamp(int(v["seconds"]), v["nanoseconds"])
            case "duration":
                return ext(9, struct.pack("<q", int(v)))
            case "error":
                return ext(10, v.encode())
            case "ref":
                return ext(5, self.ref(v))
            case "actor":
                return ext(6, self.ref(v["id"]) + v["class"].encode())
            case "protobuf":
                return ext(11, array_head(2) + text(v["name"]) + self.bytes(bytes.fromhex(v["data"])))
            case "pickle":
                stream = self.bytes(bytes.fromhex(v["stream"]))
                numbers = [int.from_bytes(self.buffer(bytes.fromhex(b)), "little") for b in v["buffers"]]
                payload = array_head(3) + text(v["type"]) + stream + array_head(len(numbers))
                return ext(12, payload + b"".join(map(integer, numbers)))
        raise ValueError(kind)


def stored(meta: bytes, buffers: list[bytes], refs: bytes) -> bytes:
    out = b"".join(struct.pack("<Q", len(b)) for b in buffers) + refs + meta
    for b in buffers:
        out += bytes(-len(out) % 64) + b
    counts = struct.pack("<QQII", 64 + len(out), len(meta), len(buffers), len(refs) // 20)
    return b"MOBULAV\x01" + counts + bytes(32) + out


# Names and values that every codec must encode to exactly the bytes, and read back.
OBJECT = "000102030405060708090a0b0c0d0e0f00000003"
ACTOR = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff00000000"


def integers() -> list[tuple[str, dict[str, Any]]]:
    edges = [0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**127]
    edges += [-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63), -(2**63) - 1, -(2**64), -(2**127)]
    return [(f"integer {n}", {"int": str(n)}) for n in edges]


def ints(*numbers: int) -> str:
    return b"".join(struct.pack("<q", n) for n in numbers).hex()


VALUES: list[tuple[str, dict[str, Any]]] = [
    ("nil", {"nil": None}),
    ("true", {"bool": True}),
    ("false", {"bool": False}),
    *integers(),
    *[(f"float {s}", {"float64": s}) for s in ("0.0", "-0.0", "1.0", "1.5", "inf", "-inf", "1e300")],
    ("32-bit float", {"float32": "0.5"}),
    ("empty text", {"text": ""}),
    ("text of three scripts", {"text": "Grüße, 世界 🐟"}),
    *[(f"text of {n} bytes", {"text": "x" * n}) for n in (31, 32, 255, 256, 4095)],
    ("text of 4096 bytes is a buffer", {"text": "ö" * 2048}),
    ("empty bytes", {"bytes": ""}),
    *[(f"{n} bytes", {"bytes": "ab" * n}) for n in (1, 255, 256, 4095)],
    ("4096 bytes are a buffer", {"bytes": "cd" * 4096}),
    ("empty list", {"list": []}),
    ("list of 15", {"list": [{"bool": True}] * 15}),
    ("list of 16", {"list": [{"nil": None}] * 16}),
    ("arguments of a call: two integers", {"list": [{"int": "1"}, {"int": "100000"}]}),
    ("arguments of a call: a ref that the node resolves, and text", {"list": [{"nil": None}, {"text": "x"}]}),
    ("empty map", {"map": []}),
    ("keys in the order of their encoded bytes: shorter text first", {"map": [
        [{"text": "b"}, {"int": "1"}], [{"text": "aa"}, {"int": "2"}], [{"text": "a"}, {"int": "3"}], [{"text": ""}, {"int": "4"}],
        [{"text": "k" * 32}, {"int": "5"}]]}),
    ("keys of several types", {"map": [
        [{"text": "x"}, {"int": "1"}], [{"int": "-1"}, {"int": "2"}], [{"int": "300"}, {"int": "3"}], [{"bool": True}, {"int": "4"}],
        [{"float64": "1.5"}, {"int": "5"}]]}),
    ("a long key is not a buffer", {"map": [[{"text": "k" * 5000}, {"nil": None}]]}),
    ("map of 16", {"map": [[{"text": f"k{i}"}, {"int": str(i)}] for i in range(16)]}),
    ("struct within a struct", {"map": [
        [{"text": "Name"}, {"text": "a"}], [{"text": "Inner"}, {"map": [[{"text": "X"}, {"int": "1"}], [{"text": "Y"}, {"nil": None}]]}]]}),
    ("array of three float64", {"array": {"dtype": "float64", "shape": [3], "data": struct.pack("<3d", 1, 2.5, -3).hex()}}),
    ("array without elements", {"array": {"dtype": "int32", "shape": [0], "data": ""}}),
    ("array without dimensions", {"array": {"dtype": "uint8", "shape": [], "data": "07"}}),
    ("array of two dimensions", {"array": {"dtype": "float16", "shape": [2, 3], "data": "000102030405060708090a0b"}}),
    ("array with an empty dimension", {"array": {"dtype": "int64", "shape": [0, 300], "data": ""}}),
    ("array of 127 int64 is inline", {"array": {"dtype": "int64", "shape": [127], "data": ints(*range(127))}}),
    ("array of 128 int64 is a buffer", {"array": {"dtype": "int64", "shape": [128], "data": ints(*range(128))}}),
    *[(f"array of {t}", {"array": {"dtype": t, "shape": [1], "data": "01" + "00" * (size - 1)}}) for t, size in (
        ("bool", 1), ("int8", 1), ("int16", 2), ("uint16", 2), ("int32", 4), ("uint32", 4), ("uint64", 8), ("bfloat16", 2),
        ("float32", 4), ("complex64", 8), ("complex128", 16))],
    ("complex number", {"complex128": ["1.5", "-2.0"]}),
    ("complex number of 32-bit floats", {"complex64": ["0.5", "1.0"]}),
    *[(f"time {s}.{n:09}", {"time": {"seconds": str(s), "nanoseconds": n}}) for s, n in (
        (0, 0), (2**32 - 1, 0), (2**32, 0), (1, 1), (2**34 - 1, 999_999_999), (2**34, 0), (-1, 0), (-62135596800, 0))],
    ("duration", {"duration": "1500000000"}),
    ("negative duration", {"duration": "-1"}),
    ("error", {"error": "no such file"}),
    ("ref", {"ref": OBJECT}),
    ("actor handle", {"actor": {"id": ACTOR, "class": "optim.ParameterServer"}}),
    ("refs are numbered in the order of the sorted map", {"map": [
        [{"text": "b"}, {"ref": OBJECT}], [{"text": "a"}, {"actor": {"id": ACTOR, "class": "C"}}], [{"text": "c"}, {"ref": OBJECT}]]}),
    ("buffers are numbered in the order of the sorted map", {"map": [
        [{"text": "b"}, {"bytes": "01" * 4096}], [{"text": "a"}, {"bytes": "02" * 4096}]]}),
    ("protobuf message", {"protobuf": {"name": "google.protobuf.Duration", "data": "0805"}}),
    ("protobuf message in a buffer", {"protobuf": {"name": "google.protobuf.BytesValue", "data": "0a8320" + "00" * 4099}}),
]

# Valid forms that a writer does not choose.
LONGER: list[tuple[str, dict[str, Any], bytes]] = [
    ("5 in 16 bits", {"int": "5"}, b"\xcd\x00\x05"),
    ("5 in signed 64 bits", {"int": "5"}, b"\xd3" + struct.pack(">q", 5)),
    ("-1 in 8 bits", {"int": "-1"}, b"\xd0\xff"),
    ("text with a 32-bit length", {"text": "a"}, b"\xdb\x00\x00\x00\x01a"),
    ("list with a 16-bit length", {"list": [{"nil": None}]}, b"\xdc\x00\x01\xc0"),
    ("map out of order", {"map": [[{"text": "a"}, {"int": "1"}], [{"text": "b"}, {"int": "2"}]]}, b"\x82\xa1b\x02\xa1a\x01"),
    ("time 0 in 96 bits", {"time": {"seconds": "0", "nanoseconds": 0}}, ext(-1, bytes(12))),
    ("5 as a large integer", {"int": "5"}, ext(7, b"\x05\x00")),
    ("ref in an 8-bit extension", {"ref": OBJECT}, b"\xc7\x04\x05" + bytes(4)),
]

PICKLES = [
    ("Python object", {"pickle": {"type": "__main__.Model", "stream": "80054e2e", "buffers": []}}),
    ("Python object with buffers", {"pickle": {"type": "numpy.matrix", "stream": "80" * 5000, "buffers": ["01", "02"]}}),
]

MALFORMED: list[tuple[str, bytes, list[bytes]]] = [
    ("nothing", b"", []),
    ("a byte that MessagePack does not use", b"\xc1", []),
    ("half an integer", b"\xcd\x01", []),
    ("text cut short", b"\xa5a", []),
    ("list cut short", b"\x92\x01", []),
    ("list of four billion", b"\xdd\xff\xff\xff\xff\xc0", []),
    ("map of four billion", b"\xdf\xff\xff\xff\xff\xc0\xc0", []),
    ("extension cut short", b"\xc9\xff\xff\xff\xff\x01\x00", []),
    ("more elements than bytes, in two lists", b"\x92\x93\xc0\xc0\xc0", []),
    ("a second value", b"\x01\x02", []),
    ("nested too deep", b"\x91" * 1001 + b"\xc0", []),
    ("a buffer that is not there", ext(1, bytes(4)), []),
    ("a buffer mentioned twice", b"\x92" + ext(1, bytes(4)) * 2, [b"x"]),
    ("a buffer number of one byte", ext(1, b"\x00"), [b"x"]),
    ("a ref that is not there", ext(5, bytes(4)), []),
    ("array of an unknown element type", ext(4, b"\x63\x01\x00"), []),
    ("array of 33 dimensions", ext(4, b"\x02\x21" + b"\x01" * 33 + b"\x00"), []),
    ("array shorter than its shape", ext(4, b"\x02\x01\x03\x00\x00"), []),
    ("array whose size overflows", ext(4, b"\x0d\x02" + uvarint(2**63 - 1) * 2), []),
    ("array with a long dimension", ext(4, b"\x02\x01\x81\x00\x07"), []),
    ("array of one bool that is two", ext(4, b"\x01\x01\x01\x02"), []),
    ("complex number of four bytes", ext(8, bytes(4)), []),
    ("time with too many nanoseconds", ext(-1, b"\xff" * 8), []),
    ("time of two bytes", ext(-1, bytes(2)), []),
    ("large integer without bytes", ext(7, b""), []),
    ("duration of four bytes", ext(9, bytes(4)), []),
    ("protobuf message without a name", ext(11, b"\x90"), []),
    ("protobuf message with bytes left over", ext(11, b"\x92" + text("google.protobuf.Duration") + b"\xc4\x00\xc0"), []),
    ("Python object without a name", ext(12, b"\x91\x01"), []),
]


def vector(name: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    w = Writer()
    meta = w.encode(value)
    return {"name": name, "value": value, "meta": meta.hex(), "buffers": [b.hex() for b in w.buffers], "refs": w.refs.hex(), **more}


def stored_vectors() -> list[dict[str, Any]]:
    out = []
    for name, meta, buffers, refs in (
        ("nothing but metadata", b"\xc0", [], b""),
        ("one of each", b"\x01", [b"abc"], bytes.fromhex(OBJECT)),
        ("empty and long buffers", b"\x90" * 7, [b"", bytes(range(100)), b"", b"x"], bytes.fromhex(OBJECT + ACTOR)),
        ("a buffer of exactly one line", b"", [bytes(64), b"y"], b""),
    ):
        parts = {"meta": meta.hex(), "buffers": [b.hex() for b in buffers], "refs": refs.hex()}
        out.append({"name": name, **parts, "stored": stored(meta, buffers, refs).hex()})
    return out


def broken_blocks() -> list[dict[str, str]]:
    good = stored(b"\x01", [b"abc"], bytes.fromhex(OBJECT))

    def patched(offset: int, new: bytes) -> str:
        return (good[:offset] + new + good[offset + len(new) :]).hex()

    most = b"\xff" * 8
    return [
        {"name": "empty", "stored": ""},
        {"name": "half a header", "stored": good[:40].hex()},
        {"name": "cut short", "stored": good[:-1].hex()},
        {"name": "a byte too many", "stored": (good + b"\x00").hex()},
        {"name": "version 2", "stored": patched(7, b"\x02")},
        {"name": "a reserved byte", "stored": patched(63, b"\x01")},
        {"name": "endless metadata", "stored": patched(16, most)},
        {"name": "four billion buffers", "stored": patched(24, most[:4])},
        {"name": "four billion refs", "stored": patched(28, most[:4])},
        {"name": "endless buffer", "stored": patched(64, most)},
        {"name": "buffer a byte too short", "stored": patched(64, b"\x02")},
    ]


def document() -> str:
    values = [vector(name, value) for name, value in VALUES]
    for name, value, meta in LONGER:
        v = vector(name, value, decode_only=True)
        values.append(v | {"meta": meta.hex()})
    values += [vector(name, v, decode_only=True, not_portable=v["pickle"]["type"]) for name, v in PICKLES]
    malformed = [{"name": n, "meta": m.hex(), "buffers": [b.hex() for b in bs], "refs": ""} for n, m, bs in MALFORMED]
    sections = {"values": values, "malformed": malformed, "stored": stored_vectors(), "stored_malformed": broken_blocks()}
    lines = [
        f'"{section}": [\n' + ",\n".join(json.dumps(v, ensure_ascii=False) for v in vectors) + "\n]"
        for section, vectors in sections.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> int:
    new = document()
    if sys.argv[1:] == ["--check"]:
        same = OUT.exists() and OUT.read_text(encoding="utf-8") == new
        print("values.json is up to date" if same else "values.json is stale: run tests/vectors/generate.py")
        return 0 if same else 1
    OUT.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
