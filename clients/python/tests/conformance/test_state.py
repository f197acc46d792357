"""The state API: what runs, what ran, and where."""

from __future__ import annotations

import os
import sys
import time

import pytest
import ray
from ray.util import state

from .waiting import wait_until


@pytest.fixture(autouse=True, scope="module")
def cluster(_backend):
    from .conftest import BACKEND

    if BACKEND == "ray":
        pytest.importorskip("aiohttp", reason="the state API of Ray needs ray[default]")
    ray.init(num_cpus=4, namespace="state", include_dashboard=True, log_to_driver=False)
    yield
    ray.shutdown()


@ray.remote(num_cpus=0)
class Actor:
    """Lives."""

    def f(self):
        return 1

    def wait(self):
        time.sleep(30)


def test_actors():
    actor = Actor.options(name="seen").remote()
    ray.get(actor.f.remote())
    wait_until(lambda: any(row.name == "seen" and row.state == "ALIVE" for row in state.list_actors()))
    (row,) = state.list_actors(filters=[("name", "=", "seen")])
    assert row["class_name"] == row.class_name == "Actor"
    assert row.actor_id == actor._actor_id.hex()
    assert row.pid > 0
    assert state.get_actor(id=row.actor_id).state == "ALIVE"
    assert all(row.name != "seen" for row in state.list_actors(filters=[("name", "!=", "seen")]))
    ray.kill(actor)
    wait_until(lambda: state.get_actor(id=row.actor_id).state == "DEAD")


def test_tasks():
    @ray.remote
    def listed():
        return 1

    @ray.remote(max_retries=0)
    def failed():
        raise ValueError

    refs = [listed.remote() for _ in range(3)]
    ray.get(refs)
    with pytest.raises(ValueError):
        ray.get(failed.remote())

    def rows(name):
        return [row for row in state.list_tasks(limit=1000) if row.name.endswith(name)]

    wait_until(lambda: len(rows("listed")) == 3 and all(row.state == "FINISHED" for row in rows("listed")))
    wait_until(lambda: [row.state for row in rows("failed")] == ["FAILED"])
    row = state.get_task(refs[0].task_id().hex())
    assert row.state == "FINISHED"


def test_running_tasks_can_be_filtered():
    actor = Actor.remote()
    ref = actor.wait.remote()
    wait_until(lambda: any("wait" in row.name for row in state.list_tasks(filters=[("state", "=", "RUNNING")])))
    ray.kill(actor)
    del ref


def test_nodes():
    (row,) = state.list_nodes()
    assert row.state == "ALIVE"
    assert row.node_id == ray.get_runtime_context().get_node_id()
    assert state.get_node(row.node_id).state == "ALIVE"


def test_workers_and_jobs():
    ray.get(Actor.remote().f.remote())
    assert state.list_workers()
    wait_until(lambda: len(state.list_jobs()) >= 1)


def test_objects():
    ref = ray.put(b"x" * 500_000)
    wait_until(lambda: any(row.object_id == ref.hex() for row in state.list_objects(limit=1000)))


def test_placement_groups():
    group = ray.util.placement_group([{"CPU": 1}], name="listed group")
    group.wait(10)
    wait_until(lambda: [row.state for row in state.list_placement_groups() if row.name == "listed group"] == ["CREATED"])
    ray.util.remove_placement_group(group)


def test_summaries():
    actor = Actor.remote()
    ray.get(actor.f.remote())
    assert "cluster" in state.summarize_actors()
    assert "cluster" in state.summarize_tasks()
    assert "cluster" in state.summarize_objects()


def test_what_is_not_there():
    assert state.get_actor(id="0" * len(Actor.remote()._actor_id.hex())) is None


def test_impossible_filters_are_refused():
    with pytest.raises((ValueError, state.exception.RayStateApiException)):
        state.list_actors(filters=[("name", "~~", "x")])


def test_limit():
    actors = [Actor.remote() for _ in range(3)]
    ray.get([a.f.remote() for a in actors])
    wait_until(lambda: len(state.list_actors()) >= 3)
    assert len(state.list_actors(limit=2)) == 2


def test_tasks_are_remembered_without_their_refs():
    @ray.remote
    def forgotten():
        return 1

    ray.get([forgotten.remote() for _ in range(3)])
    wait_until(lambda: [row.state for row in state.list_tasks(limit=1000) if row.name == "forgotten"] == ["FINISHED"] * 3)
    assert any(event["ph"] == "X" and event["dur"] > 0 for event in ray.timeline())


@ray.remote(num_cpus=0)
class Talker:
    """Prints."""

    def say(self, what):
        print(what)
        print("err", what, file=sys.stderr)
        return os.getpid()

    def die(self):
        print("last words", flush=True)
        os._exit(3)


def log(**which):
    try:
        return "".join(state.get_log(**which))
    except state.exception.RayStateApiException:  # nothing was printed yet
        return ""


def test_the_log_of_an_actor():
    actor = Talker.remote()
    ray.get(actor.say.remote("hello"))
    actor_id = actor._actor_id.hex()
    wait_until(lambda: "hello\n" in log(actor_id=actor_id))
    wait_until(lambda: "err hello\n" in log(actor_id=actor_id, suffix="err"))
    assert "err hello" not in log(actor_id=actor_id)
    ray.get([actor.say.remote(i) for i in range(5)])
    wait_until(lambda: log(actor_id=actor_id, tail=2) == "3\n4\n")
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(actor.die.remote())
    wait_until(lambda: log(actor_id=actor_id).endswith("4\nlast words\n"))


def test_the_log_of_a_task():
    @ray.remote
    def talk(x):
        print("x is", x)

    refs = [talk.remote(i) for i in range(3)]
    ray.get(refs)
    for i, ref in enumerate(refs):
        wait_until(lambda i=i, ref=ref: log(task_id=ref.task_id().hex()) == f"x is {i}\n")


def test_log_files():
    pid = ray.get(Talker.remote().say.remote("to a file"))
    node = ray.get_runtime_context().get_node_id()
    wait_until(lambda: "to a file\n" in log(pid=pid, node_id=node))
    files = state.list_logs(node_id=node)
    (name,) = [name for name in files["worker_out"] if name.endswith(f"-{pid}.out")]
    assert name.startswith("worker-")
    assert "to a file\n" in log(filename=name, node_id=node)
    found = state.list_logs(node_id=node, glob_filter="worker*err")
    assert list(found) == ["worker_err"] and name.replace(".out", ".err") in found["worker_err"]
    assert state.list_logs(node_id=node, glob_filter="nothing*") == {}


def test_logs_that_are_not_there():
    node = ray.get_runtime_context().get_node_id()
    actor = "0" * len(Actor.remote()._actor_id.hex())
    for which in ({"filename": "nothing.out"}, {"filename": "../../etc/passwd"}):
        with pytest.raises(state.exception.RayStateApiException):
            list(state.get_log(node_id=node, **which))
    with pytest.raises(state.exception.RayStateApiException):
        list(state.get_log(actor_id=actor))
    with pytest.raises(ValueError):
        list(state.get_log(node_id=node))
    with pytest.raises(ValueError):
        list(state.get_log(actor_id=actor, suffix="in"))


def test_lists_of_what_is_rare():
    assert isinstance(state.list_runtime_envs(limit=10), list)
    assert isinstance(state.list_cluster_events(), list)


def test_details_of_a_task():
    @ray.remote(num_cpus=0, max_retries=0)
    def detailed():
        raise ValueError("in detail")

    ref = detailed.remote()
    with pytest.raises(ValueError):
        ray.get(ref)

    def found():
        return state.list_tasks(detail=True, filters=[("task_id", "=", ref.task_id().hex())])

    wait_until(lambda: [(row.state, bool(row.start_time_ms)) for row in found()] == [("FAILED", True)])
    (row,) = found()
    assert (row.error_type, row.language, row.type) == ("TASK_EXECUTION_EXCEPTION", "PYTHON", "NORMAL_TASK")
    assert row.creation_time_ms <= row.start_time_ms <= row.end_time_ms
    assert [event["state"] for event in row.events][-1] == "FAILED"
    assert row.worker_pid and row.node_id
