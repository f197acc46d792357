"""Graphs of bound calls, ray.dag, and compiled graphs."""

from __future__ import annotations

import os

import pytest
import ray
from ray.dag import InputNode, MultiOutputNode
from ray.experimental.compiled_dag_ref import CompiledDAGRef

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.filterwarnings("ignore:.*is deprecated")]


@ray.remote(num_cpus=0)
def pair(x, y=0):
    return x, y


@ray.remote(num_cpus=0)
def random():
    return os.urandom(8)


@ray.remote(num_cpus=0)
class Counter:
    def __init__(self, base):
        self.base = base
        self.calls = 0

    def add(self, x=1):
        self.calls += 1
        return self.base, self.calls, x

    def take(self, *args):
        return args

    @ray.method(num_returns=2)
    def both(self, x):
        return x, x + 1

    def fail(self, x):
        raise ValueError(f"boom {x}")


def test_each_execute_is_a_run_in_which_a_shared_node_runs_once():
    shared = random.bind()
    graph = pair.bind(pair.bind(shared), pair.bind(shared))
    (a, _), (b, _) = ray.get(graph.execute())
    (c, _), (d, _) = ray.get(graph.execute())
    assert a == b and c == d and a != c


def test_nodes_in_containers_arrive_as_refs():
    shared = random.bind()
    xs, y = ray.get(pair.bind([shared, {"k": shared}], y=shared).execute())
    assert ray.get(xs[0]) == ray.get(xs[1]["k"]) == y


def test_arguments_are_checked_when_the_graph_runs():
    graph = pair.bind(1, 2, 3)
    with pytest.raises(TypeError, match="too many positional arguments"):
        graph.execute()


def test_every_execute_makes_its_own_actor():
    actor = Counter.bind(10)
    first, second = actor.add.bind("a"), actor.add.bind("b")
    assert [ray.get(first.execute()) for _ in range(2)] == [(10, 1, "a")] * 2
    assert ray.get(second.execute()) == (10, 2, "b")  # the method that was bound before it ran too
    assert ray.get(pair.bind(first, second).execute()) == ((10, 1, "a"), (10, 2, "b"))


def test_an_actor_node_gives_its_handle():
    assert ray.get(Counter.bind(pair.bind(5)).execute().add.remote()) == ((5, 0), 1, 1)
    with pytest.raises(AttributeError, match="nope"):
        Counter.bind(1).nope  # noqa: B018
    with InputNode() as x, pytest.raises(ValueError, match="InputNode handles user dynamic input"):
        Counter.bind(x)


def test_methods_of_a_live_actor():
    counter = Counter.remote(7)
    node = counter.add.bind(5)
    assert ray.get([node.execute(), node.execute()]) == [(7, 1, 5), (7, 2, 5)]
    low, high = counter.both.bind(3)
    assert ray.get(pair.bind(low, high).execute()) == (3, 4)


def test_the_input_of_one_argument():
    with InputNode() as x:
        whole, items, attributes = pair.bind(x, 2), pair.bind(x["a"], x["b"]), pair.bind(x.real, x.imag)
    assert ray.get(whole.execute(3)) == (3, 2)
    assert ray.get(whole.execute(ray.put(9))) == (9, 2)
    assert ray.get(items.execute({"a": 1, "b": 2})) == (1, 2)
    assert ray.get(attributes.execute(3 + 4j)) == (3.0, 4.0)


def test_the_input_of_several_arguments():
    with InputNode() as x:
        graph = pair.bind(x[0], x.y)
    assert ray.get(graph.execute(3, y=4)) == (3, 4)


def test_the_input_belongs_into_a_with_statement():
    with pytest.raises(AssertionError, match="context manager"):
        pair.bind(InputNode()).execute(1)
    with pytest.raises(ValueError, match="should not take any args"):
        InputNode(1)


def test_several_outputs():
    with InputNode() as x:
        graph = MultiOutputNode([pair.bind(x), pair.bind(x, 7)])
    assert ray.get(graph.execute(1)) == [(1, 0), (1, 7)]
    with pytest.raises(ValueError, match="Invalid input type"):
        MultiOutputNode(pair.bind(1))


def test_a_graph_is_a_value():
    @ray.remote(num_cpus=0)
    def run(graph):
        return ray.get(graph.execute())

    assert ray.get(run.remote([pair.bind(1, 2)][0])) == (1, 2)


@pytest.fixture(scope="module")
def counters(cluster):
    return Counter.remote(1), Counter.remote(2)


def test_a_compiled_graph_runs_many_times(counters):
    a, b = counters
    with InputNode() as x:
        graph = b.take.bind(a.take.bind(x), "k").experimental_compile()
    first, second = graph.execute(6), graph.execute(7)
    assert isinstance(first, CompiledDAGRef)
    assert ray.get(second) == ((7,), "k") and ray.get(first) == ((6,), "k")
    assert ray.get([graph.execute(i) for i in range(3)]) == [((i,), "k") for i in range(3)]
    assert ray.get(a.take.remote(1)) == (1,)
    graph.teardown()
    with pytest.raises(ray.exceptions.RayChannelError):
        graph.execute(1)
    assert ray.get(a.take.remote(1)) == (1,)


def test_the_result_of_a_compiled_graph_is_got_once(counters):
    a, _ = counters
    with InputNode() as x:
        graph = a.take.bind(x).experimental_compile()
    ref = graph.execute(1)
    assert ray.get(ref) == (1,)
    with pytest.raises(ValueError, match="can only be called once"):
        ray.get(ref)
    with pytest.raises(TypeError):
        ray.put(graph.execute(2))
    with pytest.raises(TypeError, match=r"wait\(\) expected a list"):
        ray.wait([graph.execute(3)])
    graph.teardown()


def test_a_compiled_graph_says_what_it_takes(counters):
    a, b = counters
    with InputNode() as x:
        graph = MultiOutputNode([a.take.bind(x[0]), b.take.bind(x.k, x[1])]).experimental_compile()
    assert ray.get(graph.execute(1, 2, k=3)) == [(1,), (3, 2)]
    with pytest.raises(ValueError, match="must be called with 2 positional args, got 1"):
        graph.execute(1, k=3)
    graph.teardown()


def test_an_error_in_a_compiled_graph(counters):
    a, b = counters
    with InputNode() as x:
        graph = b.take.bind(a.fail.bind(x)).experimental_compile()
    for i in range(2):
        with pytest.raises(ValueError, match=f"boom {i}"):
            ray.get(graph.execute(i))
    graph.teardown()


def test_what_cannot_be_compiled(counters):
    a, _ = counters
    with InputNode() as x, pytest.raises(NotImplementedError, match="only support actor method nodes"):
        pair.bind(x).experimental_compile()
    with InputNode() as x, pytest.raises(ValueError, match="an actor that is already created"):
        Counter.bind(1).add.bind(x).experimental_compile()
    with InputNode() as x, pytest.raises(ValueError, match="any type of container"):
        a.add.bind([x]).experimental_compile()
    with pytest.raises(ValueError, match="No InputNode found in the DAG"):
        a.add.bind(1).experimental_compile()
