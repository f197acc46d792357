"""Remote functions: how they are made, called and what they return."""

from __future__ import annotations

import functools
import os

import pytest
import ray

pytestmark = pytest.mark.usefixtures("cluster")


def test_a_call_returns_a_ref_at_once_and_get_its_value():
    @ray.remote
    def add(a, b):
        return a + b

    ref = add.remote(1, 2)
    assert isinstance(ref, ray.ObjectRef)
    assert ray.get(ref) == 3


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((1,), {}, (1, 2, (), 3, {})),
        ((1, 5), {}, (1, 5, (), 3, {})),
        ((1, 5, 6, 7), {"k": 8, "z": 9}, (1, 5, (6, 7), 8, {"z": 9})),
        ((), {"a": 1, "b": 4}, (1, 4, (), 3, {})),
        ((1,), {"other": None}, (1, 2, (), 3, {"other": None})),
    ],
)
def test_arguments_are_bound_as_python_binds_them(args, kwargs, expected):
    @ray.remote
    def f(a, b=2, *rest, k=3, **named):
        return a, b, rest, k, named

    assert ray.get(f.remote(*args, **kwargs)) == expected


@pytest.mark.parametrize("call", [lambda f: f.remote(), lambda f: f.remote(1, 2, 3), lambda f: f.remote(1, c=2), lambda f: f.remote(1, a=1)])
def test_arguments_that_do_not_fit_raise_type_error_at_the_call(call):
    @ray.remote
    def f(a, b=2):
        return a

    with pytest.raises(TypeError):
        call(f)


def test_positional_only_arguments():
    @ray.remote
    def f(a, /, b):
        return a, b

    assert ray.get(f.remote(1, b=2)) == (1, 2)


def test_direct_call_is_refused_with_advice():
    @ray.remote
    def f():
        return 1

    with pytest.raises(TypeError, match=r"cannot be called directly.*\.remote\(\)"):
        f()


def test_only_functions_and_classes_become_remote():
    with pytest.raises((TypeError, AssertionError)):
        ray.remote(3)
    with pytest.raises((TypeError, AssertionError)):
        ray.remote(lambda x: x, "x")
    with pytest.raises(TypeError):
        ray.remote(num_cpus=1)(3)


def test_decorator_without_options_may_not_be_called_empty():
    with pytest.raises(AssertionError):

        @ray.remote()
        def f():
            return 1


def test_remote_is_a_function_too():
    def double(x):
        return 2 * x

    assert ray.get(ray.remote(double).remote(4)) == 8
    assert ray.get(ray.remote(num_cpus=2)(double).remote(5)) == 10
    assert ray.get(ray.remote(lambda x: x + 1).remote(1)) == 2


@pytest.mark.mobula_only("Ray shows the documentation of its own class instead")
def test_documentation_and_name_survive():
    @ray.remote
    def documented(x):
        """Says what it does."""
        return x

    assert documented.__doc__ == "Says what it does."
    assert documented.__name__ == "documented"


def test_decorated_functions_run_with_their_decorator():
    def twice(f):
        @functools.wraps(f)
        def inner(*args, **kwargs):
            return 2 * f(*args, **kwargs)

        return inner

    @ray.remote
    @twice
    def f(x):
        return x

    assert ray.get(f.remote(21)) == 42


def test_tasks_run_in_other_processes():
    @ray.remote
    def pid():
        return os.getpid()

    assert ray.get(pid.remote()) != os.getpid()


def test_closures_and_globals_are_captured_when_the_function_is_first_called():
    base = 10

    @ray.remote
    def f(x):
        return base + x

    assert ray.get(f.remote(1)) == 11
    base = 20
    assert ray.get(f.remote(1)) == 11


def test_recursion_through_the_own_name():
    @ray.remote
    def fibonacci(n):
        return n if n < 2 else sum(ray.get([fibonacci.remote(n - 1), fibonacci.remote(n - 2)]))

    assert ray.get(fibonacci.remote(6)) == 8


def test_tasks_call_tasks_deeper_than_there_are_cpus():
    @ray.remote
    def nested(n):
        return 0 if n == 0 else 1 + ray.get(nested.remote(n - 1))

    assert ray.get(nested.remote(8)) == 8


def test_mutual_recursion():
    @ray.remote
    def even(n):
        return True if n == 0 else ray.get(odd.remote(n - 1))

    @ray.remote
    def odd(n):
        return False if n == 0 else ray.get(even.remote(n - 1))

    assert ray.get(even.remote(4)) is True


def test_several_returns_are_a_list_of_refs():
    @ray.remote(num_returns=3)
    def three():
        return 1, "two", [3]

    a, b, c = three.remote()
    assert ray.get([a, b, c]) == [1, "two", [3]]
    assert ray.get(b) == "two"


def test_several_returns_may_come_from_a_list_or_a_generator():
    @ray.remote(num_returns=2)
    def listed():
        return [1, 2]

    @ray.remote(num_returns=2)
    def yielded():
        yield 1
        yield 2

    assert ray.get(listed.remote()) == [1, 2]
    assert ray.get(yielded.remote()) == [1, 2]


def test_wrong_number_of_returns_is_a_value_error_at_get():
    @ray.remote(num_returns=3)
    def two():
        return 1, 2

    for ref in two.remote():
        with pytest.raises(ValueError):
            ray.get(ref)


def test_no_returns_returns_none():
    @ray.remote(num_returns=0)
    def nothing():
        pass

    assert nothing.remote() is None


def test_options_override_without_changing_the_function():
    @ray.remote
    def pair():
        return 1, 2

    a, b = pair.options(num_returns=2).remote()
    assert ray.get([a, b]) == [1, 2]
    assert ray.get(pair.remote()) == (1, 2)


def test_none_and_default_values_come_back():
    @ray.remote
    def f(x=None):
        return x

    assert ray.get(f.remote()) is None
    assert ray.get(f.remote(None)) is None
    assert ray.get(f.remote(0)) == 0


def test_a_thousand_tasks():
    @ray.remote
    def f(i):
        return i

    assert ray.get([f.remote(i) for i in range(1000)]) == list(range(1000))


def test_classes_defined_in_the_program_travel_by_value():
    class Point:
        def __init__(self, x, y):
            self.x, self.y = x, y

        def norm(self):
            return self.x**2 + self.y**2

    @ray.remote
    def f(point):
        return point.norm(), point

    norm, back = ray.get(f.remote(Point(1, 2)))
    assert norm == 5
    assert (back.x, back.y) == (1, 2)
    assert isinstance(back, Point)


def test_same_function_may_be_defined_anew():
    def make(n):
        @ray.remote
        def f():
            return n

        return f

    assert ray.get([make(i).remote() for i in range(5)]) == [0, 1, 2, 3, 4]


def test_remote_function_can_be_passed_and_returned():
    @ray.remote
    def inner(x):
        return x + 1

    @ray.remote
    def outer(f, x):
        return ray.get(f.remote(x)), f

    value, f = ray.get(outer.remote(inner, 1))
    assert value == 2
    assert ray.get(f.remote(5)) == 6


def test_static_methods_of_classes_can_be_remote():
    class Tool:
        @staticmethod
        @ray.remote
        def double(x):
            return 2 * x

    assert ray.get(Tool.double.remote(3)) == 6


def test_state_of_arguments_is_not_shared():
    @ray.remote
    def append(items):
        items.append(1)
        return items

    items = [0]
    assert ray.get(append.remote(items)) == [0, 1]
    assert items == [0]


def test_a_worker_runs_many_tasks():
    @ray.remote
    def pid():
        return os.getpid()

    assert len({ray.get(pid.remote()) for _ in range(20)}) < 20


def test_max_calls_ends_the_worker():
    @ray.remote(max_calls=1)
    def pid():
        return os.getpid()

    pids = ray.get([pid.remote() for _ in range(3)])
    assert len(set(pids)) == 3


def test_bind_makes_a_lazy_graph():
    @ray.remote
    def add(a, b):
        return a + b

    graph = add.bind(add.bind(1, 2), 10)
    assert ray.get(graph.execute()) == 13
