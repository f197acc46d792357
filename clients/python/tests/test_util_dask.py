"""Dask's graphs as tasks. All of its collections are tried by tests/third_party/dask_collections.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import mobula

dask = pytest.importorskip("dask")

from mobula.util.dask import dask_get, dask_persist, disable_dask, enable_dask  # noqa: E402

pytestmark = pytest.mark.usefixtures("node")


@dask.delayed
def inc(x: int) -> int:
    return x + 1


@dask.delayed
def add(x: int, y: int) -> int:
    return x + y


@dask.delayed
def fail() -> None:
    raise KeyError("gone")


@pytest.fixture
def enabled() -> Iterator[None]:
    enable_dask()
    yield
    disable_dask()


def test_plain_graph_of_tuples() -> None:
    graph = {"a": 1, "b": (sum, ["a", 2]), "c": "b", "d": (list, [["a", "b"]])}
    assert dask_get(graph, "c") == 3
    assert dask_get(graph, ["a", ["b", "a"]]) == [1, [3, 1]]


def test_shared_node_is_one_task() -> None:
    marks = dask.delayed(lambda: mobula.get_runtime_context().get_task_id())()
    first, second = dask.compute(marks, marks, scheduler=dask_get)
    assert first == second
    assert dask.compute(add(inc(1), inc(2)), scheduler=dask_get) == (5,)


def test_error_is_that_of_the_task() -> None:
    with pytest.raises(KeyError, match="gone") as info:
        add(fail(), 1).compute(scheduler=dask_get)
    assert isinstance(info.value, mobula.exceptions.RayTaskError)


def test_options_of_tasks() -> None:
    with pytest.raises(mobula.exceptions.TaskUnschedulableError):
        inc(1).compute(scheduler=dask_get, ray_remote_args={"resources": {"missing": 1}})
    with dask.annotate(ray_remote_args={"resources": {"missing": 1}}):
        annotated = inc(1)
    with pytest.raises(mobula.exceptions.TaskUnschedulableError):
        annotated.compute(scheduler=dask_get, optimize_graph=False)


def test_refs_instead_of_values() -> None:
    (ref,) = dask_get({"a": (sum, [1, 2])}, ["a"], ray_persist=True)
    assert mobula.get(ref) == 3


def test_persist_keeps_the_data_in_the_store(enabled: None) -> None:
    kept = inc(1).persist()
    assert add(kept, kept).compute() == 4
    (other,) = dask.persist(inc(2))
    assert other.compute() == 3
    (explicit,) = dask_persist(inc(3))
    assert explicit.compute() == 4


def test_enable_ends_with_its_block() -> None:
    before = dask.persist
    with enable_dask():
        assert dask.config.get("scheduler") is dask_get
        assert dask.persist is not before
        assert inc(1).compute() == 2
    assert dask.config.get("scheduler", None) is None
    assert dask.persist is before
