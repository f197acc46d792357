"""Options of tasks, actors and methods: what is accepted, and which exception is raised when."""

from __future__ import annotations

import os

import pytest
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

pytestmark = pytest.mark.usefixtures("cluster")


def function():
    return 1


def generator():
    yield 1


class Plain:
    def method(self):
        return 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"unknown": 1}, ValueError),
        ({"max_restarts": 1}, ValueError),
        ({"lifetime": "detached"}, ValueError),
        ({"num_cpus": "1"}, TypeError),
        ({"num_cpus": -1}, ValueError),
        ({"num_cpus": 0.00001}, ValueError),
        ({"num_gpus": -0.5}, ValueError),
        ({"num_gpus": [1]}, TypeError),
        ({"memory": -1}, ValueError),
        ({"memory": "1GB"}, TypeError),
        ({"resources": {"CPU": 1}}, ValueError),
        ({"resources": {"GPU": 1}}, ValueError),
        ({"resources": {"x": -1}}, ValueError),
        ({"resources": ["x"]}, TypeError),
        ({"resources": {"x": 0.00001}}, ValueError),
        ({"accelerator_type": 1}, TypeError),
        ({"object_store_memory": 10}, ValueError),
        ({"num_returns": -1}, ValueError),
        ({"num_returns": "many"}, (TypeError, ValueError)),
        ({"num_returns": 1.5}, TypeError),
        ({"max_retries": -2}, ValueError),
        ({"max_retries": "3"}, TypeError),
        ({"max_calls": -1}, ValueError),
        ({"max_calls": 1.5}, TypeError),
        ({"retry_exceptions": 3}, TypeError),
        ({"retry_exceptions": [1]}, ValueError),
        ({"name": 3}, TypeError),
        ({"runtime_env": "x"}, TypeError),
        ({"scheduling_strategy": 3}, TypeError),
        ({"enable_task_events": 3}, TypeError),
        ({"_generator_backpressure_num_objects": 0}, ValueError),
        ({"label_selector": "x"}, TypeError),
    ],
    ids=str,
)
def test_option_that_a_task_cannot_have(options, error):
    with pytest.raises(error):
        ray.remote(**options)(function)
    with pytest.raises(error):
        ray.remote(function).options(**options).remote()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"unknown": 1}, ValueError),
        ({"max_retries": 1}, ValueError),
        ({"num_returns": 1}, ValueError),
        ({"num_cpus": -1}, ValueError),
        ({"num_cpus": "x"}, TypeError),
        ({"resources": {"CPU": 1}}, ValueError),
        ({"max_restarts": -2}, ValueError),
        ({"max_restarts": "1"}, TypeError),
        ({"max_task_retries": -2}, ValueError),
        ({"max_pending_calls": -2}, ValueError),
        ({"max_pending_calls": "1"}, TypeError),
        ({"max_concurrency": -1}, ValueError),
        ({"max_concurrency": "1"}, TypeError),
        ({"lifetime": "for ever"}, ValueError),
        ({"lifetime": 3}, TypeError),
        ({"name": 3}, TypeError),
        ({"namespace": 3}, TypeError),
        ({"get_if_exists": "yes"}, TypeError),
        ({"runtime_env": 3}, TypeError),
    ],
    ids=str,
)
def test_option_that_an_actor_cannot_have(options, error):
    with pytest.raises(error):
        ray.remote(**options)(Plain)
    with pytest.raises(error):
        ray.remote(Plain).options(**options).remote()


def test_max_calls_only_in_the_decorator():
    with pytest.raises(ValueError):
        ray.remote(function).options(max_calls=1)


def test_concurrency_groups_only_in_the_decorator():
    with pytest.raises(ValueError):
        ray.remote(Plain).options(concurrency_groups={"io": 1})


@pytest.mark.parametrize("how", ["streaming", "dynamic"])
def test_streams_only_of_generators(how):
    with pytest.raises(ValueError):
        ray.remote(num_returns=how)(function).remote()
    with pytest.raises(ValueError):
        ray.remote(function).options(num_returns=how).remote()


def test_get_if_exists_needs_a_name():
    with pytest.raises(ValueError):
        ray.remote(Plain).options(get_if_exists=True).remote()


@pytest.mark.parametrize("name", ["", 3])
def test_name_of_an_actor_must_be_a_text_that_is_not_empty(name):
    with pytest.raises((ValueError, TypeError)):
        ray.remote(Plain).options(name=name).remote()


def test_options_of_methods_are_checked():
    with pytest.raises((ValueError, AssertionError)):
        ray.method(unknown=1)
    with pytest.raises((ValueError, AssertionError)):
        ray.method(3)
    with pytest.raises(ValueError):
        ray.method(num_returns=-1)(function)


@pytest.mark.mobula_only("Ray notices it at the first call, or never")
@pytest.mark.parametrize("options", [{"scheduling_strategy": "NOWHERE"}, {"num_returns": "many"}], ids=str)
def test_impossible_words_are_value_errors_where_they_are_written(options):
    with pytest.raises(ValueError):
        ray.remote(function).options(**options).remote()


def test_placement_group_and_strategy_do_not_mix():
    group = ray.util.placement_group([{"CPU": 1}])
    try:
        with pytest.raises(ValueError):
            ray.remote(function).options(placement_group=group, scheduling_strategy="SPREAD").remote()
    finally:
        ray.util.remove_placement_group(group)


def test_strategy_objects_are_checked():
    with pytest.raises((ValueError, TypeError)):
        ray.remote(function).options(scheduling_strategy=NodeAffinitySchedulingStrategy("nonsense", soft=False)).remote()
    with pytest.raises((ValueError, TypeError, AssertionError)):
        PlacementGroupSchedulingStrategy("no group")
        ray.remote(function).options(scheduling_strategy=PlacementGroupSchedulingStrategy("no group")).remote()


@pytest.mark.parametrize(
    "options",
    [
        {"num_cpus": 0},
        {"num_cpus": 0.5},
        {"num_cpus": 1.0},
        {"memory": 1000},
        {"resources": {"token": 1}},
        {"resources": {"token": 0.5}},
        {"max_retries": -1},
        {"max_retries": 0},
        {"retry_exceptions": True},
        {"retry_exceptions": [ValueError, KeyError]},
        {"name": "a name"},
        {"scheduling_strategy": "SPREAD"},
        {"scheduling_strategy": "DEFAULT"},
        {"enable_task_events": False},
        {"num_returns": None},
        {"num_returns": 1},
        {"runtime_env": {"env_vars": {"A": "B"}}},
        {},
    ],
    ids=str,
)
def test_option_that_a_task_can_have(options):
    f = ray.remote(function)
    assert ray.get(f.options(**options).remote()) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"num_cpus": 0.5},
        {"max_restarts": -1},
        {"max_task_retries": -1, "max_restarts": 1},
        {"max_concurrency": 2},
        {"max_pending_calls": 10},
        {"lifetime": "non_detached"},
        {"memory": 1000},
        {"resources": {"token": 1}},
        {"scheduling_strategy": "SPREAD"},
    ],
    ids=str,
)
def test_option_that_an_actor_can_have(options):
    actor = ray.remote(Plain).options(**options).remote()
    assert ray.get(actor.method.remote()) == 1
    ray.kill(actor)


def test_options_can_be_chained_and_kept():
    f = ray.remote(generator).options(num_returns="streaming")
    assert [ray.get(ref) for ref in f.remote()] == [1]


def test_env_vars_of_one_call():
    @ray.remote
    def read():
        return os.environ.get("OPTION_TEST"), os.getpid()

    value, pid = ray.get(read.options(runtime_env={"env_vars": {"OPTION_TEST": "yes"}}).remote())
    other, plain = ray.get(read.remote())
    assert value == "yes"
    assert other is None
    assert plain != pid


def test_custom_resources_limit_what_runs_at_once(signal):
    gate = signal()

    @ray.remote(num_cpus=0, resources={"token": 2})
    def hold(gate):
        ray.get(gate.wait.remote())
        return "done"

    first, second = hold.remote(gate), hold.remote(gate)
    ready, _ = ray.wait([first, second], timeout=0.3)
    assert not ready
    assert ray.get(gate.waiters.remote()) <= 1
    ray.get(gate.send.remote())
    assert ray.get([first, second]) == ["done", "done"]
