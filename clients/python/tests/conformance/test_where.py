"""Choosing a node by its address, its labels and its id; what is known of nodes."""

from __future__ import annotations

import pytest
import ray
from ray.util.scheduling_strategies import DoesNotExist, Exists, In, NodeAffinitySchedulingStrategy, NodeLabelSchedulingStrategy, NotIn

from .waiting import wait_until


@pytest.fixture(scope="module")
def where(_backend):
    """A task on a node that has labels."""
    ray.init(num_cpus=2, labels={"zone": "a", "team/owner": "b-1"}, include_dashboard=False, log_to_driver=False)

    @ray.remote(num_cpus=0)
    def where():
        return ray.get_runtime_context().get_node_id()

    yield where
    ray.shutdown()


def runs(call):
    """Says whether a task finds a node within a second; on Mobula one that never will is an error at once."""
    ref = call.remote()
    ready, _ = ray.wait([ref], timeout=1)
    if not ready:
        ray.cancel(ref)
        return False
    try:
        return ray.get(ref) == ray.get_runtime_context().get_node_id()
    except ray.exceptions.TaskUnschedulableError:
        return False


FITS = [
    {"zone": "a"},
    {"zone": "!b"},
    {"zone": "in(a)"},
    {"zone": "in(a,b)"},
    {"zone": "in(a, b)"},
    {"zone": "!in(b,c)"},
    {"nosuch": "!b"},
    {"nosuch": "!in(b)"},
    {"zone": "a", "team/owner": "b-1"},
    {"team/owner": "in(b-1,c.d_e)"},
    {},
]
FITS_NOT = [{"zone": "b"}, {"zone": "!a"}, {"zone": "!in(a)"}, {"zone": "in(b,c)"}, {"nosuch": "a"}, {"zone": "a", "nosuch": "a"}]
MALFORMED = [
    {"zone": "in()"},
    {"zone": "in(b"},
    {"zone": "in (a)"},
    {"zone": "a b"},
    {"zone": "-a"},
    {"zone": "!"},
    {"zone": "!!a"},
    {"zone": "a."},
    {"zone": "exists()"},
    {"zone": "notin(a)"},
    {"zone": "IN(a)"},
    {"zone": "x" * 64},
    {"-a": "c"},
    {"a b": "c"},
    {"": "c"},
]


@pytest.mark.parametrize("selector", FITS, ids=str)
def test_labels_that_the_node_has(where, selector):
    assert ray.get(where.options(label_selector=selector).remote(), timeout=30) == ray.get_runtime_context().get_node_id()


@pytest.mark.parametrize("selector", FITS_NOT, ids=str)
def test_labels_that_the_node_has_not(where, selector):
    assert not runs(where.options(label_selector=selector))


@pytest.mark.parametrize("selector", MALFORMED, ids=str)
def test_selectors_that_cannot_be_read(where, selector):
    with pytest.raises(ValueError, match="Invalid label"):
        where.options(label_selector=selector).remote()
    with pytest.raises(ValueError, match="Invalid label"):
        ray.remote(label_selector=selector)(lambda: 1)


@pytest.mark.parametrize(
    ("hard", "fits"),
    [
        ({"zone": In("a", "b")}, True),
        ({"zone": In("b")}, False),
        ({"zone": NotIn("b")}, True),
        ({"zone": Exists()}, True),
        ({"nosuch": Exists()}, False),
        ({"nosuch": DoesNotExist()}, True),
        ({"zone": DoesNotExist()}, False),
    ],
    ids=lambda x: "-".join(f"{k} {type(v).__name__}" for k, v in x.items()) if isinstance(x, dict) else str(x),
)
def test_label_strategy(where, hard, fits):
    call = where.options(scheduling_strategy=NodeLabelSchedulingStrategy(hard))
    assert ray.get(call.remote(), timeout=30) if fits else not runs(call)


def test_labels_that_are_only_wished_for(where):
    wish = NodeLabelSchedulingStrategy({}, soft={"zone": In("b")})
    assert ray.get(where.options(scheduling_strategy=wish).remote(), timeout=30) == ray.get_runtime_context().get_node_id()
    assert ray.get(where.options(label_selector={"zone": "b"}, fallback_strategy=[{"label_selector": {"zone": "a"}}]).remote(), timeout=30)


def test_an_actor_by_labels(where):
    @ray.remote(num_cpus=0, label_selector={"zone": "a"})
    class Actor:
        def node(self):
            return ray.get_runtime_context().get_node_id()

    assert ray.get(Actor.remote().node.remote(), timeout=30) == ray.get_runtime_context().get_node_id()


def test_labels_are_known(where):
    (node,) = ray.nodes()
    assert node["Labels"]["zone"] == "a"
    assert node["Labels"]["ray.io/node-id"] == node["NodeID"]
    labels = ray.get_runtime_context().get_node_labels()
    assert (labels["zone"], labels["team/owner"]) == ("a", "b-1")


@pytest.mark.parametrize("quantity", [0.001, 0.01, 1])
def test_a_node_by_its_address(where, quantity):
    name = f"node:{ray.util.get_node_ip_address()}"
    assert ray.get(where.options(resources={name: quantity}).remote(), timeout=30) == ray.get_runtime_context().get_node_id()


def test_the_head_by_its_name(where):
    assert ray.get(where.options(resources={"node:__internal_head__": 0.001}).remote(), timeout=30)

    @ray.remote(num_cpus=0, resources={"node:__internal_head__": 0.001})
    class Actor:
        def get(self):
            return 1

    assert ray.get(Actor.remote().get.remote(), timeout=30) == 1


def test_a_node_that_is_not_there_by_its_address(where):
    assert not runs(where.options(resources={"node:192.0.2.254": 0.01}))


def test_a_bundle_at_an_address(where):
    group = ray.util.placement_group([{"CPU": 1, f"node:{ray.util.get_node_ip_address()}": 0.01}])
    assert group.wait(30)
    ray.util.remove_placement_group(group)
    wait_until(lambda: ray.available_resources().get("CPU") == 2)


def test_addresses_of_nodes(where):
    (node,) = ray.nodes()
    address = ray.util.get_node_ip_address()
    assert node["NodeManagerAddress"] == address == ray._private.services.get_node_ip_address()
    for resources in (node["Resources"], ray.cluster_resources(), ray.available_resources()):
        assert resources[f"node:{address}"] == 1.0
        assert [name for name in resources if name.startswith("node:") and name != "node:__internal_head__"] == [f"node:{address}"]
        assert resources["node:__internal_head__"] == 1.0


@pytest.mark.parametrize(
    "field",
    [
        "NodeID",
        "Alive",
        "alive",
        "DeathReason",
        "DeathReasonMessage",
        "NodeManagerAddress",
        "NodeManagerHostname",
        "NodeManagerPort",
        "ObjectManagerPort",
        "ObjectStoreSocketName",
        "RayletSocketName",
        "MetricsExportPort",
        "NodeName",
        "RuntimeEnvAgentPort",
        "Resources",
        "Labels",
    ],
)
def test_fields_of_nodes(where, field):
    assert field in ray.nodes()[0]


def test_a_node_by_its_id(where):
    node = ray.get_runtime_context().get_node_id()
    assert ray.get(where.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(), timeout=30) == node
    assert ray.get(where.options(scheduling_strategy=NodeAffinitySchedulingStrategy("0" * len(node), soft=True)).remote(), timeout=30) == node
    assert ray.get(where.options(label_selector={"ray.io/node-id": node}).remote(), timeout=30) == node


def test_tables_of_the_private_state(where):
    from ray._private import state

    @ray.remote(num_cpus=0)
    class Actor:
        def pid(self):
            import os

            return os.getpid()

    actor = Actor.options(name="in the table").remote()
    pid = ray.get(actor.pid.remote())
    row = state.actors(actor._actor_id.hex())
    assert (row["State"], row["Name"], row["Pid"]) == ("ALIVE", "in the table", pid)
    assert row["ActorClassName"].endswith("Actor")
    assert actor._actor_id.hex() in state.actors()
    assert actor._actor_id.hex() in state.actors(actor_state_name="ALIVE")
    with pytest.raises(ValueError, match='"XX" is not a valid actor state name, it must be one of the following: "DEPENDENCIES_UNREADY"'):
        state.actors(actor_state_name="XX")
    assert [job["IsDead"] for job in state.jobs() if job["JobID"] == ray.get_runtime_context().get_job_id()] == [False]
    assert state.node_ids() == [f"node:{ray.util.get_node_ip_address()}"]
    assert state.total_resources_per_node() == {ray.get_runtime_context().get_node_id(): ray.cluster_resources()}
    assert len(state.workers()) >= 1
    ray.kill(actor)
    wait_until(lambda: state.actors(actor._actor_id.hex())["State"] == "DEAD")
