"""What can be made remote, and how classes and functions of every shape behave then."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import functools
import os
import threading
import typing

import numpy as np
import pytest
import ray

pytestmark = pytest.mark.usefixtures("cluster")


def call(function, *args, **kwargs):
    """Runs a function as a task."""
    return ray.get(ray.remote(function).remote(*args, **kwargs), timeout=30)


def make(cls, *args, **kwargs):
    """Makes an actor of a class."""
    return ray.remote(num_cpus=0)(cls).remote(*args, **kwargs)


class Holder:
    """Has functions of every kind."""

    @staticmethod
    def static(x):
        return x, "static"


def wrapped(function):
    """Decorates as most decorators do."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return "wrapped", function(*args, **kwargs)

    return wrapper


@wrapped
def added(x, y=2):
    """Adds."""
    return x + y


def suppressing():
    with contextlib.suppress(KeyError):
        return {}["missing"]
    return "went on"


def with_default(x, seen=None):
    seen = [] if seen is None else seen
    seen.append(x)
    return seen


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "expected"),
    [
        (lambda x, *a, k=1, **kw: (x, a, k, kw), (1, 2), {"k": 3, "z": 4}, (1, (2,), 3, {"z": 4})),
        (lambda *, a, b=2: (a, b), (), {"a": 1}, (1, 2)),
        (lambda a, /, b: (a, b), (1,), {"b": 2}, (1, 2)),
        (lambda *a: sum(a), tuple(range(20)), {}, 190),
        (lambda **kw: sorted(kw), (), {"b": 1, "a": 2}, ["a", "b"]),
        (lambda: None, (), {}, None),
        (lambda x=float("inf"): x, (), {}, float("inf")),
        (Holder.static, (1,), {}, (1, "static")),
        (added, (1,), {}, ("wrapped", 3)),
        (added, (1,), {"y": 5}, ("wrapped", 6)),
        (suppressing, (), {}, "went on"),
        (with_default, (1,), {}, [1]),
        (lambda: threading.current_thread() is threading.main_thread(), (), {}, True),
        (lambda: os.getpid() > 0, (), {}, True),
        (lambda x: type(x).__name__, (np.float32(1),), {}, "float32"),
    ],
    ids=range(15),
)
def test_functions(function, args, kwargs, expected):
    assert call(function, *args, **kwargs) == expected


@pytest.mark.parametrize("thing", [len, functools.partial(max, 1), Holder(), np.sum, "name", 5], ids=lambda x: type(x).__name__)
def test_what_is_no_function(thing):
    with pytest.raises((TypeError, AssertionError)):
        ray.remote(thing)


def test_coroutine_functions_are_refused():
    with pytest.raises(
        ValueError, match=r"'async def' should not be used for remote tasks\. You can wrap the async function with `asyncio\.run\(f\(\)\)`"
    ):

        @ray.remote
        async def never():
            return 1

        never.remote()


def test_refs_among_all_kinds_of_arguments():
    def f(a, *rest, k=None, **others):
        return a, rest, k, others

    put = ray.put
    assert call(f, put(1), put(2), 3, k=put(4), z=put(5)) == (1, (2, 3), 4, {"z": 5})


def test_redefinition_leaves_the_first_alone():
    def f():
        return 1

    first = ray.remote(f)

    def f():
        return 2

    assert ray.get([first.remote(), ray.remote(f).remote()]) == [1, 2]


def test_changed_environment_of_the_driver_after_init_stays_its_own(monkeypatch):
    monkeypatch.setenv("AFTER_INIT", "1")
    assert call(lambda: os.environ.get("AFTER_INIT")) is None


def test_fifty_returns():
    refs = ray.remote(num_returns=50)(lambda: range(50)).remote()
    assert sum(ray.get(refs)) == sum(range(50))


def test_refs_in_results():
    found = call(lambda: {"a": [ray.put(1), (ray.put(2),)]})
    assert ray.get([found["a"][0], found["a"][1][0]]) == [1, 2]
    assert call(lambda x: type(x).__name__, ray.remote(lambda: ray.put(5)).remote()) == "ObjectRef"


@dataclasses.dataclass
class Data:
    """A dataclass as an actor."""

    x: int
    y: int = 2

    def sum(self):
        return self.x + self.y


T = typing.TypeVar("T")


class Generic(typing.Generic[T]):
    """A generic class as an actor."""

    def same(self, x: T) -> T:
        return x


class Meta(type):
    """Adds a method to its classes."""

    def __new__(cls, name, bases, body):
        return super().__new__(cls, name, bases, {**body, "added": lambda self: "added"})


class WithMeta(metaclass=Meta):
    """Has a method that is not in its text."""


class Slots:
    """Has no dict."""

    __slots__ = ("x",)

    def __init__(self):
        self.x = 1

    def get(self):
        return self.x


class New:
    """Is made by __new__ alone."""

    def __new__(cls, *args):
        made = super().__new__(cls)
        made.args = args
        return made

    def get(self):
        return self.args


class Dynamic:
    """Finds attributes by itself, for its own methods."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda: name

    def get(self):
        return self.dynamic()


class Property:
    """Has a property, which its methods use."""

    def __init__(self):
        self._x = 1

    @property
    def x(self):
        return self._x

    @x.setter
    def x(self, value):
        self._x = value

    def set(self, value):
        self.x = value
        return self.x


class Nested:
    """Has a class inside."""

    class Inner:
        """Is inside."""

        v = 1

    def get(self):
        return self.Inner.v


class Thread:
    """Starts a thread when it is made."""

    def __init__(self):
        self.seen = []
        self.thread = threading.Thread(target=self.seen.append, args=(1,))
        self.thread.start()

    def get(self):
        self.thread.join()
        return self.seen


class Base:
    """Is inherited from."""

    def hello(self):
        return "base"


class Derived(Base):
    """Calls what it overrides."""

    def hello(self):
        return "derived of " + super().hello()


class Special:
    """Has methods with the names of operators."""

    def __call__(self, x):
        return x

    def __getitem__(self, i):
        return i


@pytest.mark.parametrize(
    ("cls", "args", "method", "arguments", "expected"),
    [
        (Data, (1,), "sum", (), 3),
        (Generic, (), "same", (1,), 1),
        (WithMeta, (), "added", (), "added"),
        (Slots, (), "get", (), 1),
        (New, (), "get", (), ()),
        (Dynamic, (), "get", (), "dynamic"),
        (Property, (), "set", (5,), 5),
        (Nested, (), "get", (), 1),
        (Thread, (), "get", (), [1]),
        (Derived, (), "hello", (), "derived of base"),
        (Special, (), "__call__", (3,), 3),
        (Special, (), "__getitem__", (3,), 3),
        (collections.Counter, ("aab",), "most_common", (1,), [("a", 2)]),
    ],
    ids=lambda x: x.__name__ if isinstance(x, type) else "",
)
def test_classes(cls, args, method, arguments, expected):
    actor = make(cls, *args)
    assert ray.get(getattr(actor, method).remote(*arguments), timeout=30) == expected


@pytest.mark.parametrize("use", [lambda a: a(3), lambda a: a[1], lambda a: list(a), lambda a: 1 in a], ids=["call", "index", "iterate", "in"])
def test_operators_are_not_those_of_a_handle(use):
    with pytest.raises(TypeError):
        use(make(Special))


def test_arguments_of_a_dataclass_are_checked():
    assert ray.get(make(Data, x=1, y=5).sum.remote()) == 6
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        make(Data)


def test_names_that_a_handle_does_not_have():
    dynamic = make(Dynamic)
    with pytest.raises(AttributeError):
        dynamic.dynamic.remote()


def test_a_constructor_that_returns_something_fails():
    class Wrong:
        def __init__(self):
            return 5

        def get(self):
            return 1

    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(make(Wrong).get.remote(), timeout=30)


def test_methods_of_all_four_colors():
    class Colors:
        async def coroutine(self):
            await asyncio.sleep(0)
            return 1

        def plain(self):
            return 2

        async def async_generator(self):
            yield 3

        def generator(self):
            yield 4

    actor = make(Colors)
    assert ray.get([actor.coroutine.remote(), actor.plain.remote()]) == [1, 2]
    assert ray.get([*actor.async_generator.remote(), *actor.generator.remote()]) == [3, 4]


def test_one_coroutine_at_a_time():
    class Narrow:
        def __init__(self):
            self.now = self.most = 0

        async def work(self):
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.001)
            self.now -= 1

        async def get(self):
            return self.most

    actor = ray.remote(num_cpus=0, max_concurrency=1)(Narrow).remote()
    ray.get([actor.work.remote() for _ in range(5)])
    assert ray.get(actor.get.remote()) == 1


def test_exception_groups_can_be_taken_apart():
    def fail():
        raise ExceptionGroup("both", [ValueError(1), KeyError(2)])

    seen = []
    try:
        call(fail)
    except* ValueError as group:
        seen.append(len(group.exceptions))
    except* KeyError as group:
        seen.append(len(group.exceptions))
    assert seen == [1, 1]


def test_own_exceptions_with_own_pickling():
    class OwnError(ValueError):
        def __init__(self, words, code):
            super().__init__(words)
            self.code = code

        def __reduce__(self):
            return OwnError, (self.args[0], self.code)

    def fail():
        raise OwnError("words", 7)

    with pytest.raises(OwnError) as info:
        call(fail)
    assert info.value.code == 7
    assert type(info.value.cause).__name__ == "OwnError"


def test_a_method_that_is_retried_for_its_errors():
    class Flaky:
        def __init__(self):
            self.tries = 0

        @ray.method(max_task_retries=3, retry_exceptions=[ValueError])
        def work(self):
            self.tries += 1
            if self.tries < 3:
                raise ValueError("again")
            return self.tries

    assert ray.get(make(Flaky).work.remote(), timeout=30) == 3


def test_frames_and_tables():
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    table = pyarrow.table({"a": [1, 2]})
    assert call(lambda x: x, frame).equals(frame)
    assert call(lambda x: x, table).equals(table)
    assert ray.get(ray.put(frame)).equals(frame)
