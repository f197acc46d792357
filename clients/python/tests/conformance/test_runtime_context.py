"""What a program can ask of where it runs."""

from __future__ import annotations

import json
import os

import pytest
import ray

pytestmark = pytest.mark.usefixtures("cluster")


def test_driver():
    context = ray.get_runtime_context()
    assert context.get_task_id() is None
    assert context.get_actor_id() is None
    assert context.namespace == "conformance"
    int(context.get_job_id(), 16)
    int(context.get_node_id(), 16)
    int(context.get_worker_id(), 16)


def test_task():
    @ray.remote
    def look():
        context = ray.get_runtime_context()
        return {
            "job": context.get_job_id(),
            "node": context.get_node_id(),
            "worker": context.get_worker_id(),
            "task": context.get_task_id(),
            "actor": context.get_actor_id(),
            "function": context.get_task_name(),
            "namespace": context.namespace,
            "resources": context.get_assigned_resources(),
            "environment": context.get_runtime_env_string(),
        }

    driver = ray.get_runtime_context()
    ref = look.options(name="by this name").remote()
    seen = ray.get(ref)
    assert seen["job"] == driver.get_job_id()
    assert seen["node"] == driver.get_node_id()
    assert seen["worker"] != driver.get_worker_id()
    assert seen["task"] == ref.task_id().hex()
    assert seen["actor"] is None
    assert seen["function"] == "by this name"
    assert seen["namespace"] == "conformance"
    assert seen["resources"] == {"CPU": 1.0}
    json.loads(seen["environment"] or "{}")


def test_assigned_resources():
    @ray.remote(num_cpus=2, resources={"token": 0.5})
    def look():
        return ray.get_runtime_context().get_assigned_resources()

    assert ray.get(look.remote()) == {"CPU": 2.0, "token": 0.5}


def test_actor():
    @ray.remote(num_cpus=1)
    class Actor:
        def __init__(self):
            self.made_by = ray.get_runtime_context().get_actor_id()

        def look(self):
            context = ray.get_runtime_context()
            return context.get_actor_id(), context.get_actor_name(), context.get_task_id(), context.get_worker_id(), self.made_by

        async def later(self):
            return ray.get_runtime_context().get_actor_id()

    actor = Actor.options(name="in context").remote()
    actor_id, name, task, worker, made_by = ray.get(actor.look.remote())
    assert actor_id == made_by == ray.get(actor.later.remote())
    assert name == "in context"
    assert task is not None
    assert worker == ray.get(actor.look.remote())[3]
    assert actor._actor_id.hex() == actor_id
    ray.kill(actor)


def test_task_ids_are_apart():
    @ray.remote
    def look():
        return ray.get_runtime_context().get_task_id()

    assert len(set(ray.get([look.remote() for _ in range(10)]))) == 10


def test_nodes():
    (node,) = ray.nodes()
    assert node["Alive"] is True
    assert node["NodeID"] == ray.get_runtime_context().get_node_id()
    assert node["Resources"]["CPU"] == 4
    assert node["Resources"]["token"] == 2
    assert "NodeManagerAddress" in node
    assert "Labels" in node


def test_cluster_resources():
    resources = ray.cluster_resources()
    assert resources["CPU"] == 4
    assert resources["token"] == 2
    assert resources["memory"] > 0
    assert resources["object_store_memory"] > 0


def test_available_resources_follow_what_runs(signal):
    from .waiting import wait_until

    wait_until(lambda: ray.available_resources().get("CPU") == 4)
    gate = signal()

    @ray.remote(num_cpus=3, resources={"token": 2})
    def hold():
        ray.get(gate.wait.remote())

    @ray.remote(num_cpus=3, resources={"token": 2})
    class Holder:
        def f(self):
            return 1

    holder = Holder.remote()
    ray.get(holder.f.remote())
    wait_until(lambda: ray.available_resources().get("CPU") == 1)
    assert ray.available_resources().get("token", 0) == 0
    ray.kill(holder)
    wait_until(lambda: ray.available_resources().get("CPU") == 4)


def test_gpu_ids_without_gpus():
    @ray.remote
    def look():
        return ray.get_gpu_ids(), ray.get_runtime_context().get_accelerator_ids()

    ids, accelerators = ray.get(look.remote())
    assert ids == []
    assert accelerators["GPU"] == []


def test_timeline(tmp_path):
    @ray.remote
    def f():
        return 1

    ray.get(f.remote())
    assert isinstance(ray.timeline(), list)
    path = tmp_path / "timeline.json"
    ray.timeline(str(path))
    assert isinstance(json.loads(path.read_text()), list)


def test_placement_group_id_is_none_outside_of_one():
    assert ray.get_runtime_context().get_placement_group_id() is None


def test_context_as_a_mapping():
    context = ray.get_runtime_context().get()
    assert set(context) >= {"job_id", "node_id", "namespace"}


def test_is_initialized_in_tasks():
    @ray.remote
    def look():
        return ray.is_initialized(), os.getpid()

    initialized, pid = ray.get(look.remote())
    assert initialized is True
    assert pid != os.getpid()
    assert ray.is_initialized()
