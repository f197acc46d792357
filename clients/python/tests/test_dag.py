"""Graphs of bound calls: ``.bind``, ``mobula.dag``, and compiled graphs."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import cloudpickle
import pytest

import mobula
from mobula import exceptions
from mobula.dag import (
    ClassMethodNode,
    ClassNode,
    CompiledDAGFuture,
    CompiledDAGRef,
    DAGInputData,
    DAGNode,
    FunctionNode,
    InputNode,
    MultiOutputNode,
)

pytestmark = pytest.mark.usefixtures("node")


@mobula.remote
def pair(x: Any, y: Any = 0) -> Any:
    return x, y


@mobula.remote
def once() -> bytes:
    import os

    return os.urandom(8)


@mobula.remote(num_returns=2)
def two(x: Any) -> Any:
    return x, x + 1


@mobula.remote
class Counter:
    def __init__(self, base: int) -> None:
        self.base = base
        self.calls = 0

    def add(self, x: Any = 1) -> tuple[int, int, Any]:
        self.calls += 1
        return self.base, self.calls, x

    @mobula.method(num_returns=2)
    def both(self, x: int) -> tuple[int, int]:
        return x, x + 1

    def join(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def fail(self, x: Any) -> None:
        raise ValueError(f"boom {x}")

    def wait(self, seconds: float) -> float:
        import time

        time.sleep(seconds)
        return seconds


def test_nothing_runs_before_execute_and_each_execute_is_a_run() -> None:
    node = once.bind()
    assert isinstance(node, FunctionNode) and isinstance(node, DAGNode)
    first, second = mobula.get([node.execute(), node.execute()])
    assert first != second


def test_shared_node_runs_once_per_execute() -> None:
    shared = once.bind()
    (a, _), (b, _) = mobula.get(pair.bind(pair.bind(shared), pair.bind(shared)).execute())
    assert a == b


def test_nodes_inside_containers_become_refs() -> None:
    shared = once.bind()
    xs, y = mobula.get(pair.bind([shared, {"k": (shared, 5)}], y=shared).execute())
    assert mobula.get(xs[0]) == mobula.get(xs[1]["k"][0]) == y
    assert xs[1]["k"][1] == 5


def test_long_chain_needs_no_recursion() -> None:
    node: Any = pair.bind(0)
    for _ in range(3000):
        node = MultiOutputNode([node])
    assert mobula.get(_innermost(node.execute())) == (0, 0)


def _innermost(x: Any) -> Any:
    while isinstance(x, list):
        x = x[0]
    return x


def test_options_and_several_results_are_those_of_remote() -> None:
    assert mobula.get(two.bind(1).execute()) == [1, 2]
    assert pair.options(num_cpus=2).bind(1).get_options()["num_cpus"] == 2
    with pytest.raises(TypeError, match="argument"):
        pair.bind(1, 2, 3).execute()


def test_every_execute_makes_its_actor_and_calls_methods_in_the_order_bound() -> None:
    actor = Counter.bind(10)
    first = actor.add.bind("a")
    second = actor.add.bind("b")
    assert isinstance(actor, ClassNode) and isinstance(first, ClassMethodNode)
    assert [mobula.get(first.execute()) for _ in range(2)] == [(10, 1, "a")] * 2
    assert mobula.get(second.execute()) == (10, 2, "b")
    assert mobula.get(pair.bind(first, second).execute()) == ((10, 1, "a"), (10, 2, "b"))
    assert mobula.get(actor.both.options(num_returns=1).bind(3).execute()) == (3, 4)
    assert second.get_method_name() == "add"


def test_actor_node_gives_handles() -> None:
    handle = Counter.bind(pair.bind(5)).execute()
    assert mobula.get(handle.add.remote()) == ((5, 0), 1, 1)
    with pytest.raises(AttributeError, match="nope"):
        Counter.bind(1).nope.bind()
    with pytest.raises(ValueError, match="InputNode"), InputNode() as x:
        Counter.bind(x)


def test_methods_of_a_live_actor_are_called_on_it() -> None:
    handle = Counter.remote(7)
    node = handle.add.bind(5)
    assert mobula.get([node.execute(), node.execute()]) == [(7, 1, 5), (7, 2, 5)]
    assert mobula.get(handle.join.bind(node, k=node).execute()) == (((7, 3, 5),), {"k": (7, 3, 5)})
    low, high = handle.both.bind(3)
    assert mobula.get(pair.bind(low, high).execute()) == (3, 4)


def test_input_is_the_one_argument_or_its_parts() -> None:
    with InputNode() as x:
        whole = pair.bind(x, 2)
        items = pair.bind(x["a"], x["b"])
        attributes = pair.bind(x.real, x.imag)
    assert mobula.get(whole.execute(3)) == (3, 2)
    assert mobula.get(whole.execute(mobula.put(9))) == (9, 2)
    assert mobula.get(items.execute({"a": 1, "b": 2})) == (1, 2)
    assert mobula.get(attributes.execute(3 + 4j)) == (3.0, 4.0)


def test_input_of_several_arguments_is_taken_apart() -> None:
    with InputNode() as x:
        parts = pair.bind(x[0], x.y)
        whole = pair.bind(x)
    assert mobula.get(parts.execute(3, y=4)) == (3, 4)
    data, _ = mobula.get(whole.execute(3, y=4))
    assert isinstance(data, DAGInputData) and (data[0], data["y"]) == (3, 4)


def test_input_is_for_the_with_statement() -> None:
    with pytest.raises(AssertionError, match="context manager"):
        pair.bind(InputNode()).execute(1)
    with pytest.raises(ValueError, match="should not take"):
        InputNode(1)
    with InputNode() as x, pytest.raises(TypeError, match="iterated"):
        list(x)


def test_several_outputs_are_a_list() -> None:
    with InputNode() as x:
        node = MultiOutputNode([pair.bind(x), pair.bind(x, 7)])
    assert mobula.get(node.execute(1)) == [(1, 0), (1, 7)]
    with pytest.raises(ValueError, match="Invalid input type"):
        MultiOutputNode(pair.bind(1))  # type: ignore[arg-type]


def test_graph_runs_where_it_was_sent() -> None:
    @mobula.remote
    def run(graph: DAGNode) -> Any:
        return mobula.get(graph.execute(5))

    shared = once.bind()
    with InputNode() as x:
        graph = pair.bind(pair.bind(shared, shared), Counter.bind(1).add.bind(x))
    (a, b), c = mobula.get(run.remote([graph][0]))
    assert a == b and c == (1, 1, 5)
    assert cloudpickle.loads(cloudpickle.dumps(graph)).get_stable_uuid() == graph.get_stable_uuid()


def test_error_of_a_node_reaches_those_below() -> None:
    handle = Counter.remote(1)
    with pytest.raises(ValueError, match="boom 2"):
        mobula.get(pair.bind(handle.fail.bind(2)).execute())


@pytest.fixture(scope="module")
def actors(node: None) -> tuple[Any, Any]:
    """Two actors for compiled graphs."""
    return Counter.remote(1), Counter.remote(2)


def test_compiled_graph_runs_many_times(actors: tuple[Any, Any]) -> None:
    a, b = actors
    with InputNode() as x:
        graph = b.join.bind(a.join.bind(x), "k").experimental_compile()
    refs = [graph.execute(i) for i in range(20)]
    assert isinstance(refs[0], CompiledDAGRef)
    assert mobula.get(refs[3]) == (((((3,), {})), "k"), {})
    assert [args[0][0][0] for args, _ in mobula.get(refs[4:])] == list(range(4, 20))
    graph.teardown()
    with pytest.raises(exceptions.RayChannelError, match="closed"):
        graph.execute(1)
    assert mobula.get(a.both.remote(1)) == [1, 2]


def test_result_of_a_compiled_graph_is_got_once_and_stays_here(actors: tuple[Any, Any]) -> None:
    a, _ = actors
    with InputNode() as x:
        graph = a.wait.bind(x).experimental_compile()
    ref = graph.execute(0.3)
    with pytest.raises(exceptions.RayChannelTimeoutError):
        mobula.get(ref, timeout=0.01)
    assert mobula.get(ref, timeout=20) == 0.3
    with pytest.raises(ValueError, match="only be called once"):
        mobula.get(ref)
    ref = graph.execute(0)
    with pytest.raises(TypeError, match="not supported"):
        pickle.dumps(ref)
    with pytest.raises(TypeError):
        pair.remote(ref)
    with pytest.raises(TypeError):
        mobula.wait([ref])


def test_compiled_graph_checks_its_inputs(actors: tuple[Any, Any]) -> None:
    a, b = actors
    with InputNode() as x:
        graph = MultiOutputNode([a.join.bind(x[0]), b.join.bind(x.k, x[1])]).experimental_compile()
    assert mobula.get(graph.execute(1, 2, k=3)) == [((1,), {}), ((3, 2), {})]
    with pytest.raises(ValueError, match="2 positional args, got 1"):
        graph.execute(1, k=3)
    with pytest.raises(ValueError, match="kwarg `k`"):
        graph.execute(1, 2)


def test_compiled_graph_carries_errors_and_goes_on(actors: tuple[Any, Any]) -> None:
    a, b = actors
    with InputNode() as x:
        graph = MultiOutputNode([a.fail.bind(b.join.bind(x)), *b.both.bind(x)]).experimental_compile()
    failed, low, high = graph.execute(1)
    with pytest.raises(ValueError, match="boom"):
        mobula.get(failed)
    assert mobula.get([low, high]) == [1, 2]


def test_compiled_graph_for_asyncio(actors: tuple[Any, Any]) -> None:
    a, _ = actors
    with InputNode() as x:
        node = a.both.bind(x)[1]
    graph = node.experimental_compile(enable_asyncio=True)

    async def main() -> list[int]:
        futures = [await graph.execute_async(i) for i in range(5)]
        assert isinstance(futures[0], CompiledDAGFuture)
        return [await future for future in futures]

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="execute_async"):
        graph.execute(1)


def test_compiled_graph_bounds_what_is_in_flight(actors: tuple[Any, Any]) -> None:
    a, _ = actors
    with InputNode() as x:
        graph = a.wait.bind(x).experimental_compile(_max_inflight_executions=2)
    refs = [graph.execute(0.2), graph.execute(0.2)]
    with pytest.raises(exceptions.RayCgraphCapacityExceeded, match="more than 2"):
        graph.execute(0)
    mobula.get(refs)
    assert mobula.get(graph.execute(0)) == 0


def test_compiled_graph_is_of_methods_of_live_actors(actors: tuple[Any, Any]) -> None:
    a, _ = actors
    with InputNode() as x:
        with pytest.raises(NotImplementedError, match="only support actor method"):
            pair.bind(x).experimental_compile()
        with pytest.raises(ValueError, match="already created"):
            Counter.bind(1).add.bind(x).experimental_compile()
        with pytest.raises(ValueError, match="container"):
            a.add.bind([x]).experimental_compile()
        with pytest.raises(ValueError, match="directly"):
            a.join.bind(x, x[0]).experimental_compile()
        with pytest.raises(ValueError, match="between GPUs"):
            a.add.bind(x).experimental_compile(_overlap_gpu_communication=True)
        with pytest.raises(ValueError, match="nccl"):
            a.add.bind(x).with_tensor_transport("nccl")
    with pytest.raises(ValueError, match="No InputNode"):
        a.add.bind(1).experimental_compile()


def test_teardown_can_kill_the_actors() -> None:
    handle = Counter.remote(1)
    with InputNode() as x:
        graph = handle.add.bind(x).experimental_compile()
    assert mobula.get(graph.execute(1)) == (1, 1, 1)
    graph.teardown(kill_actors=True)
    with pytest.raises(exceptions.RayActorError):
        mobula.get(handle.add.remote(), timeout=30)
