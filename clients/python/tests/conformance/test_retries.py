"""Retries of tasks and of methods, after failures of the system and of user code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import ray
from ray.exceptions import RayActorError, WorkerCrashedError

from .waiting import wait_until

pytestmark = pytest.mark.usefixtures("cluster")


def attempts(path: Path) -> int:
    """Says how often something has begun: it writes a byte to the file each time."""
    return path.stat().st_size if path.exists() else 0


@pytest.fixture(scope="module")
def begin():
    def begin(path):
        with open(path, "ab") as file:
            file.write(b".")
        return os.path.getsize(path)

    return begin


def test_a_crash_is_retried(tmp_path, begin):
    path = str(tmp_path / "count")

    @ray.remote(max_retries=2)
    def once():
        if begin(path) < 2:
            os._exit(1)
        return "second"

    assert ray.get(once.remote()) == "second"
    assert attempts(tmp_path / "count") == 2


def test_retries_come_to_an_end(tmp_path, begin):
    path = str(tmp_path / "count")

    @ray.remote(max_retries=1)
    def die():
        begin(path)
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        ray.get(die.remote())
    assert attempts(tmp_path / "count") == 2


def test_zero_retries_is_at_most_once(tmp_path, begin):
    path = str(tmp_path / "count")

    @ray.remote(max_retries=0)
    def die():
        begin(path)
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        ray.get(die.remote())
    assert attempts(tmp_path / "count") == 1


def test_user_errors_are_not_retried_by_default(tmp_path, begin):
    path = str(tmp_path / "count")

    @ray.remote
    def fail():
        begin(path)
        raise ValueError

    with pytest.raises(ValueError):
        ray.get(fail.remote())
    assert attempts(tmp_path / "count") == 1


def test_user_errors_are_retried_when_asked_for(tmp_path, begin):
    path = str(tmp_path / "count")

    @ray.remote(max_retries=5, retry_exceptions=True)
    def fail():
        if begin(path) < 3:
            raise ValueError
        return "third"

    assert ray.get(fail.remote()) == "third"


def test_only_listed_errors_are_retried(tmp_path, begin):
    first, second = str(tmp_path / "first"), str(tmp_path / "second")

    class Own(KeyError):
        pass

    @ray.remote(max_retries=3, retry_exceptions=[KeyError])
    def fail(path, kind):
        if begin(path) < 2:
            raise kind("again")
        return "done"

    assert ray.get(fail.remote(first, KeyError)) == "done"
    assert ray.get(fail.remote(str(tmp_path / "third"), Own)) == "done"
    with pytest.raises(ValueError):
        ray.get(fail.remote(second, ValueError))
    assert attempts(tmp_path / "second") == 1


def test_last_error_is_the_one_that_is_raised(tmp_path, begin):
    path = str(tmp_path / "count")

    @ray.remote(max_retries=2, retry_exceptions=True)
    def fail():
        raise ValueError(f"attempt {begin(path)}")

    with pytest.raises(ValueError, match="attempt 3"):
        ray.get(fail.remote())


def test_actor_is_not_restarted_by_default():
    @ray.remote
    class Actor:
        def die(self):
            os._exit(1)

        def live(self):
            return True

    actor = Actor.remote()
    actor.die.remote()
    with pytest.raises(RayActorError):
        ray.get(actor.live.remote())


def test_restart_runs_the_constructor_anew():
    @ray.remote(max_restarts=1, max_task_retries=-1)
    class Counter:
        def __init__(self, start):
            self.value = start

        def add(self):
            self.value += 1
            return self.value

        def pid(self):
            return os.getpid()

    counter = Counter.remote(10)
    assert ray.get([counter.add.remote() for _ in range(3)]) == [11, 12, 13]
    pid = ray.get(counter.pid.remote())
    os.kill(pid, 9)
    assert ray.get(counter.add.remote()) == 11
    assert ray.get(counter.pid.remote()) != pid


def test_restarts_come_to_an_end():
    @ray.remote(max_restarts=1, max_task_retries=-1)
    class Actor:
        def pid(self):
            return os.getpid()

    actor = Actor.remote()
    for _ in range(2):
        os.kill(ray.get(actor.pid.remote()), 9)
    with pytest.raises(RayActorError):
        for _ in range(10):
            ray.get(actor.pid.remote())


def test_method_retry_after_a_crash(tmp_path, begin):
    path = str(tmp_path / "count")

    @ray.remote(max_restarts=-1, max_task_retries=2)
    class Actor:
        def fragile(self):
            if begin(path) < 3:
                os._exit(1)
            return "third"

    actor = Actor.remote()
    assert ray.get(actor.fragile.remote()) == "third"


def test_method_without_retries_fails_while_the_actor_lives_on(tmp_path, begin):
    path = str(tmp_path / "count")

    @ray.remote(max_restarts=1)
    class Actor:
        def fragile(self):
            begin(path)
            os._exit(1)

        def live(self):
            return "alive"

    actor = Actor.remote()
    with pytest.raises(RayActorError):
        ray.get(actor.fragile.remote())
    for _ in range(50):
        try:
            assert ray.get(actor.live.remote()) == "alive"
            break
        except RayActorError:
            pass
    else:
        pytest.fail("the actor was not restarted")
    assert attempts(tmp_path / "count") == 1


def test_method_errors_are_retried_when_asked_for():
    @ray.remote(max_task_retries=3)
    class Actor:
        def __init__(self):
            self.calls = 0

        @ray.method(retry_exceptions=[ValueError])
        def fail(self):
            self.calls += 1
            if self.calls < 3:
                raise ValueError
            return self.calls

        @ray.method(max_task_retries=0, retry_exceptions=True)
        def never(self):
            self.calls = 0
            raise ValueError

    actor = Actor.remote()
    assert ray.get(actor.fail.remote()) == 3
    with pytest.raises(ValueError):
        ray.get(actor.never.remote())


def test_was_current_actor_reconstructed():
    @ray.remote(max_restarts=1, max_task_retries=1)
    class Actor:
        def __init__(self):
            self.again = ray.get_runtime_context().was_current_actor_reconstructed

        def look(self):
            return self.again, os.getpid()

    actor = Actor.remote()
    again, pid = ray.get(actor.look.remote())
    assert again is False
    os.kill(pid, 9)
    assert ray.get(actor.look.remote())[0] is True


def test_kill_with_restart_uses_one_up():
    @ray.remote(max_restarts=1, max_task_retries=1)
    class Actor:
        def pid(self):
            return os.getpid()

    actor = Actor.remote()
    first = ray.get(actor.pid.remote())
    ray.kill(actor, no_restart=False)

    def another():
        try:
            return ray.get(actor.pid.remote()) != first
        except RayActorError:
            return False

    wait_until(another)
    ray.kill(actor)
    with pytest.raises(RayActorError):
        for _ in range(50):
            ray.get(actor.pid.remote())
