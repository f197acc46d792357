"""The state interface lists and counts what the node knows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from eventually import eventually

import mobula
from mobula.util import placement_group, remove_placement_group, state
from mobula.util.state import RayStateApiException, StateApiException

pytestmark = pytest.mark.usefixtures("node")


@mobula.remote(num_cpus=0)
class Keeper:
    def value(self) -> int:
        return 1

    def wait(self) -> None:
        time.sleep(60)


@mobula.remote(num_cpus=0)
def quick() -> int:
    return 1


@mobula.remote(num_cpus=0, max_retries=0)
def broken() -> None:
    raise ValueError("broken")


@mobula.remote(num_cpus=0)
def endless(after: Any = None) -> None:
    time.sleep(60)


@pytest.fixture(scope="module")
def work(node: None) -> Iterator[dict[str, Any]]:
    """Some of everything, held while the tests run."""
    actor = Keeper.options(name="keeper").remote()
    mobula.get(actor.value.remote())
    made = {"actor": actor, "done": quick.remote(), "failed": broken.remote(), "running": endless.remote()}
    made["waiting"] = endless.options(name="waits").remote(made["running"])
    made["call"] = actor.wait.remote()
    made["object"] = mobula.put(b"x" * 1_000_000)
    mobula.wait([made["done"], made["failed"]], num_returns=2)
    eventually(lambda: state.list_tasks(filters=[("name", "=", "endless"), ("state", "=", "RUNNING")]))
    yield made
    mobula.kill(actor)
    for name in ("waiting", "running"):
        mobula.cancel(made[name], force=True)


def test_actors_are_listed(work: dict[str, Any]) -> None:
    (row,) = state.list_actors(filters=[("name", "=", "keeper")])
    assert row.actor_id == work["actor"]._actor_id.hex()
    assert (row.class_name, row.state, row.ray_namespace, row.is_detached) == ("Keeper", "ALIVE", "tests", False)
    assert row.pid > 0 and row.pid != os.getpid()
    assert row["state"] == row.get("state") == "ALIVE"
    assert state.get_actor(row.actor_id) == row
    assert state.get_actor("00" * 16) is None
    assert state.list_actors(filters=[("state", "=", "alive"), ("name", "=", "keeper")])
    assert not state.list_actors(filters=[("state", "!=", "ALIVE"), ("name", "=", "keeper")])


def test_an_actor_that_died_is_listed_with_its_cause(node: None) -> None:
    actor = Keeper.options(name="short-lived").remote()
    mobula.get(actor.value.remote())
    mobula.kill(actor)
    (row,) = eventually(lambda: state.list_actors(filters=[("name", "=", "short-lived"), ("state", "=", "DEAD")]))
    assert row.death_cause
    assert row.start_time_ms > 0


def test_tasks_are_listed_with_their_states(work: dict[str, Any]) -> None:
    states = {name: state.get_task(work[name]).state for name in ("done", "failed", "running", "waiting", "call")}
    assert states == {
        "done": "FINISHED",
        "failed": "FAILED",
        "running": "RUNNING",
        "waiting": "PENDING_ARGS_AVAIL",
        "call": "RUNNING",
    }
    failed, running, call = (state.get_task(work[name]) for name in ("failed", "running", "call"))
    assert "broken" in failed.error_message
    assert (running.type, running.func_or_class_name) == ("NORMAL_TASK", "endless")
    assert running.worker_pid > 0 and running.worker_id
    assert os.path.basename(__file__) in running.call_site
    assert (call.type, call.name, call.actor_id) == ("ACTOR_TASK", "Keeper.wait", work["actor"]._actor_id.hex())
    assert state.get_task(work["waiting"]).name == "waits"
    assert state.get_task(work["done"].task_id().hex()).state == "FINISHED"
    assert state.get_task("00" * 16) is None
    assert [row.name for row in state.list_tasks(filters=[("type", "=", "ACTOR_CREATION_TASK"), ("name", "=", "keeper")])] == ["keeper"]


def test_tasks_that_have_ended_are_remembered(node: None) -> None:
    mobula.get([quick.options(name="forgotten").remote() for _ in range(3)])
    rows = eventually(lambda: state.list_tasks(filters=[("name", "=", "forgotten")]))
    assert [row.state for row in rows] == ["FINISHED"] * 3
    for row in rows:
        assert row.start_time_ms is not None and row.end_time_ms is not None
        assert row.creation_time_ms <= row.start_time_ms <= row.end_time_ms
        assert row.worker_pid


def test_objects_are_listed(work: dict[str, Any]) -> None:
    (row,) = state.get_objects(work["object"].hex())
    assert row.object_size >= 1_000_000
    assert (row.task_status, row.type, row.pid) == ("FINISHED", "DRIVER", os.getpid())
    assert state.list_objects()[0].object_size >= 1_000_000
    (pending,) = state.get_objects(work["running"].hex())
    assert (pending.task_status, pending.object_size) == ("PENDING", -1)
    assert state.get_objects("00" * 20) == []


def test_nodes_workers_and_jobs_are_listed(work: dict[str, Any]) -> None:
    context = mobula.get_runtime_context()
    (node,) = state.list_nodes()
    assert node == state.get_node(context.get_node_id())
    assert (node.state, node.is_head_node) == ("ALIVE", True)
    assert node.resources_total["CPU"] == 4
    assert node.resources_total["token"] == 2
    worker = state.get_worker(state.get_task(work["running"]).worker_id)
    assert worker is not None and worker.is_alive and worker.worker_type == "WORKER"
    assert worker.node_id == node.node_id
    job = state.get_job(context.get_job_id())
    assert job is not None
    assert (job.status, job.driver_pid, job.type) == ("RUNNING", os.getpid(), "DRIVER")


def test_placement_groups_are_listed(node: None) -> None:
    group = placement_group([{"CPU": 1}], name="listed")
    assert group.wait(20)
    (row,) = state.list_placement_groups(filters=[("name", "=", "listed")])
    assert (row.placement_group_id, row.state) == (group.id.hex(), "CREATED")
    assert row.bundles == [{"CPU": 1}]
    assert state.get_placement_group(group.id.hex()) == row
    remove_placement_group(group)


def test_filters_come_before_the_limit(work: dict[str, Any]) -> None:
    refs = [quick.remote() for _ in range(30)]
    mobula.get(refs)
    assert len(state.list_tasks(limit=5)) == 5
    assert len(state.list_tasks(filters=[("state", "=", "FAILED")], limit=1)) == 1
    assert len(state.list_tasks(filters=[("name", "=", "quick")], limit=7)) == 7


def test_bad_questions_are_refused(node: None) -> None:
    for bad in ({"filters": [("nothing", "=", 1)]}, {"filters": [("state", ">", 1)]}, {"limit": 0}, {"limit": 1_000_000}):
        with pytest.raises(ValueError):
            state.list_tasks(**bad)
    with pytest.raises(ValueError):
        state.list_tasks(address="10.0.0.1:6379")
    assert RayStateApiException is StateApiException


def test_summaries_count(work: dict[str, Any]) -> None:
    tasks = state.summarize_tasks()["cluster"]
    assert tasks["summary"]["endless"]["state_counts"]["RUNNING"] == 1
    assert tasks["summary"]["endless"]["state_counts"]["PENDING_ARGS_AVAIL"] == 1
    assert tasks["summary"]["broken"]["state_counts"] == {"FAILED": 1}
    assert tasks["summary"]["Keeper.wait"]["type"] == "ACTOR_TASK"
    assert tasks["total_tasks"] >= 4 and tasks["total_actor_tasks"] >= 1 and tasks["total_actor_scheduled"] >= 1
    actors = state.summarize_actors()["cluster"]
    assert actors["summary"]["Keeper"]["state_counts"]["ALIVE"] == 1
    objects = state.summarize_objects()["cluster"]
    assert objects["total_objects"] >= 5 and objects["total_size_mb"] >= 1


def test_a_row_is_a_mapping_too(work: dict[str, Any]) -> None:
    row = state.list_nodes()[0]
    assert row.asdict() == {column: row[column] for column in row} == dict(row)
    assert row.get("nothing", 5) == 5
    with pytest.raises(KeyError):
        _ = row["nothing"]


def test_a_worker_can_ask(work: dict[str, Any]) -> None:
    @mobula.remote(num_cpus=0)
    def ask() -> list[str]:
        return [row.state for row in state.list_actors(filters=[("name", "=", "keeper")])]

    assert mobula.get(ask.remote()) == ["ALIVE"]
