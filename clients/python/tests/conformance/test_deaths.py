"""What errors of the system say: which actor died and why, which task, what to look for in the text."""

from __future__ import annotations

import os
import re
import signal as signals
import sys
import time

import pytest
import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    GetTimeoutError,
    PendingCallsLimitExceeded,
    RayActorError,
    RayTaskError,
    TaskCancelledError,
    TaskUnschedulableError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .waiting import wait_until

pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote(num_cpus=0)
class Mortal:
    """Dies in many ways."""

    def __init__(self, how=None):
        if how == "raise":
            raise ValueError("in the constructor")
        if how == "exit":
            os._exit(1)

    def pid(self):
        return os.getpid()

    def end(self, how):
        if how == "exit":
            os._exit(3)
        elif how == "exit_actor":
            ray.actor.exit_actor()
        else:
            os.kill(os.getpid(), how)
            time.sleep(30)

    def fail(self):
        raise KeyError("of a method")

    def sleep(self, seconds):
        time.sleep(seconds)

    async def later(self):
        return 1


class Sync:
    """The same without asynchronous methods."""

    def get(self, *_):
        return 1

    def end(self):
        os._exit(3)

    def sleep(self, seconds):
        time.sleep(seconds)

    def fail(self):
        raise KeyError("of a method")

    def __repr__(self):
        return "the sync one"


def raised(ref, error=Exception):
    with pytest.raises(error) as info:
        ray.get(ref, timeout=30)
    return info.value


@pytest.mark.parametrize("how", ["exit", "exit_actor", signals.SIGKILL, signals.SIGSEGV], ids=str)
def test_an_actor_that_died_is_named_in_the_text(how):
    actor = Mortal.remote()
    e = raised(actor.end.remote(how), ActorDiedError)
    assert str(e).startswith("The actor died unexpectedly before finishing this task")
    after = raised(actor.pid.remote(), ActorDiedError)
    assert "class_name: Mortal" in str(after)
    assert f"actor_id: {actor._actor_id.hex()}" in str(after)
    assert "The actor is dead because" in str(after)
    assert after.actor_id in (None, actor._actor_id.hex())
    assert not after.actor_init_failed
    assert not after.preempted


def test_a_crash_says_which_process_it_was():
    actor = Mortal.remote()
    pid = ray.get(actor.pid.remote())
    assert f"pid: {pid}" in str(raised(actor.end.remote("exit"), ActorDiedError))


def test_an_actor_with_a_name_is_called_by_it():
    actor = Mortal.options(name="mortal").remote()
    assert "name: mortal" in str(raised(actor.end.remote("exit"), ActorDiedError))


def test_a_kill_is_called_a_kill():
    actor = Mortal.remote()
    ray.get(actor.pid.remote())
    ray.kill(actor)
    e = raised(actor.pid.remote(), ActorDiedError)
    assert "The actor is dead because it was killed by `ray.kill`" in str(e)
    assert "class_name: Mortal" in str(e)


def test_a_constructor_that_fails():
    actor = Mortal.remote("raise")
    e = raised(actor.pid.remote(), ActorDiedError)
    assert str(e).startswith("The actor died because of an error raised in its creation task, ")
    assert "Mortal.__init__()" in str(e)
    assert "ValueError: in the constructor" in str(e)
    assert e.actor_init_failed
    assert e.actor_id == actor._actor_id.hex()


def test_a_constructor_that_exits():
    assert isinstance(raised(Mortal.remote("exit").pid.remote()), RayActorError)


def test_unavailable_says_so():
    actor = ray.remote(max_restarts=1, num_cpus=0)(Sync).remote()
    ray.get(actor.get.remote())
    e = raised(actor.end.remote(), ActorUnavailableError)
    assert f"The actor {actor._actor_id.hex()} is unavailable" in str(e)
    assert e.actor_id == actor._actor_id.hex()
    wait_until(lambda: _works(actor))


def _works(actor):
    try:
        return ray.get(actor.get.remote()) == 1
    except ActorUnavailableError:
        return False


@pytest.mark.parametrize("how", ["exit", "sys.exit(0)", "sys.exit(1)", signals.SIGKILL], ids=str)
def test_a_worker_that_crashes(how):
    @ray.remote(max_retries=0)
    def die():
        if how == "exit":
            os._exit(1)
        if isinstance(how, str):
            sys.exit(int(how[-2]))
        os.kill(os.getpid(), how)
        time.sleep(30)

    assert "The worker died unexpectedly while executing this task" in str(raised(die.remote(), WorkerCrashedError))


def test_the_first_line_of_a_task_error():
    @ray.remote(max_retries=0)
    def fail():
        raise ValueError("words")

    e = raised(fail.remote(), ValueError)
    text = re.sub("\x1b\\[[0-9]*m", "", str(e))
    assert re.match(r"ray::fail\(\) \(pid=\d+", text)
    assert text.endswith("ValueError: words")
    assert type(e).__name__ == "RayTaskError(ValueError)"
    assert repr(e) == "RayTaskError(ValueError)(ValueError('words'))"
    assert e.__cause__ is None


def test_the_first_line_of_an_error_of_a_method():
    actor = ray.remote(num_cpus=0)(Sync).remote()
    text = re.sub("\x1b\\[[0-9]*m", "", str(raised(actor.fail.remote(), KeyError)))
    assert re.match(rf"ray::Sync\.fail\(\) \(pid=\d+.*actor_id={actor._actor_id.hex()}, repr=the sync one\)", text)


def test_a_failed_argument_shows_both():
    @ray.remote(max_retries=0)
    def fail():
        raise ValueError("words")

    @ray.remote
    def use(x):
        return x

    text = re.sub("\x1b\\[[0-9]*m", "", str(raised(use.remote(fail.remote()), ValueError)))
    assert text.startswith("ray::use()")
    assert "At least one of the input arguments for this task could not be computed:" in text
    assert "ray::fail() (pid=" in text


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_timeout(timeout, signal):
    waits = signal().wait.remote()
    with pytest.raises(GetTimeoutError, match="Get timed out: some object"):
        ray.get(waits, timeout=timeout)
    with pytest.raises(TimeoutError):
        ray.get([waits, ray.put(1)], timeout=timeout)


def test_too_many_pending_calls(signal):
    gate = signal()
    actor = ray.remote(max_pending_calls=1, num_cpus=0)(Sync).remote()
    ray.get(actor.get.remote())
    waiting = actor.get.remote(gate.wait.remote())
    words = r"could not be submitted to Actor\(Sync, [0-9a-f]+\) because more than 1 tasks are queued on the actor\. This limit can be adjusted with"
    with pytest.raises(PendingCallsLimitExceeded, match=words):
        for _ in range(3):
            actor.get.remote()
    ray.get(gate.send.remote())
    ray.get(waiting)


def test_a_task_that_no_node_can_take():
    @ray.remote(scheduling_strategy=NodeAffinitySchedulingStrategy("0" * 56, soft=False))
    def never():
        return 1

    assert str(raised(never.remote(), TaskUnschedulableError)).startswith("The task is not schedulable: ")


def test_an_interrupt_that_the_task_raised_is_a_cancellation():
    @ray.remote(max_retries=0)
    def interrupt():
        raise KeyboardInterrupt

    e = raised(interrupt.remote(), RayTaskError)
    assert isinstance(e, TaskCancelledError)


@pytest.mark.parametrize("nested", [1, 2, 3])
def test_every_level_of_nested_tasks_is_shown(nested):
    @ray.remote(max_retries=0)
    def level(n):
        if n == 0:
            raise ValueError("at the bottom")
        return ray.get(level.remote(n - 1))

    text = str(raised(level.remote(nested), ValueError))
    assert text.count("level()") >= nested + 1
    assert "at the bottom" in text


def test_names_of_tasks_in_their_context():
    @ray.remote(num_cpus=0)
    class Named:
        def __init__(self):
            self.made = ray.get_runtime_context().get_task_name()

        def names(self):
            return self.made, ray.get_runtime_context().get_task_name(), ray.get_runtime_context().get_task_function_name().rpartition("Named")[2]

    actor = Named.remote()
    assert ray.get(actor.names.remote()) == ("Named.__init__", "Named.names", ".names")
    assert ray.get(actor.names.options(name="other").remote())[1] == "other"
