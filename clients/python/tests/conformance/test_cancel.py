"""Cancelling what waits, what runs, what has ended, and children."""

from __future__ import annotations

import asyncio
import time

import pytest
import ray
from ray.exceptions import RayError, TaskCancelledError, WorkerCrashedError

from .waiting import wait_until

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def sleep():
    @ray.remote(num_cpus=0, max_retries=0)
    def sleep(path, seconds=60):
        open(path, "w").close()
        for _ in range(int(seconds * 20)):
            time.sleep(0.05)

    return sleep


def test_running_task_is_interrupted(sleep, tmp_path):
    path = tmp_path / "begun"
    ref = sleep.remote(str(path))
    wait_until(path.exists)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)


def test_running_task_sees_keyboard_interrupt(tmp_path):
    begun, seen = tmp_path / "begun", tmp_path / "seen"

    @ray.remote(max_retries=0)
    def work():
        try:
            begun.touch()
            for _ in range(1000):
                time.sleep(0.05)
        except KeyboardInterrupt:
            seen.touch()
            raise

    ref = work.remote()
    wait_until(begun.exists)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    wait_until(seen.exists)


def test_forced_cancel_kills_the_worker(sleep, tmp_path):
    path = tmp_path / "begun"
    ref = sleep.remote(str(path))
    wait_until(path.exists)
    ray.cancel(ref, force=True)
    with pytest.raises((TaskCancelledError, WorkerCrashedError)):
        ray.get(ref, timeout=20)


def test_task_that_waits_for_an_argument_is_dropped(signal):
    gate = signal()

    @ray.remote
    def never(x):
        return x

    ref = never.remote(gate.wait.remote())
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    ray.get(gate.send.remote())


def test_task_that_waits_for_resources_is_dropped(sleep, tmp_path):
    hold = sleep.options(resources={"token": 2}).remote(str(tmp_path / "a"))
    wait_until((tmp_path / "a").exists)
    waiting = sleep.options(resources={"token": 2}).remote(str(tmp_path / "b"))
    ray.cancel(waiting)
    with pytest.raises(TaskCancelledError):
        ray.get(waiting, timeout=20)
    ray.cancel(hold, force=True)
    assert not (tmp_path / "b").exists()


def test_finished_task_is_left_alone():
    @ray.remote
    def f():
        return 1

    ref = f.remote()
    assert ray.get(ref) == 1
    ray.cancel(ref)
    assert ray.get(ref) == 1


def test_cancel_twice(sleep, tmp_path):
    ref = sleep.remote(str(tmp_path / "begun"))
    ray.cancel(ref)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)


def test_dependents_of_a_cancelled_task_fail(sleep, tmp_path):
    @ray.remote
    def after(x):
        return x

    ref = sleep.remote(str(tmp_path / "begun"))
    child = after.remote(ref)
    ray.cancel(ref)
    with pytest.raises(RayError):
        ray.get(child, timeout=20)


def test_children_are_cancelled_too(sleep, tmp_path):
    path, ended = tmp_path / "child", tmp_path / "ended"

    @ray.remote(num_cpus=0, max_retries=0)
    def child():
        path.touch()
        try:
            for _ in range(1000):
                time.sleep(0.05)
        except KeyboardInterrupt:
            ended.touch()
            raise

    @ray.remote(num_cpus=0, max_retries=0)
    def parent():
        return ray.get(child.remote())

    ref = parent.remote()
    wait_until(path.exists)
    ray.cancel(ref)
    with pytest.raises(RayError):
        ray.get(ref, timeout=20)
    wait_until(ended.exists)


@pytest.mark.parametrize("wrong", [1, None, "ref"], ids=repr)
def test_cancel_of_something_else_is_a_type_error(wrong):
    with pytest.raises(TypeError):
        ray.cancel(wrong)


def test_pending_method_is_dropped():
    @ray.remote(num_cpus=0)
    class Actor:
        def sleep(self, seconds):
            time.sleep(seconds)
            return "slept"

    actor = Actor.remote()
    running = actor.sleep.remote(0.7)
    pending = actor.sleep.remote(0)
    ray.cancel(pending)
    with pytest.raises(TaskCancelledError):
        ray.get(pending, timeout=20)
    assert ray.get(running, timeout=20) == "slept"


def test_running_async_method_is_cancelled():
    @ray.remote(num_cpus=0)
    class Actor:
        def __init__(self):
            self.begun = asyncio.Event()
            self.cancelled = False

        async def forever(self):
            self.begun.set()
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                self.cancelled = True
                raise

        async def wait(self):
            await self.begun.wait()

        async def was_cancelled(self):
            return self.cancelled

    actor = Actor.remote()
    ref = actor.forever.remote()
    ray.get(actor.wait.remote())
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    assert ray.get(actor.was_cancelled.remote()) is True


@pytest.mark.parametrize("threads", [1, 2])
def test_running_sync_method_goes_on_and_can_look(tmp_path, threads):
    begun, seen, ended = tmp_path / "begun", tmp_path / "seen", tmp_path / "ended"

    @ray.remote(num_cpus=0, max_concurrency=threads)
    class Actor:
        def work(self):
            begun.touch()
            for _ in range(200):
                time.sleep(0.02)
                if ray.get_runtime_context().is_canceled():
                    seen.touch()
                    break
            time.sleep(0.1)
            ended.touch()
            return "done"

        def live(self):
            return "alive"

    actor = Actor.remote()
    ref = actor.work.remote()
    wait_until(begun.exists)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    assert ended.exists() and seen.exists()
    assert ray.get(actor.live.remote()) == "alive"


def test_force_on_a_method_is_a_value_error():
    @ray.remote(num_cpus=0)
    class Actor:
        def f(self):
            time.sleep(0.2)

    actor = Actor.remote()
    ref = actor.f.remote()
    with pytest.raises(ValueError):
        ray.cancel(ref, force=True)


def test_cancelled_is_never_retried(tmp_path):
    path = tmp_path / "count"

    @ray.remote(max_retries=5, num_cpus=0, retry_exceptions=True)
    def work():
        with open(path, "a") as file:
            file.write(".")
        for _ in range(1000):
            time.sleep(0.05)

    @ray.remote(num_cpus=0)
    def after():
        return 1

    ref = work.remote()
    wait_until(path.exists)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    ray.get(after.remote(), timeout=20)  # a second attempt would have begun before it
    assert path.read_text() == "."


def test_worker_goes_on_after_an_interrupt(sleep, tmp_path):
    @ray.remote
    def f():
        return 1

    for i in range(3):
        path = tmp_path / str(i)
        ref = sleep.remote(str(path))
        wait_until(path.exists)
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref, timeout=20)
        assert ray.get(f.remote()) == 1
