"""Ray's ``ray._private.test_utils``: what tests written for Ray take from there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mobula
from mobula.ray._common.test_utils import (
    Semaphore,
    SignalActor,
    async_wait_for_condition,
    run_string_as_driver,
    run_string_as_driver_nonblocking,
    wait_for_condition,
    wait_for_pid_to_exit,
)

__all__ = [
    "Semaphore",
    "SignalActor",
    "async_wait_for_condition",
    "client_test_enabled",
    "convert_actor_state",
    "generate_system_config_map",
    "get_actor_node_id",
    "is_placement_group_removed",
    "kill_actor_and_wait_for_failure",
    "placement_group_assert_no_leak",
    "run_string_as_driver",
    "run_string_as_driver_nonblocking",
    "run_string_as_driver_stdout_stderr",
    "same_elements",
    "wait_for_assertion",
    "wait_for_condition",
    "wait_for_num_actors",
    "wait_for_pid_to_exit",
    "wait_until_succeeded_without_exception",
]


def client_test_enabled() -> bool:
    """Reports whether tests run through Ray Client, which Mobula does not have."""
    return False


def generate_system_config_map(**kwargs: Any) -> dict[str, Any]:
    """Returns the arguments of ``init`` that set Ray's internal switches."""
    return {"_system_config": kwargs}


def convert_actor_state(state: int | None) -> str | None:
    """Returns the name of an actor's state; None for 0 and None."""
    return ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD")[state] if state else None


def same_elements(elems_a: Sequence[Any], elems_b: Sequence[Any]) -> bool:
    """Reports whether two sequences have the same elements, in any order and number."""
    return all(elem in elems_b for elem in elems_a) and all(elem in elems_a for elem in elems_b)


def run_string_as_driver_stdout_stderr(
    driver_script: str, env: Mapping[str, str] | None = None, encode: str = "utf-8", timeout: float | None = 300
) -> tuple[str, str]:
    """Runs a program, in which ray is Mobula too, and returns what it wrote. Raises CalledProcessError when it fails."""
    process = run_string_as_driver_nonblocking(driver_script, env)
    try:
        out, err = (text.decode(encode) for text in process.communicate(timeout=timeout))
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, out, err)
    return out, err


def wait_for_assertion(
    assertion_predictor: Callable[..., Any],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Calls the function with kwargs until its assertions hold. Raises RuntimeError after timeout seconds."""

    def holds() -> bool:
        try:
            assertion_predictor(**kwargs)
        except AssertionError:
            return False
        return True

    wait_for_condition(holds, timeout, retry_interval_ms, raise_exceptions)


def wait_until_succeeded_without_exception(
    func: Callable[..., Any],
    exceptions: tuple[type[BaseException], ...],
    *args: Any,
    timeout_ms: int = 1000,
    retry_interval_ms: int = 100,
    raise_last_ex: bool = False,
) -> bool:
    """Calls the function until it raises none of the exceptions, and reports whether it came to that within timeout_ms."""
    end = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            func(*args)
            return True
        except exceptions:
            if time.monotonic() >= end:
                if raise_last_ex:
                    raise
                return False
        time.sleep(retry_interval_ms / 1000)


def wait_for_num_actors(num_actors: int, state: str | None = None, timeout: float = 10) -> None:
    """Waits until there are so many actors, in a state if one is given. Raises RuntimeError after timeout seconds."""
    from mobula.util.state import list_actors

    def there() -> bool:
        return sum(state in (None, a.state) for a in list_actors(limit=10_000)) >= num_actors

    wait_for_condition(there, timeout)


def kill_actor_and_wait_for_failure(actor: Any, timeout: float = 10, retry_interval_ms: float = 100) -> None:
    """Kills an actor, which may start again, and waits until its process has ended."""
    pid = mobula.get(actor.__ray_call__.remote(_pid))
    mobula.kill(actor, no_restart=False)
    wait_for_pid_to_exit(pid, timeout)


def _pid(_: object) -> int:
    import os

    return os.getpid()


def get_actor_node_id(actor_handle: Any) -> str:
    """Returns the id of the node on which an actor is."""
    return str(mobula.get(actor_handle.__ray_call__.remote(lambda _: mobula.get_runtime_context().get_node_id())))


def is_placement_group_removed(pg: Any) -> bool:
    """Reports whether a placement group was removed."""
    return bool(mobula.util.placement_group_table(pg)["state"] == "REMOVED")


def placement_group_assert_no_leak(pgs_created: Sequence[Any]) -> None:
    """Removes the placement groups and waits until all that they had reserved is free again."""
    for pg in pgs_created:
        mobula.util.remove_placement_group(pg)
    wait_for_condition(lambda: mobula.available_resources() == mobula.cluster_resources(), 10)
