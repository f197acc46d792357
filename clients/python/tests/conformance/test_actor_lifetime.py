"""How actors end: kill, exit, terminate, out of scope."""

from __future__ import annotations

import gc
import os
import time

import pytest
import ray
from ray.exceptions import ActorDiedError, RayActorError

from .waiting import alive, wait_until

pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote(num_cpus=0)
class Actor:
    """Lives."""

    def pid(self):
        return os.getpid()

    def sleep(self, seconds):
        time.sleep(seconds)
        return "slept"

    def leave(self):
        ray.actor.exit_actor()

    def leave_file(self, path):
        import atexit

        atexit.register(lambda: open(path, "w").close())
        return os.getpid()


def released():
    """Waits until what was released before is known: an actor whose only handle is released now has ended."""
    actor = Actor.remote()
    pid = ray.get(actor.pid.remote())
    del actor
    gc.collect()
    wait_until(lambda: not alive(pid))


def test_kill_fails_what_runs_and_what_waits():
    actor = Actor.remote()
    ray.get(actor.pid.remote())
    running, queued = actor.sleep.remote(30), actor.pid.remote()
    ray.kill(actor)
    for ref in (running, queued, actor.pid.remote()):
        with pytest.raises(ActorDiedError):
            ray.get(ref, timeout=20)


def test_kill_ends_the_process():
    actor = Actor.remote()
    pid = ray.get(actor.pid.remote())
    ray.kill(actor)
    wait_until(lambda: not alive(pid))


def test_kill_twice_is_fine():
    actor = Actor.remote()
    ray.get(actor.pid.remote())
    ray.kill(actor)
    ray.kill(actor)


@pytest.mark.parametrize("wrong", [None, "actor", 3], ids=repr)
def test_kill_of_something_else_is_a_value_error(wrong):
    with pytest.raises(ValueError):
        ray.kill(wrong)


def test_exit_actor_ends_after_the_call():
    actor = Actor.remote()
    pid = ray.get(actor.pid.remote())
    with pytest.raises(RayActorError):
        ray.get(actor.leave.remote())
    with pytest.raises(RayActorError):
        ray.get(actor.pid.remote())
    wait_until(lambda: not alive(pid))


def test_exit_actor_is_not_a_crash():
    @ray.remote(max_restarts=-1, num_cpus=0)
    class Restarting:
        def leave(self):
            ray.actor.exit_actor()

        def f(self):
            return 1

    actor = Restarting.remote()
    with pytest.raises(RayActorError):
        ray.get(actor.leave.remote())
    with pytest.raises(RayActorError):
        ray.get(actor.f.remote())


def test_exit_actor_outside_of_an_actor_is_a_type_error():
    with pytest.raises(TypeError):
        ray.actor.exit_actor()


def test_exit_of_an_async_actor():
    @ray.remote(num_cpus=0)
    class Async:
        async def leave(self):
            ray.actor.exit_actor()

        async def f(self):
            return 1

    actor = Async.remote()
    assert ray.get(actor.f.remote()) == 1
    with pytest.raises(RayActorError):
        ray.get(actor.leave.remote())


def test_terminate_comes_after_what_was_called_before(tmp_path):
    path = tmp_path / "left"
    actor = Actor.remote()
    pid = ray.get(actor.leave_file.remote(str(path)))
    before = actor.sleep.remote(0.2)
    actor.__ray_terminate__.remote()
    assert ray.get(before) == "slept"
    wait_until(lambda: not alive(pid))
    assert path.exists()


def test_an_actor_ends_when_its_last_handle_is_gone():
    actor = Actor.remote()
    pid = ray.get(actor.pid.remote())
    del actor
    gc.collect()
    wait_until(lambda: not alive(pid))


def test_an_actor_out_of_scope_finishes_its_calls():
    ref = Actor.remote().sleep.remote(0.3)
    gc.collect()
    assert ray.get(ref) == "slept"


def test_an_actor_lives_while_a_stored_handle_does():
    actor = Actor.remote()
    pid = ray.get(actor.pid.remote())
    stored = ray.put([actor])
    del actor
    gc.collect()
    released()
    assert alive(pid)
    assert ray.get(ray.get(stored)[0].pid.remote()) == pid


def test_an_actor_lives_while_another_actor_holds_it():
    @ray.remote(num_cpus=0)
    class Holder:
        def hold(self, handles):
            self.handle = handles[0]

        def ask(self):
            return ray.get(self.handle.pid.remote())

    holder, actor = Holder.remote(), Actor.remote()
    ray.get(holder.hold.remote([actor]))
    pid = ray.get(actor.pid.remote())
    del actor
    gc.collect()
    released()
    assert ray.get(holder.ask.remote()) == pid


class Witness:
    """Writes down how it ends."""

    def __init__(self, path):
        import atexit

        self.path = path
        atexit.register(self.write, "exit handler")

    def write(self, words):
        with open(self.path, "a") as file:
            file.write(words + "\n")

    def pid(self):
        return os.getpid()

    def leave(self):
        ray.actor.exit_actor()

    def __ray_shutdown__(self):
        self.write("shutdown")


class AsyncWitness(Witness):
    """The same with an event loop."""

    async def later(self):
        return 1


@pytest.mark.parametrize("kind", [Witness, AsyncWitness, "threads"], ids=["sync", "async", "threads"])
@pytest.mark.parametrize(
    ("how", "seen"),
    [("terminate", ["shutdown", "exit handler"]), ("scope", ["shutdown", "exit handler"]), ("exit", ["shutdown", "exit handler"]), ("kill", [])],
)
def test_what_runs_when_an_actor_ends(tmp_path, kind, how, seen):
    path = tmp_path / "seen"
    options = {"max_concurrency": 2} if kind == "threads" else {}
    actor = ray.remote(num_cpus=0, **options)(Witness if kind == "threads" else kind).remote(str(path))
    pid = ray.get(actor.pid.remote())
    if how == "terminate":
        actor.__ray_terminate__.remote()
    elif how == "scope":
        del actor
        gc.collect()
    elif how == "kill":
        ray.kill(actor)
    else:
        with pytest.raises(RayActorError):
            ray.get(actor.leave.remote())
    wait_until(lambda: not alive(pid))
    assert (path.read_text().splitlines() if path.exists() else []) == seen


def test_del_runs_last_when_an_actor_ends(tmp_path):
    path = tmp_path / "seen"

    class Deleted:
        def pid(self):
            return os.getpid()

        def __del__(self):
            path.touch()

    actor = ray.remote(num_cpus=0)(Deleted).remote()
    pid = ray.get(actor.pid.remote())
    del actor
    gc.collect()
    wait_until(lambda: not alive(pid))
    assert path.exists()


def test_a_shutdown_that_fails_ends_the_actor_all_the_same():
    class Failing:
        def pid(self):
            return os.getpid()

        def __ray_shutdown__(self):
            raise ValueError("at the end")

    actor = ray.remote(num_cpus=0)(Failing).remote()
    pid = ray.get(actor.pid.remote())
    actor.__ray_terminate__.remote()
    wait_until(lambda: not alive(pid))


def test_an_abstract_class_is_refused_where_it_is_decorated():
    import abc

    class Abstract(abc.ABC):
        @abc.abstractmethod
        def f(self):
            """Is for others to write."""

    class Concrete(Abstract):
        def f(self):
            return 1

    with pytest.raises(TypeError, match=r"Can't instantiate abstract class .*Abstract.* with abstract method f"):
        ray.remote(Abstract)
    assert ray.get(ray.remote(num_cpus=0)(Concrete).remote().f.remote()) == 1


def test_sys_exit_in_a_method_ends_the_actor():
    import sys

    @ray.remote(num_cpus=0)
    class Leaver:
        def leave(self):
            sys.exit(0)

        def f(self):
            return 1

    actor = Leaver.remote()
    with pytest.raises(RayActorError):
        ray.get(actor.leave.remote())
    with pytest.raises(RayActorError):
        ray.get(actor.f.remote())


def test_kill_while_the_constructor_runs():
    @ray.remote(num_cpus=0)
    class Slow:
        def __init__(self):
            time.sleep(30)

        def f(self):
            return 1

    actor = Slow.remote()
    ref = actor.f.remote()
    ray.kill(actor)
    with pytest.raises(RayActorError):
        ray.get(ref, timeout=20)
