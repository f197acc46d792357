"""What user code may do to a worker process, and what it finds there."""

from __future__ import annotations

import os
import random
import sys
import time
from typing import Any

import pytest

import mobula
from mobula import exceptions

pytestmark = pytest.mark.usefixtures("node")


def runs(path: Any) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


@mobula.remote(max_retries=1)
def leave(path: str, how: str) -> None:
    with open(path, "a") as f:
        f.write("x")
    if how == "exit":
        sys.exit(3)
    if how == "exit0":
        sys.exit(0)
    if how == "_exit":
        os._exit(5)
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize("how", ["exit", "exit0", "_exit", "kill"])
def test_a_task_that_ends_its_process_is_tried_again_and_then_a_crash(how: str, tmp_path: Any) -> None:
    path = tmp_path / how
    with pytest.raises(exceptions.WorkerCrashedError):
        mobula.get(leave.remote(str(path), how), timeout=30)
    assert runs(path) == 2


def test_an_actor_that_exits_with_0_is_not_restarted_and_one_that_fails_is() -> None:
    @mobula.remote(max_restarts=1)
    class Exits:
        def leave(self, code: Any) -> None:
            sys.exit(code)

        def m(self) -> int:
            return 1

    e = Exits.remote()
    with pytest.raises(exceptions.ActorDiedError):
        mobula.get(e.leave.remote(0), timeout=30)
    with pytest.raises(exceptions.ActorDiedError):
        mobula.get(e.m.remote(), timeout=30)
    e = Exits.remote()
    with pytest.raises(exceptions.RayActorError):
        mobula.get(e.leave.remote(1), timeout=30)
    assert mobula.get(e.m.remote(), timeout=30) == 1


def test_a_recursion_without_end_is_an_error() -> None:
    @mobula.remote
    def deep(n: int) -> int:
        return deep._function(n + 1) + 1

    with pytest.raises(RecursionError):
        mobula.get(deep.remote(0), timeout=30)


def test_a_task_may_fork() -> None:
    @mobula.remote
    def fork() -> int:
        pid = os.fork()
        if pid == 0:
            return -1  # the child returns too: its outcome is nobody's
        os.waitpid(pid, 0)
        return pid

    assert mobula.get(fork.remote(), timeout=30) > 0
    assert mobula.get(fork.remote(), timeout=30) > 0


def test_a_task_may_close_its_standard_streams() -> None:
    @mobula.remote
    def close() -> int:
        sys.stdout.close()
        sys.stderr.close()
        return 1

    assert mobula.get(close.remote(), timeout=30) == 1


def test_standard_input_is_empty() -> None:
    @mobula.remote
    def read() -> tuple[str, bytes]:
        return sys.stdin.read(), os.read(0, 10)

    assert mobula.get(read.remote(), timeout=30) == ("", b"")


def test_workers_have_random_numbers_of_their_own() -> None:
    @mobula.remote
    def draw() -> tuple[int, float]:
        time.sleep(0.3)
        return os.getpid(), random.random()

    drawn = dict(mobula.get([draw.remote() for _ in range(8)], timeout=30))
    assert len(set(drawn.values())) == len(drawn)
    numpy = pytest.importorskip("numpy")

    @mobula.remote
    def draw_numpy() -> tuple[int, float]:
        time.sleep(0.3)
        return os.getpid(), float(numpy.random.random())

    drawn = dict(mobula.get([draw_numpy.remote() for _ in range(8)], timeout=60))
    assert len(set(drawn.values())) == len(drawn)


def test_environment_variables_of_a_runtime_env_are_set() -> None:
    @mobula.remote
    def variable(name: str) -> str | None:
        return os.environ.get(name)

    with_env = variable.options(runtime_env={"env_vars": {"MOBULA_TEST_VARIABLE": "yes"}})
    assert mobula.get(with_env.remote("MOBULA_TEST_VARIABLE"), timeout=30) == "yes"
    assert mobula.get(variable.remote("MOBULA_TEST_VARIABLE"), timeout=30) is None


def test_the_role_is_not_inherited_by_subprocesses() -> None:
    @mobula.remote
    def names() -> list[str]:
        import subprocess

        out = subprocess.run([sys.executable, "-c", "import os; print(*os.environ)"], capture_output=True, text=True, check=True)
        return [n for n in out.stdout.split() if n.startswith("MOBULA_ROLE")]

    assert mobula.get(names.remote(), timeout=30) == []


def test_a_worker_ends_after_max_calls() -> None:
    @mobula.remote(max_calls=2)
    def pid() -> int:
        return os.getpid()

    pids = [mobula.get(pid.remote(), timeout=30) for _ in range(6)]
    assert max(pids.count(p) for p in pids) <= 2


def test_the_context_says_where_a_task_runs() -> None:
    @mobula.remote(num_cpus=2, resources={"token": 1})
    def where() -> Any:
        c = mobula.get_runtime_context()
        return (
            c.get_task_id(),
            c.get_task_name(),
            c.get_task_function_name(),
            c.get_actor_id(),
            c.get_job_id(),
            c.get_assigned_resources(),
            c.namespace,
        )

    ref = where.remote()
    task, name, function, actor, job, resources, namespace = mobula.get(ref, timeout=30)
    assert task == ref.task_id().hex()
    assert (name, function, actor) == ("where", f"{__name__}.test_the_context_says_where_a_task_runs.<locals>.where", None)
    assert job == mobula.get_runtime_context().get_job_id()
    assert resources == {"CPU": 2.0, "token": 1.0}
    assert namespace == "tests"
    assert mobula.get(where.options(name="other").remote(), timeout=30)[1] == "other"


def test_the_context_says_which_actor_this_is() -> None:
    @mobula.remote
    class Where:
        def __init__(self) -> None:
            self.made_by = mobula.get_runtime_context().get_actor_id()

        def here(self) -> Any:
            c = mobula.get_runtime_context()
            return self.made_by, c.get_actor_id(), c.get_actor_name(), c.get_assigned_resources(), c.was_current_actor_reconstructed

    w = Where.options(name="where").remote()
    assert mobula.get(w.here.remote(), timeout=30) == (w._actor_id.hex(), w._actor_id.hex(), "where", {}, False)


def test_blocking_calls_in_threads_of_a_task_work() -> None:
    @mobula.remote
    def one() -> int:
        return 1

    @mobula.remote
    def threads() -> list[int]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda _: mobula.get(one.remote()), range(8)))

    assert mobula.get(threads.remote(), timeout=30) == [1] * 8


def test_init_in_a_worker_is_refused_unless_it_may_be_repeated() -> None:
    @mobula.remote
    def again(**options: Any) -> str:
        return str(mobula.init(**options).address_info["node_id"])

    with pytest.raises(RuntimeError, match="init twice"):
        mobula.get(again.remote(), timeout=30)
    assert mobula.get(again.remote(ignore_reinit_error=True), timeout=30) == mobula.get_runtime_context().get_node_id()
