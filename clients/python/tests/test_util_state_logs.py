"""What workers print is kept, found by whoever printed it, and bounded."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually

import mobula
from mobula.util import state
from mobula.util.state import StateApiException

pytestmark = pytest.mark.usefixtures("node")


@mobula.remote(num_cpus=0)
def say(number: int) -> int:
    print("out", number)
    print("err", number, file=sys.stderr)
    return os.getpid()


@mobula.remote(num_cpus=0)
class Talker:
    def say(self, what: str) -> int:
        print(what)
        return os.getpid()

    def die(self) -> None:
        print("last words")
        sys.stdout.flush()
        os._exit(3)


def text(**which: Any) -> str:
    return "".join(state.get_log(**which))


def lines_of(want: str, **which: Any) -> str:
    """Reads a log until it is what is wanted: what a worker prints comes a moment after its result."""
    deadline = time.monotonic() + 20
    while (have := text(**which)) != want and time.monotonic() < deadline:
        time.sleep(0.01)
    return have


def test_the_lines_of_a_task_are_found_by_its_id(node: None) -> None:
    refs = [say.remote(i) for i in range(6)]
    mobula.get(refs)
    for i, ref in enumerate(refs):
        task = ref.task_id().hex()
        assert lines_of(f"out {i}\n", task_id=task) == f"out {i}\n"
        assert lines_of(f"err {i}\n", task_id=task, suffix="err") == f"err {i}\n"


def test_files_are_listed_by_what_they_are_of(node: None) -> None:
    pid = mobula.get(say.remote(1))
    files = eventually(lambda: state.list_logs(glob_filter=f"worker-*-{pid}.*") if len(state.list_logs(glob_filter=f"*-{pid}.*")) == 2 else None)
    assert sorted(files) == ["worker_err", "worker_out"]
    worker = next(w for w in state.list_workers(limit=1000) if w.pid == pid)
    assert files["worker_out"] == [f"worker-{worker.worker_id}-{pid}.out"]
    here = mobula.get_runtime_context().get_node_id()
    assert "node.log" in state.list_logs(node_id=here)["node"]
    assert state.list_logs(glob_filter="nothing*") == {}
    assert "node begins" in text(filename="node.log", node_id=here)
    assert lines_of("err 1\n", filename=files["worker_err"][0], tail=1) == "err 1\n"
    assert text(pid=pid, tail=1).startswith("out")


def test_the_log_of_a_dead_actor_says_why(node: None) -> None:
    actor = Talker.remote()
    pid = mobula.get(actor.say.remote("hello"))
    with pytest.raises(mobula.exceptions.RayActorError):
        mobula.get(actor.die.remote())
    actor_id = actor._actor_id.hex()
    assert lines_of("hello\nlast words\n", actor_id=actor_id, tail=2) == "hello\nlast words\n"
    assert state.get_actor(actor_id).death_cause["actor_died_error_context"]["pid"] == pid
    worker = next(w for w in state.list_workers(limit=1000) if w.pid == pid)
    assert (worker.is_alive, worker.exit_type) == (False, "USER_ERROR")
    assert any(e.source_type == "WORKER" and e.severity == "ERROR" and e.custom_fields["pid"] == pid for e in state.list_cluster_events())


def test_a_task_whose_worker_died_has_a_log(node: None) -> None:
    @mobula.remote(num_cpus=0, max_retries=0)
    def dies() -> None:
        print("dying")
        sys.stdout.flush()
        os._exit(7)

    ref = dies.remote()
    with pytest.raises(mobula.exceptions.WorkerCrashedError):
        mobula.get(ref)
    task = state.get_task(ref)
    assert (task.state, task.error_type) == ("FAILED", "WORKER_DIED")
    assert lines_of("dying\n", task_id=task.task_id) == "dying\n"
    with pytest.raises(StateApiException, match="attempt 0 is known"):
        text(task_id=task.task_id, attempt_number=3)


def test_a_follower_sees_what_comes_until_the_end(node: None) -> None:
    actor = Talker.remote()
    mobula.get(actor.say.remote("0"))
    seen: list[str] = []
    follower = threading.Thread(target=lambda: seen.extend(state.get_log(actor_id=actor._actor_id.hex(), follow=True, tail=1, _interval=0.01)))
    eventually(lambda: text(actor_id=actor._actor_id.hex()).endswith("0\n"))
    follower.start()
    for i in range(1, 4):
        eventually(lambda i=i: "".join(seen) == "".join(f"{n}\n" for n in range(i)))
        mobula.get(actor.say.remote(str(i)))
    mobula.kill(actor)
    follower.join(20)
    assert not follower.is_alive()
    assert "".join(seen) == "0\n1\n2\n3\n"


def test_calls_that_an_async_actor_runs_together_are_told_apart(node: None) -> None:
    @mobula.remote(num_cpus=0)
    class Async:
        async def say(self, number: int) -> None:
            for _ in range(20):
                print(number)
                await asyncio.sleep(0.001)

    actor = Async.remote()
    refs = [actor.say.remote(i) for i in range(4)]
    mobula.get(refs)
    for i, ref in enumerate(refs):
        assert lines_of(f"{i}\n" * 20, task_id=ref.task_id().hex()) == f"{i}\n" * 20


def test_bytes_and_colours(node: None) -> None:
    actor = Talker.remote()
    mobula.get(actor.say.remote("\x1b[31mred\x1b[0m é"))
    which: dict[str, Any] = {"actor_id": actor._actor_id.hex(), "tail": 1}
    assert lines_of("red é\n", filter_ansi_code=True, **which) == "red é\n"
    assert b"".join(state.get_log(encoding=None, **which)) == "\x1b[31mred\x1b[0m é\n".encode()
    with pytest.raises(UnicodeDecodeError):
        text(encoding="ascii", **which)
    assert text(encoding="ascii", errors="replace", filter_ansi_code=True, **which).startswith("red")


@pytest.mark.parametrize(
    ("which", "error", "message"),
    [
        ({}, ValueError, "say whose log"),
        ({"filename": "../token"}, StateApiException, "no log"),
        ({"filename": "nothing"}, StateApiException, "no log"),
        ({"actor_id": "00" * 16}, StateApiException, "does not know actor"),
        ({"actor_id": "no id"}, StateApiException, "hexadecimal"),
        ({"task_id": "00" * 16}, StateApiException, "does not know task"),
        ({"pid": 1}, StateApiException, "no process 1"),
        ({"filename": "node.log", "suffix": "in"}, ValueError, "suffix"),
        ({"filename": "node.log", "node_id": "00" * 16}, StateApiException, "no node"),
        ({"submission_id": "job"}, StateApiException, "submitted"),
    ],
)
def test_logs_that_cannot_be_are_refused(node: None, which: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        text(**which)


def test_ten_thousand_tasks_are_listed_and_counted(node: None) -> None:
    @mobula.remote(num_cpus=0)
    def one_of_many(x: int) -> int:
        return x

    mobula.get([one_of_many.remote(i) for i in range(10_000)])
    eventually(lambda: state.summarize_tasks()["cluster"]["summary"]["one_of_many"]["state_counts"] == {"FINISHED": 10_000})
    began = time.monotonic()
    held = [one_of_many.remote(i) for i in range(3_000)]  # beside those that are remembered
    mobula.get(held)
    rows = state.list_tasks(filters=[("name", "=", "one_of_many")], limit=10_000)
    assert len({row.task_id for row in rows}) == 10_000
    assert [row.task_id for row in state.list_tasks(filters=[("task_id", "=", held[0].task_id().hex())])] == [held[0].task_id().hex()]
    assert state.list_tasks(filters=[("state", "=", "FAILED"), ("name", "=", "one_of_many")]) == []
    assert time.monotonic() - began < 10
    began = time.monotonic()
    state.summarize_tasks()
    assert time.monotonic() - began < 10


def test_runtime_envs_are_listed(node: None) -> None:
    @mobula.remote(num_cpus=0, runtime_env={"env_vars": {"COLOUR": "green"}})
    def colour() -> str:
        return os.environ["COLOUR"]

    assert mobula.get(colour.remote()) == "green"
    (row,) = [e for e in state.list_runtime_envs() if e.runtime_env.get("env_vars") == {"COLOUR": "green"}]
    assert (row.success, row.state, row.error, row.node_id) == (True, "READY", None, mobula.get_runtime_context().get_node_id())
    assert row.ref_cnt and row.creation_time_ms is None
    ref = colour.remote()
    assert "green" in state.get_task(ref).runtime_env_info["serialized_runtime_env"]

    @mobula.remote(num_cpus=0, runtime_env={"py_executable": "/nowhere/python"})
    def never() -> None:
        pass

    with pytest.raises(mobula.exceptions.RuntimeEnvSetupError):
        mobula.get(never.remote())
    (row,) = [e for e in state.list_runtime_envs(filters=[("success", "=", False)]) if e.state == "FAILED"]
    assert row.error and row.runtime_env["py_executable"] == "/nowhere/python"


def test_the_timeline_has_a_bar_for_each_task_that_ran(node: None, tmp_path: Path) -> None:
    actor = Talker.remote()
    pid = mobula.get(actor.say.remote("timed"))
    task = say.remote(0)
    mobula.get(task)

    @mobula.remote(num_cpus=0, max_retries=0)
    def timed_failure() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        mobula.get(timed_failure.remote())
    path = tmp_path / "timeline.json"
    mobula.timeline(filename=str(path))
    events = json.loads(path.read_text())
    assert events
    for event in events:
        assert event.keys() == {"cat", "name", "ph", "pid", "tid", "ts", "dur", "cname", "args"}
        assert event["ph"] == "X" and event["dur"] > 0 and abs(event["ts"] / 1e6 - time.time()) < 3600
    (bar,) = [e for e in events if e["args"]["task_id"] == task.task_id().hex()]
    assert (bar["cat"], bar["name"].rpartition(".")[2], bar["args"]["state"]) == ("task::say", "say", "FINISHED")
    mine = [e for e in events if e["args"]["actor_id"] == actor._actor_id.hex()]
    assert [(e["cat"], e["name"]) for e in mine] == [("task::Talker.__init__", "__init__"), ("task::Talker.say", "say")]
    worker = next(w for w in state.list_workers(limit=1000) if w.pid == pid)
    assert {e["tid"] for e in mine} == {f"worker:{worker.worker_id}"}
    assert [e["cname"] for e in events if e["cat"] == "task::timed_failure"] == ["terrible"]
    assert len(mobula.timeline() or []) >= len(events)


def test_events_tell_of_nodes_and_jobs(node: None) -> None:
    events = state.list_cluster_events()
    assert {e.source_type for e in events} >= {"NODE", "JOB"}
    assert [e.time for e in events] == sorted((e.time for e in events), reverse=True)
    assert len(state.list_cluster_events(limit=1)) == 1
    assert all(e.source_type == "JOB" for e in state.list_cluster_events(filters=[("source_type", "=", "job")]))


ALONE = """
import os, sys
import mobula
from mobula.util import state

mobula.init(num_cpus=1, log_to_driver=False)

@mobula.remote
def f():
    print("kept")

ref = f.remote()
mobula.get(ref)
import time
while not (text := "".join(state.get_log(task_id=ref.task_id().hex()))):
    time.sleep(0.01)
print(text, end="")
directory = [n for n in mobula.nodes()][0]["RayletSocketName"].removeprefix("unix:").rpartition("/")[0]
print(os.path.isdir(directory + "/logs"))
mobula.shutdown()
print(os.path.exists(directory))
"""


def test_logs_are_kept_without_log_to_driver_and_go_with_an_embedded_node() -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("MOBULA_ADDRESS", "RAY_ADDRESS")}
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert (done.stdout, done.returncode) == ("kept\nTrue\nFalse\n", 0), done.stderr


FULL = """
import resource, time
import mobula
from mobula import _context
from mobula.util import state

mobula.init(num_cpus=1, log_to_driver=False)

@mobula.remote
def talk(word, lines):
    for _ in range(lines):
        print(word * 20)
    return lines

mobula.get(talk.remote("before", 1))
node = _context.session().node_pid
_, hard = resource.prlimit(node, resource.RLIMIT_FSIZE)
resource.prlimit(node, resource.RLIMIT_FSIZE, (0, hard))  # as a full disk: nothing can be written
assert mobula.get(talk.remote("during", 20_000), timeout=30) == 20_000
resource.prlimit(node, resource.RLIMIT_FSIZE, (hard, hard))
ref = talk.remote("after", 1)
mobula.get(ref)
while "after" not in "".join(state.get_log(task_id=ref.task_id().hex())):
    time.sleep(0.01)
print(all(w.is_alive for w in state.list_workers()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")
def test_a_full_disk_stops_no_worker() -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("MOBULA_ADDRESS", "RAY_ADDRESS")}
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
    assert "worker output is missing from its log file" in done.stderr  # the node says so
