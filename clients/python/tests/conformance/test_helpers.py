"""What tests of programs take from Ray's own helpers: signals, semaphores, waiting for a condition, programs as text."""

from __future__ import annotations

import asyncio
import subprocess
import time

import pytest
import ray
from ray._common.test_utils import Semaphore, SignalActor, async_wait_for_condition, run_string_as_driver, wait_for_condition
from ray._private.test_utils import (
    convert_actor_state,
    generate_system_config_map,
    run_string_as_driver_nonblocking,
    same_elements,
    wait_for_assertion,
    wait_until_succeeded_without_exception,
)

pytestmark = pytest.mark.usefixtures("cluster")


def test_signal_lets_everybody_go():
    gate = SignalActor.remote()
    waiting = [gate.wait.remote() for _ in range(3)]
    wait_for_condition(lambda: ray.get(gate.cur_num_waiters.remote()) == 3)
    assert ray.wait(waiting, timeout=0)[0] == []
    ray.get(gate.send.remote())
    assert ray.get(waiting, timeout=30) == [None] * 3
    assert ray.get(gate.cur_num_waiters.remote()) == 0
    ray.get(gate.wait.remote(), timeout=30)


def test_signal_that_is_cleared_holds_again():
    gate = SignalActor.remote()
    ray.get(gate.send.remote(clear=True))
    waits = gate.wait.remote()
    wait_for_condition(lambda: ray.get(gate.cur_num_waiters.remote()) == 1)
    ray.get(gate.send.remote())
    ray.get(waits, timeout=30)


def test_signal_without_waiting():
    gate = SignalActor.remote()
    ray.get(gate.wait.remote(should_wait=False), timeout=30)
    assert ray.get(gate.cur_num_waiters.remote()) == 0


def test_signal_inside_of_tasks():
    gate = SignalActor.remote()

    @ray.remote
    def blocked(gate):
        ray.get(gate.wait.remote())
        return "went on"

    ref = blocked.remote(gate)
    assert ray.wait([ref], timeout=0)[0] == []
    gate.send.remote()
    assert ray.get(ref, timeout=30) == "went on"


@pytest.mark.parametrize("value", [1, 2])
def test_semaphore(value):
    semaphore = Semaphore.remote(value=value)
    ray.get([semaphore.acquire.remote() for _ in range(value)])
    assert ray.get(semaphore.locked.remote())
    waits = semaphore.acquire.remote()
    assert ray.wait([waits], timeout=0)[0] == []
    ray.get(semaphore.release.remote())
    ray.get(waits, timeout=30)


def test_condition_that_becomes_true():
    asked = []
    wait_for_condition(lambda: asked.append(1) or len(asked) >= 3, retry_interval_ms=1)
    assert len(asked) == 3


def test_condition_with_arguments():
    wait_for_condition(lambda wanted, got: wanted == got, wanted=1, got=1)


def test_condition_that_stays_false():
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="The condition wasn't met before the timeout expired"):
        wait_for_condition(lambda: False, timeout=0.05, retry_interval_ms=10)
    assert time.monotonic() - began < 10


def test_condition_that_raises():
    def condition():
        raise ValueError("inside of it")

    with pytest.raises(RuntimeError, match="inside of it"):
        wait_for_condition(condition, timeout=0.05, retry_interval_ms=10)
    with pytest.raises(ValueError, match="inside of it"):
        wait_for_condition(condition, timeout=0.05, retry_interval_ms=10, raise_exceptions=True)


def test_asynchronous_condition():
    async def main():
        asked = []

        async def condition():
            asked.append(1)
            return len(asked) >= 2

        await async_wait_for_condition(condition, retry_interval_ms=1)
        with pytest.raises(RuntimeError):
            await async_wait_for_condition(lambda: False, timeout=0.05, retry_interval_ms=10)

    asyncio.run(main())


def test_assertion_that_becomes_true():
    seen = []

    def holds():
        seen.append(1)
        assert len(seen) >= 3

    wait_for_assertion(holds, retry_interval_ms=1)

    def never():
        raise AssertionError("never")

    with pytest.raises((RuntimeError, AssertionError)):
        wait_for_assertion(never, timeout=0.05, retry_interval_ms=10)


def test_function_that_succeeds_at_last():
    tries = []

    def f(limit):
        tries.append(1)
        if len(tries) < limit:
            raise OSError("not yet")

    assert wait_until_succeeded_without_exception(f, (OSError,), 3, timeout_ms=5000, retry_interval_ms=1)
    assert not wait_until_succeeded_without_exception(f, (OSError,), 1_000_000, timeout_ms=20, retry_interval_ms=5)
    with pytest.raises(Exception, match="not yet"):
        wait_until_succeeded_without_exception(f, (OSError,), 1_000_000, timeout_ms=20, retry_interval_ms=5, raise_last_ex=True)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [([1, 2], [2, 1], True), ([1, 2], [1], False), ([1], [1, 2], False), ([1, 1], [1], True), ([], [], True), ([[1]], [[1]], True)],
)
def test_same_elements(a, b, same):
    assert same_elements(a, b) == same


def test_small_things():
    assert generate_system_config_map(a=1) == {"_system_config": {"a": 1}}
    assert [convert_actor_state(n) for n in (1, 2, 3, 4)] == ["PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD"]


def test_program_as_text():
    assert run_string_as_driver("print('from the program')") == "from the program\n"
    with pytest.raises(subprocess.CalledProcessError) as info:
        run_string_as_driver("import sys; print('last words'); sys.exit(3)")
    assert info.value.returncode == 3
    assert b"last words" in info.value.output


def test_program_as_text_that_goes_on():
    process = run_string_as_driver_nonblocking("import sys; print('ready', flush=True); sys.exit(3)")
    assert process.stdout.readline() == b"ready\n"
    assert process.wait(timeout=30) == 3
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


def test_program_as_text_with_ray():
    text = """
import ray
assert ray.__version__
@ray.remote
def f(x):
    return x + 1
ray.init(num_cpus=1, include_dashboard=False)
print("answer", ray.get(f.remote(41)))
"""
    assert "answer 42" in run_string_as_driver(text)
