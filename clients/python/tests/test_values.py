"""Values between Python processes: what is sent how, without copies, and what the errors say."""

from __future__ import annotations

import dataclasses
import decimal
import functools
import importlib
import io
import pickle
import subprocess
import sys
import textwrap
import threading
import types
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from mobula import _msgpack, _values
from mobula._context import process
from mobula._values import MSGPACK, PICKLE5, Packed, pack, pack_args, pack_definition, unpack, unpack_args
from mobula.exceptions import OufOfBandObjectRefSerializationException, RaySystemError


class Ref:
    """Stands for an ObjectRef."""

    def __init__(self, object_id: bytes) -> None:
        self.id = object_id

    def __reduce__(self) -> tuple[Any, ...]:
        return _values.load_ref, (_values.collect_ref(self.id, self),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.id == self.id

    __hash__ = None  # type: ignore[assignment]


class SubRef(Ref):
    pass


class Handle:
    """Stands for an ActorHandle."""

    def __init__(self, object_id: bytes, description: str) -> None:
        self.id = object_id
        self.description = description

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_handle, (_values.collect_ref(self.id, self), self.description)


def _load_handle(number: int | bytes, description: str) -> Handle:
    return Handle(_values.ref_at(number), description)


def to_wire(v: Any) -> tuple[bytes, str | None]:
    return (v.id, None) if isinstance(v, Ref) else (v.id, "C")


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the stand-ins, and afterwards what was there before."""
    before = _msgpack.HOOKS.is_ref, _msgpack.HOOKS.to_wire, _msgpack.HOOKS.from_wire
    kinds, arguments = dict(_values.kinds.KINDS), list(_values.kinds.arguments)
    _values.ref_hooks((Ref, Handle), to_wire, lambda i, name: Ref(i) if name is None else Handle(i, name), Ref)
    yield
    _msgpack.HOOKS.is_ref, _msgpack.HOOKS.to_wire, _msgpack.HOOKS.from_wire = before
    _values.kinds.KINDS.clear()
    _values.kinds.KINDS.update(kinds)
    _values.kinds.arguments[:] = arguments


def there_and_back(value: object) -> Any:
    p = pack(value)
    return unpack(p.format, p.meta, [memoryview(b).toreadonly() for b in p.buffers], p.refs)


Named = namedtuple("Named", "a b")


@dataclasses.dataclass
class Data:
    x: int
    y: Any = None


VALUES: list[Any] = [
    None,
    True,
    0,
    -(2**70),
    1.5,
    float("inf"),
    1j,
    "",
    "ö" * 5000,
    "\ud800",
    b"",
    b"x" * 5000,
    bytearray(3),
    bytearray(b"ab" * 5000),
    (),
    (1, "a", b"b", None),
    [],
    [[1], {"a": (2,)}],
    {"a": 1, 2: {3}},
    {1, 2},
    frozenset("ab"),
    Ellipsis,
    range(3),
    slice(1, 2),
    Named(1, 2),
    Data(1, [Data(2)]),
    OrderedDict(a=1),
    decimal.Decimal("1.5"),
    Path("/x"),
    int,
    len,
    types,
    types.SimpleNamespace(a=1),
    complex,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: repr(v)[:20])
def test_values_come_back_as_they_were(value: object) -> None:
    for again in (there_and_back(value), there_and_back([value])[0], unpacked_args((value,), {"k": value})[1]):
        assert again == value
        assert type(again) is type(value)


def unpacked_args(args: tuple[object, ...], kwargs: dict[str, object]) -> list[object]:
    p, _, _ = pack_args(args, kwargs)
    return unpack_args(p.format, p.meta, p.buffers, p.refs)


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "text", b"bytes", np.arange(9.0)])
def test_plain_values_and_arrays_on_top_are_portable_by_themselves(value: object) -> None:
    assert pack(value).format == MSGPACK
    assert pack([value]).format == PICKLE5
    assert pack([value], portable=True).format == MSGPACK


def arrays() -> list[Any]:
    a = np.arange(24).reshape(2, 3, 4)
    structured = np.zeros(3, dtype=[("x", "<i4"), ("y", "<f8")])
    return [
        a,
        a.T,
        a[::2, ::2],
        a.astype(">i4"),
        a.astype("f2"),
        a > 3,
        np.asfortranarray(a.astype("f8")),
        np.array(5),
        np.zeros((0, 3)),
        structured,
        np.array(["a", "bc"]),
        np.array([1, "x", None], dtype=object),
        np.array(["2026-01-01"], dtype="datetime64[ns]"),
        np.ma.masked_array([1, 2], [True, False]),
        np.float32(1.5),
    ]


@pytest.mark.parametrize("value", arrays(), ids=lambda v: f"{type(v).__name__}-{v.dtype}-{v.shape}")
def test_arrays_come_back_as_they_were(value: Any) -> None:
    for again in (there_and_back(value), there_and_back({"k": value})["k"], unpacked_args((), {"k": value})[0]):
        assert type(again) is type(value)
        assert again.dtype == value.dtype
        assert again.shape == value.shape
        assert again.tolist() == value.tolist()
    if value.ndim > 1 and value.flags.forc and type(value) is np.ndarray:
        assert there_and_back([value])[0].flags.c_contiguous == value.flags.c_contiguous


def test_large_parts_stay_out_of_band_and_are_not_copied() -> None:
    a = np.arange(100_000.0)
    for p in (pack(a), pack([a]), pack_args((a,), {})[0], pack(np.asfortranarray(a.reshape(10, -1)))):
        assert len(p.meta) < 300
        assert [len(b) for b in p.buffers] == [a.nbytes]
        assert p.size == len(p.meta) + a.nbytes
    assert np.shares_memory(np.frombuffer(pack([a]).buffers[0], dtype="f8"), a)
    p, _, _ = pack_args((b"x" * 10_000, bytearray(10_000)), {})
    assert [len(b) for b in p.buffers] == [10_000, 10_000]
    assert unpack_args(*p[:4]) == [b"x" * 10_000, bytearray(10_000)]


def test_arrays_are_read_only_views_of_what_they_were_read_from() -> None:
    p = pack([np.zeros(3), np.zeros(1000)])
    store = [bytearray(b) for b in p.buffers]
    small, large = unpack(p.format, p.meta, [memoryview(b).toreadonly() for b in store], [])  # type: ignore[misc]
    store[0][:8] = store[1][:8] = np.float64(9).tobytes()
    for view in (small, large):
        assert view[0] == 9
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1


def test_pandas_and_arrow_go_by_protocol_5() -> None:
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": np.arange(10_000), "b": np.arange(10_000.0), "c": ["x"] * 10_000})
    p = pack(frame)
    assert sum(len(b) for b in p.buffers) >= 160_000
    pd.testing.assert_frame_equal(there_and_back(frame), frame)
    table = pa.table({"a": np.arange(10_000)})
    assert there_and_back(table).equals(table)
    assert len(pack(table).meta) < 5000


def test_torch_tensors_share_memory_with_the_store() -> None:
    torch = pytest.importorskip("torch")
    t = torch.arange(1000.0)
    assert there_and_back({"t": t})["t"].equal(t)


# Refs.

A, B = bytes(range(20)), bytes(20)


def test_refs_inside_values_are_listed_in_order_of_mention() -> None:
    p = pack({"a": [Ref(A), Ref(B)], "again": Ref(A), "handle": Handle(B, "d")})
    assert p.refs == [A, B, A, B]
    assert isinstance(p.keep, list)
    assert len(p.keep) == 4
    read: Any = unpack(*p[:4])
    assert read["a"] == [Ref(A), Ref(B)]
    assert read["handle"].description == "d"
    shared = Ref(A)
    assert pack([shared, shared]).refs == [A]


def test_top_level_refs_are_arguments_for_the_node_to_resolve() -> None:
    packed, refs, names = pack_args((1, Ref(A), [Ref(B)]), {"k": SubRef(B), "x": 2})
    assert refs == [(1, A), (3, B)]
    assert names == ["k", "x"]
    assert packed.refs == [B]
    assert unpack_args(*packed[:4]) == [1, None, [Ref(B)], None, 2]
    packed, refs, _ = pack_args((Ref(A), 1), {}, portable=True)
    assert (packed.format, refs) == (MSGPACK, [(0, A)])
    assert unpack_args(*packed[:4]) == [None, 1]


def test_handles_are_values_not_arguments_to_resolve() -> None:
    packed, refs, _ = pack_args((Handle(A, "d"),), {})
    assert refs == []
    assert packed.refs == [A]


def test_portable_values_hold_refs_too() -> None:
    p = pack({"r": Ref(A), "h": Handle(B, "d")}, portable=True)
    assert (p.format, p.refs) == (MSGPACK, [B, A])
    read: Any = unpack(*p[:4])
    assert read["r"] == Ref(A)


def test_a_ref_in_a_pickle_of_the_user_is_kept() -> None:
    process.kept.clear()
    ref, handle = pickle.loads(pickle.dumps([Ref(A), Handle(B, "d")]))
    assert (ref, handle.id) == (Ref(A), B)
    assert set(process.kept) == {A, B}
    process.kept.clear()


def test_refs_outside_of_values_can_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_allow_out_of_band_object_ref_serialization", "0")
    with pytest.raises(OufOfBandObjectRefSerializationException, match="keep its object alive"):
        pickle.dumps(Ref(A))
    assert process.kept == {}


def test_pickles_of_values_cannot_be_opened_outside_of_values() -> None:
    p = pack([Ref(A)])
    with pytest.raises(pickle.UnpicklingError, match="outside of get"):
        pickle.loads(p.meta)
    with pytest.raises(RaySystemError):
        unpack(p.format, p.meta, [], [])


def test_a_pack_inside_a_pack_keeps_its_refs_to_itself() -> None:
    class Nested:
        def __reduce__(self) -> tuple[Any, ...]:
            inner = pack([Ref(B)])
            assert inner.refs == [B]
            return list, ([Ref(A)],)

    p = pack([Ref(B), Nested(), Ref(B)])
    assert p.refs == [B, A, B]


def test_user_code_may_pickle_refs_while_its_object_is_packed() -> None:
    p = pack(Outer(Ref(A)))
    assert p.refs == [A]
    read: Any = unpack(*p[:4])
    assert read.ref == Ref(A)


class Outer:
    def __init__(self, ref: Ref) -> None:
        self.ref = ref

    def __getstate__(self) -> bytes:
        return pickle.dumps(self.ref)

    def __setstate__(self, state: bytes) -> None:
        self.ref = pickle.loads(state)


def test_threads_pack_refs_side_by_side() -> None:
    wrong: list[Packed] = []

    def work(seed: int) -> None:
        for i in range(300):
            ids = [bytes([seed, i % 256]) * 10] * (i % 7)
            p = pack([Ref(x) for x in ids])
            if p.refs != ids:
                wrong.append(p)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_definition_lists_the_refs_that_it_captured() -> None:
    ref = Ref(A)
    p = pack_definition(lambda: ref)
    assert p.refs == [A]
    assert unpack(*p[:4])() == Ref(A)  # type: ignore[operator]


# Code.


def test_code_that_workers_cannot_import_goes_by_value(tmp_path: Path) -> None:
    """Pack in a program, unpack in another one that has none of its modules."""
    (tmp_path / "helper.py").write_text("def helper(): return 'helper'\nclass Thing: value = 'thing'\n")
    (tmp_path / "main.py").write_text(
        textwrap.dedent(
            """
            import sys, types
            import cloudpickle, helper
            from mobula import _values
            cloudpickle.register_pickle_by_value(helper)
            CONSTANT = 40
            class Base:
                def __init__(self): self.x = 1
            class Model(Base):
                def __init__(self): super().__init__(); self.y = CONSTANT
            def f(a): return a + CONSTANT
            made = types.ModuleType("made_here")
            exec("def g(): return 'g'", made.__dict__)
            sys.modules["made_here"] = made
            p = _values.pack([f, Model(), Model, lambda: f(2), helper.helper, helper.Thing(), made.g])
            assert not p.buffers
            sys.stdout.buffer.write(p.meta)
            """
        )
    )
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "reader.py").write_text(
        textwrap.dedent(
            """
            import sys
            from mobula import _values
            f, model, Model, l, helper, thing, g = _values.unpack(_values.PICKLE5, sys.stdin.buffer.read(), [], [])
            print(f(1), model.x, model.y, type(model) is Model, l(), helper(), thing.value, g())
            """
        )
    )
    environment = {"PYTHONPATH": str(Path(_values.__file__).parents[2])}
    packed = subprocess.run([sys.executable, tmp_path / "main.py"], env=environment, capture_output=True, timeout=60)
    assert packed.returncode == 0, packed.stderr.decode()
    read = subprocess.run(
        [sys.executable, tmp_path / "other" / "reader.py"],
        env=environment,
        cwd=tmp_path / "other",
        input=packed.stdout,
        capture_output=True,
        timeout=60,
    )
    assert read.stdout.decode().split() == "41 1 40 True 42 helper thing g".split(), read.stderr.decode()


def test_a_module_registered_later_goes_by_value_from_then_on() -> None:
    assert b"textwrap" in pack([textwrap.dedent]).meta
    assert len(pack([textwrap.dedent]).meta) < 100
    cloudpickle.register_pickle_by_value(textwrap)
    try:
        assert len(pack([textwrap.dedent]).meta) > 500
    finally:
        cloudpickle.unregister_pickle_by_value(textwrap)
    assert len(pack([textwrap.dedent]).meta) < 100


def test_code_of_a_module_that_was_reloaded_goes_by_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mobula_reloaded.py").write_text("def f(): return 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("mobula_reloaded")
    former = module.f
    assert len(pack([former]).meta) < 100
    importlib.reload(module)
    assert there_and_back([former, module.f])[0]() == 1
    assert len(pack([module.f]).meta) < 100


class Meta(type):
    def __eq__(cls, other: object) -> bool:
        return True

    __hash__ = type.__hash__


class OddClass(metaclass=Meta):
    pass


def test_classes_that_say_they_equal_all_others_are_sent_as_themselves() -> None:
    for _ in range(2):
        assert there_and_back([OddClass])[0] is OddClass
        assert type(there_and_back([OddClass()])[0]) is OddClass


def test_what_libraries_register_with_copyreg_is_honoured() -> None:
    import copyreg

    class Opaque:
        def __reduce_ex__(self, _: object) -> Any:
            raise TypeError("opaque")

    pack([decimal.Decimal(1)])
    copyreg.pickle(Opaque, lambda o: (str, ("opened",)))
    try:
        assert there_and_back([Opaque()]) == ["opened"]
    finally:
        del copyreg.dispatch_table[Opaque]


# Serializers.


class Locked:
    def __init__(self, x: int) -> None:
        self.x = x
        self.lock = threading.Lock()


def test_serializers_of_arrays_come_before_the_shortcuts_for_arrays() -> None:
    pack(np.zeros(1))
    _values.register_serializer(np.ndarray, serializer=lambda a: a.tolist(), deserializer=tuple)
    try:
        assert there_and_back(np.arange(3)) == (0, 1, 2)
        assert unpacked_args((np.arange(3),), {}) == [(0, 1, 2)]
    finally:
        _values.deregister_serializer(np.ndarray)
    assert there_and_back(np.arange(3)).tolist() == [0, 1, 2]


def test_registered_serializers_are_used_until_deregistered() -> None:
    _values.register_serializer(Locked, serializer=lambda o: o.x, deserializer=lambda x: Locked(x + 1))
    try:
        assert there_and_back(Locked(1)).x == 2
        assert there_and_back({"a": [Locked(1)]})["a"][0].x == 2
        assert unpacked_args((Locked(5),), {})[0].x == 6  # type: ignore[attr-defined]
    finally:
        _values.deregister_serializer(Locked)
        _values.deregister_serializer(Locked)
    with pytest.raises(TypeError, match="lock"):
        pack(Locked(1))


# What cannot be sent.


def closure_over(value: object) -> Any:
    return lambda: value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Locked(1), "the value.lock"),
        ({"model": [Locked(1)]}, "the value: ['model'][0].lock"),
        (closure_over(Locked(1)), "the value.value.lock"),
        (functools.partial(print, Locked(1)), "the value.args[0].lock"),
        (Data(1, {"a": (x for x in [])}), "the value.y['a']"),
        (threading.Lock(), "the value"),
        (Locked(1).__init__, "the value.__self__.lock"),  # type: ignore[misc]
    ],
)
def test_what_cannot_be_pickled_is_a_type_error_with_the_path(value: object, path: str) -> None:
    with pytest.raises(TypeError) as e:
        pack(value)
    assert f"Could not serialize {path} (" in str(e.value)
    assert isinstance(e.value.__cause__, TypeError)


def test_the_error_names_the_argument_and_the_function() -> None:
    with pytest.raises(TypeError, match=r"argument 1 of m\.f, its lock \(lock\): cannot pickle"):
        pack_args((1, Locked(1)), {}, function="m.f")
    with pytest.raises(TypeError, match=r"argument config of m\.f, its \['a'\]\.lock \(lock\)"):
        pack_args((1,), {"config": {"a": Locked(1)}}, function="m.f")
    with pytest.raises(_msgpack.NotPortableError, match=r"argument \[0\]\['a'\] of m\.f"):
        pack_args(({"a": {1}},), {}, function="m.f", portable=True)


def test_an_error_of_the_users_own_is_raised_as_it_is_with_a_note() -> None:
    class Stateless:
        def __getstate__(self) -> Any:
            raise OSError("no state")

    with pytest.raises(OSError, match="no state") as e:
        pack([Stateless()])
    assert e.value.__notes__ == ["while the value: [0] was pickled"]


def test_endless_nesting_is_a_clear_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(pickle.PicklingError, match="nests too deep"):
        pack(deep)
    while deep:  # so that dropping it does not recurse either
        deep = deep[0]


def test_a_value_that_cannot_be_unpickled_is_a_system_error_with_the_reason() -> None:
    class Unreadable:
        def __reduce__(self) -> tuple[Any, ...]:
            return int, ("x",)

    p = pack(Unreadable())
    with pytest.raises(RaySystemError, match="invalid literal") as e:
        unpack(*p[:4])
    assert isinstance(e.value.__cause__, ValueError)
    with pytest.raises(RaySystemError):
        unpack(PICKLE5, p.meta[:-3], [], [])
    with pytest.raises(_msgpack.FormatError):
        unpack(9, b"", [], [])
    with pytest.raises(_msgpack.FormatError):
        unpack_args(MSGPACK, b"\x01", [], [])


def test_inspect_serializability_finds_and_prints_the_culprit() -> None:
    out = io.StringIO()
    fine, failures = _values.inspect_serializability({"a": Locked(1)}, name="thing", print_file=out)
    assert not fine
    (failure,) = failures
    assert failure.name == "lock"
    assert failure.path == "['a'].lock"
    assert isinstance(failure.parent, Locked)
    assert "FAIL" in out.getvalue()
    assert "Serializing 'lock'" in out.getvalue()
    assert "was found to be non-serializable" in out.getvalue()
    lock = threading.Lock()

    def f() -> object:
        return lock

    _, failures = _values.inspect_serializability(f, print_file=out)
    assert {x.name for x in failures} == {"lock"}
    assert "Inspecting closure of 'f'" in out.getvalue()
    assert _values.inspect_serializability(1, print_file=out) == (True, set())


def test_split_refs_takes_whole_ids_only() -> None:
    assert _values.split_refs(b"") == []
    assert _values.split_refs(memoryview(A + B)) == [A, B]
    with pytest.raises(_msgpack.FormatError):
        _values.split_refs(b"abc")


def test_code_of_another_version_of_python_is_refused_and_data_passes(monkeypatch):
    monkeypatch.setattr(_values.pickling, "_PYTHON", "3.99")
    code, data = _values.pack(lambda x: x + 1), _values.pack({"a": [1, (2, 3)]})
    monkeypatch.undo()
    with pytest.raises(RaySystemError, match=r"<lambda> was compiled by Python 3\.99 and cannot run in this process"):
        _values.unpack(code.format, code.meta, code.buffers, code.refs)
    assert _values.unpack(data.format, data.meta, data.buffers, data.refs) == {"a": [1, (2, 3)]}
