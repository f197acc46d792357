"""Placement groups and scheduling strategies on one node."""

from __future__ import annotations

import pytest
import ray
from ray.exceptions import RayError
from ray.util import get_current_placement_group, get_placement_group, placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from .waiting import wait_until

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(autouse=True)
def all_free(cluster):
    wait_until(lambda: ray.available_resources().get("CPU") == 4)


@pytest.fixture
def group():
    made = []

    def make(*args, **kwargs):
        made.append(placement_group(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        remove_placement_group(each)


@ray.remote(num_cpus=1)
def inside():
    """Returns the group that it runs in."""
    current = get_current_placement_group()
    return None if current is None else current.id.hex()


@pytest.mark.parametrize("strategy", ["PACK", "SPREAD", "STRICT_PACK"])
def test_ready(group, strategy):
    made = group([{"CPU": 1}, {"CPU": 1}], strategy=strategy)
    assert made.wait(10) is True
    ray.get(made.ready(), timeout=10)
    assert made.bundle_specs == [{"CPU": 1}, {"CPU": 1}]
    assert made.bundle_count == 2


def test_group_that_does_not_fit_waits(group):
    too_large = group([{"CPU": 100}])
    assert too_large.wait(0.3) is False
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(too_large.ready(), timeout=0.3)


def test_strict_spread_needs_several_nodes(group):
    assert group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD").wait(0.3) is False


def test_group_reserves_what_it_has(group):
    made = group([{"CPU": 3}])
    assert made.wait(10)
    wait_until(lambda: ray.available_resources().get("CPU") == 1)
    remove_placement_group(made)
    wait_until(lambda: ray.available_resources().get("CPU") == 4)


def test_task_in_a_bundle(group):
    made = group([{"CPU": 1}, {"CPU": 1}])
    assert made.wait(10)
    for index in (0, 1, -1):
        strategy = PlacementGroupSchedulingStrategy(made, placement_group_bundle_index=index)
        assert ray.get(inside.options(scheduling_strategy=strategy).remote(), timeout=20) == made.id.hex()


def test_task_outside_has_no_group():
    assert ray.get(inside.remote()) is None
    assert get_current_placement_group() is None


def test_actor_in_a_bundle(group):
    @ray.remote(num_cpus=1)
    class Actor:
        def group(self):
            return get_current_placement_group().id.hex()

    made = group([{"CPU": 1}])
    actor = Actor.options(scheduling_strategy=PlacementGroupSchedulingStrategy(made)).remote()
    assert ray.get(actor.group.remote(), timeout=20) == made.id.hex()
    ray.kill(actor)


def test_a_bundle_holds_no_more_than_it_has(group, signal):
    made = group([{"CPU": 1}])
    strategy = PlacementGroupSchedulingStrategy(made, 0)
    gate = signal()

    @ray.remote(num_cpus=1)
    def hold():
        ray.get(gate.wait.remote())
        return "held"

    @ray.remote(num_cpus=1)
    class Holder:
        def f(self):
            return 1

    holder = Holder.options(scheduling_strategy=strategy).remote()
    ray.get(holder.f.remote(), timeout=20)
    waiting = inside.options(scheduling_strategy=strategy).remote()
    assert ray.wait([waiting], timeout=0.3) == ([], [waiting])
    ray.kill(holder)
    assert ray.get(waiting, timeout=20) == made.id.hex()


def test_captured_children(group):
    made = group([{"CPU": 2}])
    assert made.wait(10)

    @ray.remote(num_cpus=1)
    def parent():
        return ray.get(inside.remote())

    capture = PlacementGroupSchedulingStrategy(made, placement_group_capture_child_tasks=True)
    leave = PlacementGroupSchedulingStrategy(made, placement_group_capture_child_tasks=False)
    assert ray.get(parent.options(scheduling_strategy=capture).remote(), timeout=20) == made.id.hex()
    assert ray.get(parent.options(scheduling_strategy=leave).remote(), timeout=20) is None


def test_demand_that_no_bundle_can_ever_meet_is_a_value_error(group):
    made = group([{"CPU": 1}])
    with pytest.raises(ValueError):
        inside.options(num_cpus=2, scheduling_strategy=PlacementGroupSchedulingStrategy(made)).remote()
    with pytest.raises(ValueError):
        inside.options(scheduling_strategy=PlacementGroupSchedulingStrategy(made, 5)).remote()


def test_removed_group_fails_what_runs_in_it(group):
    @ray.remote(num_cpus=1)
    class Actor:
        def f(self):
            return 1

    made = group([{"CPU": 1}])
    actor = Actor.options(scheduling_strategy=PlacementGroupSchedulingStrategy(made)).remote()
    assert ray.get(actor.f.remote(), timeout=20) == 1
    remove_placement_group(made)
    with pytest.raises(RayError):
        for _ in range(100):
            ray.get(actor.f.remote(), timeout=20)


def test_named_group(group):
    made = group([{"CPU": 1}], name="by name")
    assert made.wait(10)
    assert get_placement_group("by name").id == made.id
    with pytest.raises(ValueError):
        get_placement_group("nobody")


def test_table(group):
    made = group([{"CPU": 1}, {"CPU": 2}], strategy="PACK", name="in the table")
    assert made.wait(10)
    row = placement_group_table(made)
    assert row["state"] == "CREATED"
    assert row["name"] == "in the table"
    assert row["strategy"] == "PACK"
    assert {int(k): v["CPU"] for k, v in row["bundles"].items()} == {0: 1.0, 1: 2.0}
    assert made.id.hex() in placement_group_table()
    remove_placement_group(made)
    wait_until(lambda: placement_group_table(made).get("state") == "REMOVED")


@pytest.mark.parametrize(
    ("bundles", "options"),
    [
        ([], {}),
        ([{}], {}),
        ([{"CPU": 0}], {}),
        ("CPU", {}),
        ([{"CPU": 1}], {"strategy": "NOWHERE"}),
        ([{"CPU": 1}], {"lifetime": "for ever"}),
    ],
    ids=str,
)  # fmt: skip
def test_impossible_groups_are_value_errors(bundles, options):
    with pytest.raises(ValueError):
        placement_group(bundles, **options)


def test_group_can_be_sent(group):
    made = group([{"CPU": 2}])
    assert made.wait(10)

    @ray.remote(num_cpus=1)
    def use(g):
        return ray.get(inside.options(scheduling_strategy=PlacementGroupSchedulingStrategy(g)).remote())

    assert ray.get(use.remote(made), timeout=20) == made.id.hex()


def test_affinity_to_this_node():
    node = ray.get_runtime_context().get_node_id()

    @ray.remote
    def where():
        return ray.get_runtime_context().get_node_id()

    for soft in (True, False):
        strategy = NodeAffinitySchedulingStrategy(node, soft=soft)
        assert ray.get(where.options(scheduling_strategy=strategy).remote(), timeout=20) == node


def test_affinity_to_a_node_that_is_not_there():
    nowhere = "e" * len(ray.get_runtime_context().get_node_id())
    with pytest.raises(ray.exceptions.TaskUnschedulableError):
        ray.get(inside.options(scheduling_strategy=NodeAffinitySchedulingStrategy(nowhere, soft=False)).remote(), timeout=30)
    assert ray.get(inside.options(scheduling_strategy=NodeAffinitySchedulingStrategy(nowhere, soft=True)).remote(), timeout=30) is None


def test_actor_with_affinity_to_a_node_that_is_not_there():
    @ray.remote(num_cpus=0)
    class Actor:
        def f(self):
            return 1

    nowhere = "e" * len(ray.get_runtime_context().get_node_id())
    actor = Actor.options(scheduling_strategy=NodeAffinitySchedulingStrategy(nowhere, soft=False)).remote()
    with pytest.raises(ray.exceptions.ActorUnschedulableError):
        ray.get(actor.f.remote(), timeout=30)


@pytest.mark.ray_only("Mobula says at once what can never run")
def test_more_than_the_cluster_has_waits():
    @ray.remote(resources={"nothing has this": 1})
    def f():
        return 1

    ref = f.remote()
    assert ray.wait([ref], timeout=0.3) == ([], [ref])
    ray.cancel(ref)


@pytest.mark.mobula_only("Ray waits without end for a node that could run it")
def test_more_than_the_cluster_has_is_an_error_that_says_what_is_short():
    @ray.remote(resources={"nothing has this": 1})
    def f():
        return 1

    @ray.remote(num_cpus=100)
    class Actor:
        def f(self):
            return 1

    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="nothing has this"):
        ray.get(f.remote(), timeout=20)
    with pytest.raises((ray.exceptions.ActorUnschedulableError, ray.exceptions.ActorDiedError), match="CPU: needs 100"):
        ray.get(Actor.remote().f.remote(), timeout=20)


def test_waiting_no_time_for_a_group(group):
    made = group([{"CPU": 1}])
    assert made.wait(20)
    assert made.wait(0)
    assert made.wait(timeout_seconds=0)
    assert not group([{"CPU": 100}]).wait(0)
