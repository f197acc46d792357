"""Which options there are, what they may be, and how they reach the template."""

from __future__ import annotations

from typing import Any

import pytest

import mobula
from mobula import _options
from mobula._actor import actor_template, describe
from mobula._remote import task_template


def noop() -> None: ...


class Empty:
    def m(self) -> int:
        return 1


class Async:
    async def m(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"nonsense": 1}, ValueError, "Invalid option keyword nonsense"),
        ({"max_restarts": 1}, ValueError, "Invalid option keyword max_restarts"),
        ({"num_cpus": -1}, ValueError, "cannot be negative"),
        ({"num_cpus": 0.00001}, ValueError, "cannot go beyond 0.0001"),
        ({"num_cpus": "1"}, TypeError, "num_cpus"),
        ({"resources": {"CPU": 1}}, ValueError, "Use the 'num_cpus'"),
        ({"resources": {"a": -1}}, ValueError, "cannot be negative"),
        ({"resources": "a"}, TypeError, "resources"),
        ({"num_returns": -1}, ValueError, "non-negative"),
        ({"num_returns": 1.5}, TypeError, "num_returns"),
        ({"num_returns": "streaming"}, ValueError, "can only be used with generator functions"),
        ({"num_returns": "dynamic"}, ValueError, "can only be used with generator functions"),
        ({"num_returns": "many"}, ValueError, "num_returns"),
        ({"max_retries": -2}, ValueError, "-1 represents infinity"),
        ({"max_retries": "3"}, TypeError, "max_retries"),
        ({"max_calls": -1}, ValueError, "0 or a positive integer"),
        ({"retry_exceptions": [1]}, ValueError, "retry_exceptions"),
        ({"retry_exceptions": "x"}, TypeError, "retry_exceptions"),
        ({"object_store_memory": 1}, ValueError, "not implemented for tasks"),
        ({"_generator_backpressure_num_objects": 0}, ValueError, "not allowed"),
        ({"scheduling_strategy": "ELSEWHERE"}, ValueError, "SPREAD"),
        ({"scheduling_strategy": 1}, TypeError, "scheduling_strategy"),
        ({"runtime_env": "x"}, TypeError, "runtime_env"),
        ({"name": 1}, TypeError, "name"),
        ({"enable_task_events": None}, TypeError, "enable_task_events"),
    ],
)
def test_a_task_refuses_what_cannot_be(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        mobula.remote(**options)(noop)
    with pytest.raises(error, match=text):
        mobula.remote(noop).options(**options)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"max_retries": 1}, ValueError, "Invalid option keyword max_retries"),
        ({"max_restarts": -2}, ValueError, "-1 represents infinity"),
        ({"max_concurrency": -1}, ValueError, "0 or a positive"),
        ({"max_concurrency": "2"}, TypeError, "max_concurrency"),
        ({"lifetime": "long"}, ValueError, "lifetime"),
        ({"get_if_exists": True}, ValueError, "name must be specified"),
        ({"get_if_exists": 1, "name": "a"}, TypeError, "get_if_exists"),
        ({"concurrency_groups": 1}, TypeError, "concurrency_groups"),
        ({"enable_tensor_transport": True}, ValueError, "tensor transport"),
    ],
)
def test_an_actor_refuses_what_cannot_be(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        mobula.remote(**options)(Empty)


def test_some_options_are_for_decorators_only() -> None:
    with pytest.raises(ValueError, match="max_calls"):
        mobula.remote(noop).options(max_calls=1)
    with pytest.raises(ValueError, match="concurrency_groups"):
        mobula.remote(Empty).options(concurrency_groups={"a": 1})


def test_remote_takes_functions_and_classes_only() -> None:
    for thing in (1, "f", None, print, Empty().m):
        with pytest.raises((TypeError, AssertionError)):
            mobula.remote(thing)  # type: ignore[call-overload]
    with pytest.raises(AssertionError, match="decorator must be applied"):
        mobula.remote()

    async def coroutine() -> None: ...

    with pytest.raises(ValueError, match="async def"):
        mobula.remote(coroutine)


def test_what_is_remote_cannot_be_called_directly() -> None:
    with pytest.raises(TypeError, match="cannot be called directly"):
        mobula.remote(noop)()
    with pytest.raises(TypeError, match="cannot be instantiated directly"):
        mobula.remote(Empty)()


def test_an_actor_class_cannot_be_inherited_from() -> None:
    cls = mobula.remote(Empty)
    with pytest.raises(TypeError, match="Inheriting from actor classes"):

        class Derived(cls):  # type: ignore[misc, valid-type]
            pass


def test_options_reach_the_template_of_a_task() -> None:
    t = task_template(
        "m.f",
        {
            "num_cpus": 0.5,
            "num_gpus": 2,
            "memory": 1000.0,
            "resources": {"a": 1.5, "none": 0},
            "max_retries": -1,
            "retry_exceptions": [ValueError, KeyError],
            "name": "n",
            "_labels": {"k": "v"},
            "runtime_env": {"env_vars": {"A": "b"}},
            "scheduling_strategy": "SPREAD",
            "enable_task_events": False,
        },
        2,
    )
    o = t.options
    assert (o.num_cpus, o.num_gpus, o.memory, dict(o.resources)) == (5_000, 20_000, 1000, {"a": 15_000})
    assert (o.max_retries, o.retry_exceptions, list(o.retry_exception_names)) == (-1, True, ["builtins.ValueError", "builtins.KeyError"])
    assert (o.name, dict(o.labels), dict(o.env), o.scheduling_strategy.spread, o.no_task_events) == ("n", {"k": "v"}, {"A": "b"}, True, True)
    assert (t.num_returns, o.max_calls) == (2, 1), "a task with a GPU has its worker end after it"


def test_a_plain_task_has_three_retries_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert task_template("m.f", {}, 1).options.max_retries == 3
    monkeypatch.setenv("RAY_TASK_MAX_RETRIES", "0")
    assert task_template("m.f", {}, 1).options.max_retries == 0
    assert task_template("m.f", {"max_retries": 7}, 1).options.max_retries == 7


def test_gpus_above_one_are_whole() -> None:
    assert task_template("m.f", {"num_gpus": 0.25}, 1).options.num_gpus == 2500
    with pytest.raises(ValueError, match="whole numbers"):
        task_template("m.f", {"num_gpus": 1.5}, 1)


def test_an_actor_needs_a_cpu_only_where_ray_says_so() -> None:
    empty = describe(Empty, "m.Empty")
    assert not actor_template("m.Empty", {}, empty).options.HasField("num_cpus")
    assert actor_template("m.Empty", {"num_cpus": 0}, empty).options.HasField("num_cpus")
    assert actor_template("m.Empty", {"resources": {"a": 1}}, empty).options.num_cpus == _options.UNITS
    assert actor_template("m.Empty", {"num_gpus": 1}, empty).options.num_cpus == _options.UNITS


def test_async_actors_run_a_thousand_calls_at_once_and_in_any_order() -> None:
    o = actor_template("m.Async", {}, describe(Async, "m.Async")).options
    assert (o.max_concurrency, o.allow_out_of_order_execution) == (1000, True)
    with pytest.raises(ValueError, match="async actors"):
        actor_template("m.Async", {"allow_out_of_order_execution": False}, describe(Async, "m.Async"))
    with pytest.raises(ValueError, match="multi-threaded actors"):
        actor_template("m.Empty", {"allow_out_of_order_execution": False, "max_concurrency": 2}, describe(Empty, "m.Empty"))


def test_a_method_cannot_be_in_a_group_that_is_not_there() -> None:
    class Grouped:
        @mobula.method(concurrency_group="io")
        def m(self) -> None: ...

    with pytest.raises(ValueError, match="'io'"):
        actor_template("m.Grouped", {}, describe(Grouped, "m.Grouped"))
    o = actor_template("m.Grouped", {"concurrency_groups": {"io": 2}}, describe(Grouped, "m.Grouped")).options
    assert dict(o.concurrency_groups) == {"io": 2}


def test_method_refuses_what_cannot_be() -> None:
    with pytest.raises(AssertionError, match="Unexpected keyword"):
        mobula.method(nonsense=1)
    with pytest.raises(ValueError, match="generator functions"):
        mobula.method(num_returns="streaming")(Empty.m)
    with pytest.raises(ValueError, match="num_returns"):
        mobula.method(num_returns=-1)(Empty.m)


def test_init_refuses_what_it_does_not_know() -> None:
    with pytest.raises(RuntimeError, match="Unknown keyword"):
        mobula.init(nonsense=1)
    with pytest.raises(RuntimeError, match="local_mode"):
        mobula.init(local_mode=True)
    with pytest.raises(ValueError, match="namespace"):
        mobula.init(namespace="")
    with pytest.raises(ConnectionError, match="running Mobula node"):
        mobula.init("auto")
    with pytest.raises(ConnectionError):
        mobula.init("192.0.2.1:6379")
