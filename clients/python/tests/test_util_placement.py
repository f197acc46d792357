"""Placement groups reserve resources together, and strategies say where work runs."""

from __future__ import annotations

import pickle
import time
from typing import Any

import pytest

import mobula
from mobula.util import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from mobula.util.placement_group import PlacementGroup
from mobula.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)

pytestmark = pytest.mark.usefixtures("node")
Within = PlacementGroupSchedulingStrategy


@pytest.fixture
def group() -> Any:
    """A group with bundles of one and two of the node's four CPUs."""
    made = placement_group([{"CPU": 1}, {"CPU": 2}])
    assert made.wait(20)
    yield made
    remove_placement_group(made)
    deadline = time.monotonic() + 20
    while mobula.available_resources().get("CPU", 0) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)


@mobula.remote
def where() -> str | None:
    current = get_current_placement_group()
    return None if current is None else current.id.hex()


@mobula.remote
def captures() -> bool:
    return mobula.get_runtime_context().should_capture_child_tasks_in_placement_group


@mobula.remote
class Resident:
    def where(self) -> str | None:
        current = get_current_placement_group()
        return None if current is None else current.id.hex()

    def where_children_are(self) -> list[str | None]:
        self.other = Resident.remote()
        return mobula.get([where.remote(), self.other.where.remote()])


def test_a_group_is_ready_when_it_has_its_resources(group: PlacementGroup) -> None:
    assert mobula.get(group.ready()) == group
    assert mobula.available_resources()["CPU"] == 1
    assert group.bundle_count == 2
    assert group.bundle_specs == [{"CPU": 1}, {"CPU": 2}]
    assert not group.is_empty
    assert PlacementGroup.empty().is_empty


def test_a_removed_group_gives_its_resources_back() -> None:
    group = placement_group([{"CPU": 4}])
    assert group.wait(20)
    assert "CPU" not in mobula.available_resources()
    remove_placement_group(group)
    remove_placement_group(group)
    assert placement_group_table(group)["state"] == "REMOVED"
    second = placement_group([{"CPU": 4}])
    assert second.wait(20)
    remove_placement_group(second)


def test_a_group_that_does_not_fit_waits_and_says_why() -> None:
    group = placement_group([{"CPU": 100}])
    assert not group.wait(0.1)
    table = placement_group_table(group)
    assert table["state"] == "PENDING"
    assert "CPU" in table["stats"]["scheduling_state"]
    remove_placement_group(group)


def test_bundles_that_need_several_nodes_wait_on_one() -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    assert not group.wait(0.1)
    remove_placement_group(group)
    for strategy in ("PACK", "SPREAD", "STRICT_PACK"):
        group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy=strategy)
        assert group.wait(20), strategy
        assert placement_group_table(group)["strategy"] == strategy
        remove_placement_group(group)


@pytest.mark.parametrize("bundles", [[], [{}], [{"CPU": 0}], {"CPU": 1}, [("CPU", 1)], [{"CPU": "1"}], [{"CPU": 1}, {}], [{1: 1}], None], ids=str)
def test_impossible_bundles_are_refused(bundles: Any) -> None:
    with pytest.raises(ValueError):
        placement_group(bundles)


def test_impossible_words_are_refused() -> None:
    with pytest.raises(ValueError, match="strategy"):
        placement_group([{"CPU": 1}], strategy="SPREAD_OUT")
    with pytest.raises(ValueError, match="lifetime"):
        placement_group([{"CPU": 1}], lifetime="for ever")


def test_groups_are_found_by_name() -> None:
    group = placement_group([{"CPU": 1}], name="by name")
    assert get_placement_group("by name") == group
    assert get_placement_group("by name").bundle_specs == [{"CPU": 1}]
    with pytest.raises(mobula.exceptions.RaySystemError):
        placement_group([{"CPU": 1}], name="by name")
    remove_placement_group(group)
    for name in ("by name", "nobody", ""):
        with pytest.raises(ValueError):
            get_placement_group(name)


def test_the_table_has_what_is_known(group: PlacementGroup) -> None:
    table = placement_group_table(group)
    assert table["placement_group_id"] == group.id.hex()
    assert table["bundles"] == {0: {"CPU": 1.0}, 1: {"CPU": 2.0}}
    assert set(table["bundles_to_node_id"].values()) == {mobula.get_runtime_context().get_node_id()}
    assert (table["strategy"], table["state"], table["name"]) == ("PACK", "CREATED", "")
    assert placement_group_table()[group.id.hex()]["state"] == "CREATED"


def test_handles_are_values(group: PlacementGroup) -> None:
    @mobula.remote
    def same(g: PlacementGroup) -> PlacementGroup:
        return g

    assert mobula.get(same.remote(group)) == group
    copy = pickle.loads(pickle.dumps(group))
    assert copy == group and hash(copy) == hash(group)
    assert copy != PlacementGroup.empty()
    assert group.id.hex() in repr(group)


@pytest.mark.parametrize("bundle", [-1, 0, 1])
def test_tasks_run_inside(group: PlacementGroup, bundle: int) -> None:
    assert mobula.get(where.options(scheduling_strategy=Within(group, bundle)).remote()) == group.id.hex()
    assert mobula.get(where.options(placement_group=group, placement_group_bundle_index=bundle).remote()) == group.id.hex()


def test_tasks_elsewhere_are_outside(group: PlacementGroup) -> None:
    assert get_current_placement_group() is None
    assert mobula.get(where.remote()) is None
    assert mobula.get(where.options(scheduling_strategy=Within(None)).remote()) is None
    assert mobula.get(where.options(scheduling_strategy=Within(PlacementGroup.empty())).remote()) is None
    assert mobula.get(where.options(scheduling_strategy="DEFAULT", num_cpus=0.5).remote()) is None


def test_work_inside_uses_the_groups_resources(group: PlacementGroup) -> None:
    actor = Resident.options(num_cpus=2, scheduling_strategy=Within(group, 1)).remote()
    assert mobula.get(actor.where.remote()) == group.id.hex()
    assert mobula.available_resources()["CPU"] == 1
    waiting = where.options(num_cpus=2, scheduling_strategy=Within(group, 1)).remote()
    assert mobula.wait([waiting], timeout=0.2)[0] == []
    mobula.kill(actor)
    assert mobula.get(waiting, timeout=20) == group.id.hex()


def test_what_does_not_fit_a_bundle_is_refused(group: PlacementGroup) -> None:
    for options in (
        {"scheduling_strategy": Within(group), "num_cpus": 3},
        {"scheduling_strategy": Within(group, 0), "num_cpus": 2},
        {"scheduling_strategy": Within(group), "num_gpus": 1},
        {"scheduling_strategy": Within(group, 2)},
        {"scheduling_strategy": Within(group, -2)},
        {"scheduling_strategy": Within(PlacementGroup.empty(), 1)},
    ):
        with pytest.raises(ValueError):
            where.options(**options).remote()
        if "num_cpus" in options:
            with pytest.raises(ValueError):
                Resident.options(**options).remote()


def test_children_are_outside_unless_they_are_captured(group: PlacementGroup) -> None:
    @mobula.remote(num_cpus=0)
    def parent() -> list[Any]:
        own = mobula.get_runtime_context().should_capture_child_tasks_in_placement_group
        default = where.options(scheduling_strategy="DEFAULT")
        return [own, *mobula.get([where.remote(), default.remote(), captures.remote()])]

    for capture in (None, False):
        strategy = Within(group, placement_group_capture_child_tasks=capture)
        assert mobula.get(parent.options(scheduling_strategy=strategy).remote()) == [False, None, None, False]
    strategy = Within(group, placement_group_capture_child_tasks=True)
    assert mobula.get(parent.options(scheduling_strategy=strategy).remote()) == [True, group.id.hex(), None, True]
    assert mobula.get(parent.remote()) == [False, None, None, False]


def test_children_of_an_actor_are_captured_too(group: PlacementGroup) -> None:
    inside = Resident.options(scheduling_strategy=Within(group, placement_group_capture_child_tasks=True)).remote()
    assert mobula.get(inside.where_children_are.remote()) == [group.id.hex()] * 2
    mobula.kill(inside)
    outside = Resident.options(scheduling_strategy=Within(group)).remote()
    assert mobula.get(outside.where_children_are.remote()) == [None, None]
    mobula.kill(outside)


def test_removing_a_group_ends_what_is_inside() -> None:
    group = placement_group([{"CPU": 2}])
    actor = Resident.options(num_cpus=1, scheduling_strategy=Within(group)).remote()
    assert mobula.get(actor.where.remote()) == group.id.hex()
    waiting = where.options(num_cpus=2, scheduling_strategy=Within(group)).remote()
    remove_placement_group(group)
    with pytest.raises((mobula.exceptions.RayActorError, mobula.exceptions.ActorPlacementGroupRemoved)):
        mobula.get(actor.where.remote(), timeout=20)
    with pytest.raises(mobula.exceptions.TaskPlacementGroupRemoved):
        mobula.get(waiting, timeout=20)
    for call in (where.options(num_cpus=2, scheduling_strategy=Within(group)).remote, group.ready):
        with pytest.raises(mobula.exceptions.TaskPlacementGroupRemoved):
            mobula.get(call(), timeout=20)
    with pytest.raises(mobula.exceptions.TaskPlacementGroupRemoved):
        group.wait(20)


def test_a_node_is_chosen_by_its_id() -> None:
    node = mobula.get_runtime_context().get_node_id()
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    assert mobula.get(where.options(scheduling_strategy=here).remote(), timeout=20) is None
    for nobody in ("ab" * 16, "ab" * 28):
        hard, soft = (NodeAffinitySchedulingStrategy(nobody, soft=soft) for soft in (False, True))
        with pytest.raises(mobula.exceptions.TaskUnschedulableError):
            mobula.get(where.options(scheduling_strategy=hard).remote(), timeout=20)
        assert mobula.get(where.options(scheduling_strategy=soft).remote(), timeout=20) is None
    with pytest.raises(ValueError):
        where.options(scheduling_strategy=NodeAffinitySchedulingStrategy("no id", soft=False)).remote()


def test_a_node_is_chosen_by_its_labels() -> None:
    node = mobula.get_runtime_context().get_node_id()
    label = "ray.io/node-id"
    for hard in ({label: In(node)}, {label: In("other", node)}, {label: Exists(), "absent": DoesNotExist()}, {label: NotIn("other")}):
        strategy = NodeLabelSchedulingStrategy(hard=hard, soft={"absent": Exists()})
        assert mobula.get(where.options(scheduling_strategy=strategy).remote(), timeout=20) is None
    for hard in ({label: In("other")}, {label: NotIn(node)}, {label: DoesNotExist()}, {"absent": Exists()}):
        with pytest.raises(mobula.exceptions.TaskUnschedulableError):
            mobula.get(where.options(scheduling_strategy=NodeLabelSchedulingStrategy(hard=hard)).remote(), timeout=20)
    for bad in ({"a": "b"}, {1: In("b")}, "a"):
        with pytest.raises(ValueError):
            NodeLabelSchedulingStrategy(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        In(1)  # type: ignore[arg-type]


def test_spread_is_accepted() -> None:
    assert mobula.get(where.options(scheduling_strategy="SPREAD").remote()) is None
    with pytest.raises(ValueError):
        where.options(scheduling_strategy="ANYWHERE").remote()
    with pytest.raises(TypeError):
        where.options(scheduling_strategy=5).remote()
