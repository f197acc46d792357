"""Values of all kinds that programs send."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import operator
import pathlib
import re
import typing
import uuid

import pytest
import ray

pytestmark = pytest.mark.usefixtures("cluster")


class Colour(enum.Enum):
    """An enumeration at the top of a module."""

    RED = 1
    BLUE = "b"


class Flags(enum.IntFlag):
    """Flags at the top of a module."""

    A = 1
    B = 2


Pair = collections.namedtuple("Pair", "left right")


class Typed(typing.NamedTuple):
    """A typed named tuple."""

    a: int
    b: str = "x"


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A frozen dataclass with slots."""

    a: int
    b: list[int] = dataclasses.field(default_factory=list)


class Slots:
    """A class with slots."""

    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b

    def __eq__(self, other):
        return (self.a, self.b) == (other.a, other.b)

    __hash__ = None


class Stateful:
    """A class that says what of it is pickled."""

    def __init__(self, x):
        self.x = x
        self.handle = object()

    def __getstate__(self):
        return {"x": self.x}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.handle = "made anew"


@pytest.fixture(scope="module")
def identity():
    @ray.remote
    def identity(x):
        return x

    return identity


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**100, 1.5, float("inf"), 1e-320, 2 + 3j, "", "text",
        "ünï🎉", "\x00", "x" * 200_000,
        b"", b"\xff\x00", [], [1, [2, [3]]], (), (1,), (1, (2, "x")), {}, {"a": 1}, {1: "a", (2, 3): "b", None: 0}, set(), {1, 2}, frozenset({1}),
        range(10), slice(1, 2, 3), Ellipsis, NotImplemented, int, list, len, Colour.RED, Flags.A | Flags.B, Pair(1, 2), Typed(1), Record(1, [2]),
        Slots(1, [2]), datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.UTC), datetime.timedelta(1, 2, 3), datetime.date(2026, 1, 2),
        decimal.Decimal("1.10"), fractions.Fraction(1, 3), uuid.UUID(int=5), pathlib.PurePosixPath("/a/b"), re.compile("a+", re.I),
        collections.OrderedDict([("b", 1), ("a", 2)]), collections.Counter("aab"), collections.deque([1, 2], maxlen=3),
        collections.defaultdict(list, {"a": [1]}), operator.itemgetter(1)([0, 5]), "\ud800",
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_value_comes_back(value, identity):
    for back in (ray.get(ray.put(value)), ray.get(identity.remote(value)), ray.get(identity.remote([value]))[0]):
        assert back == value
        assert type(back) is type(value)


def test_nan():
    back = ray.get(ray.put(float("nan")))
    assert back != back


def test_dict_order_is_kept():
    keys = list("zebra")
    assert list(ray.get(ray.put(dict.fromkeys(keys)))) == list(dict.fromkeys(keys))


def test_own_state(identity):
    back = ray.get(identity.remote(Stateful(3)))
    assert (back.x, back.handle) == (3, "made anew")


def test_functions_lambdas_and_partials(identity):
    n = 10
    assert ray.get(identity.remote(lambda x: x + n))(1) == 11
    assert ray.get(identity.remote(functools.partial(operator.add, 5)))(1) == 6
    assert ray.get(ray.put(operator.itemgetter(1)))([0, 7]) == 7


def test_local_classes(identity):
    class Base:
        kind = "base"

        def who(self):
            return self.kind

    class Local(Base):
        kind = "local"

        def who(self):
            return super().who() + "!"

    assert ray.get(identity.remote(Local())).who() == "local!"
    assert ray.get(identity.remote(Local))().who() == "local!"


def test_local_enum_and_dataclass():
    class Local(enum.Enum):
        A = 1

    @dataclasses.dataclass
    class Data:
        x: int

    @ray.remote
    def look(e, d):
        return e.name, e.value, d.x, dataclasses.asdict(d)

    assert ray.get(look.remote(Local.A, Data(4))) == ("A", 1, 4, {"x": 4})


def test_recursive_structures(identity):
    items = [1]
    items.append(items)
    back = ray.get(identity.remote(items))
    assert back[1] is back
    tree = {"children": []}
    tree["children"].append({"parent": tree})
    back = ray.get(ray.put(tree))
    assert back["children"][0]["parent"] is back


def test_deep_nesting(identity):
    value = None
    for _ in range(150):
        value = [value]
    assert ray.get(identity.remote(value)) == value


def test_exceptions_as_values(identity):
    back = ray.get(identity.remote(ValueError("a value", 3)))
    assert isinstance(back, ValueError)
    assert back.args == ("a value", 3)
    assert isinstance(ray.get(ray.put(KeyError("k"))), KeyError)


def test_modules_as_values(identity):
    import json

    assert ray.get(identity.remote(json)).dumps([1]) == "[1]"


def test_bound_methods(identity):
    assert ray.get(identity.remote(Slots(3, 4).__eq__))(Slots(3, 4)) is True
    assert ray.get(identity.remote("abc".upper))() == "ABC"


@pytest.mark.parametrize("make", [lambda: (x for x in "ab"), lambda: __import__("socket").socket(), lambda: __import__("threading").Lock()])
def test_what_cannot_be_pickled_is_a_type_error(make):
    value = make()
    with pytest.raises(TypeError):
        ray.put({"inside": value})
    if hasattr(value, "close"):
        value.close()


def test_register_serializer():
    import threading

    class Locked:
        def __init__(self, x):
            self.x = x
            self.lock = threading.Lock()

    with pytest.raises(TypeError):
        ray.put(Locked(1))
    ray.util.register_serializer(Locked, serializer=lambda v: v.x, deserializer=lambda x: Locked(x + 1))
    try:
        assert ray.get(ray.put(Locked(1))).x == 2
    finally:
        ray.util.deregister_serializer(Locked)
    with pytest.raises(TypeError):
        ray.put(Locked(1))


def test_inspect_serializability(capsys):
    import threading

    assert ray.util.inspect_serializability([1])[0] is True
    lock = threading.Lock()

    def f():
        return lock

    ok, failures = ray.util.inspect_serializability(f, name="f")
    assert ok is False
    assert any(failure.obj is lock for failure in failures)


def test_protobuf_messages(identity):
    timestamp_pb2 = pytest.importorskip("google.protobuf.timestamp_pb2")
    message = timestamp_pb2.Timestamp(seconds=5, nanos=6)
    assert ray.get(identity.remote(message)) == message


def test_ids_are_values(identity):
    job = ray.get_runtime_context().get_job_id()
    assert ray.get(identity.remote(job)) == job
    node = ray.NodeID.from_hex(ray.get_runtime_context().get_node_id())
    assert ray.get(identity.remote(node)) == node
