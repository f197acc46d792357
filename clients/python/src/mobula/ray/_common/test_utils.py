"""Ray's ``ray._common.test_utils``: what tests written for Ray take from there."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import mobula

__all__ = [
    "Semaphore", "SignalActor", "async_wait_for_condition", "run_string_as_driver", "run_string_as_driver_nonblocking", "wait_for_condition",
    "wait_for_pid_to_exit",
]  # fmt: skip


@mobula.remote(num_cpus=0)
class SignalActor:
    """An event that tasks wait for: ``wait`` returns once ``send`` was called."""

    def __init__(self) -> None:
        self.ready_event = asyncio.Event()
        self.num_waiters = 0

    def send(self, clear: bool = False) -> None:
        """Lets everybody go who waits; with clear, those who come later wait again."""
        self.ready_event.set()
        if clear:
            self.ready_event.clear()

    async def wait(self, should_wait: bool = True) -> None:
        """Waits for send."""
        if should_wait:
            self.num_waiters += 1
            await self.ready_event.wait()
            self.num_waiters -= 1

    async def cur_num_waiters(self) -> int:
        """Returns how many wait."""
        return self.num_waiters


@mobula.remote(num_cpus=0)
class Semaphore:
    """A counter that tasks take from and give back to."""

    def __init__(self, value: int = 1) -> None:
        self._sema = asyncio.Semaphore(value=value)

    async def acquire(self) -> None:
        """Waits until the counter is above zero, and takes one."""
        await self._sema.acquire()

    async def release(self) -> None:
        """Gives one back."""
        self._sema.release()

    async def locked(self) -> bool:
        """Returns whether nothing is left."""
        return self._sema.locked()


def wait_for_condition(
    condition_predictor: Callable[..., Any],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Calls the condition with kwargs until it is true. Raises RuntimeError after timeout seconds, with the last error that it raised."""
    end = time.monotonic() + timeout
    last: BaseException | None = None
    while time.monotonic() < end:
        try:
            if condition_predictor(**kwargs):
                return
        except Exception as error:
            if raise_exceptions:
                raise
            last = error
        time.sleep(retry_interval_ms / 1000)
    raise RuntimeError(f"The condition wasn't met before the timeout expired. Last exception: {last!r}") from last


async def async_wait_for_condition(
    condition_predictor: Callable[..., bool | Awaitable[bool]],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    **kwargs: Any,
) -> None:
    """Does what wait_for_condition does, without blocking the loop; the condition may be a coroutine function."""
    end = time.monotonic() + timeout
    last: BaseException | None = None
    while time.monotonic() < end:
        try:
            answer = condition_predictor(**kwargs)
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return
        except Exception as error:
            last = error
        await asyncio.sleep(retry_interval_ms / 1000)
    raise RuntimeError(f"The condition wasn't met before the timeout expired. Last exception: {last!r}") from last


def run_string_as_driver(driver_script: str, env: Mapping[str, str] | None = None, encode: str = "utf-8", timeout: float | None = 300) -> str:
    """Runs a program, in which ray is Mobula too, and returns its output.

    Raises CalledProcessError when it fails, TimeoutExpired after timeout seconds.
    """
    process = run_string_as_driver_nonblocking(driver_script, env, stderr=subprocess.STDOUT)
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    text = output.decode(encode)
    if process.returncode:
        print(text)
        raise subprocess.CalledProcessError(process.returncode, process.args, output, None)
    return text


def run_string_as_driver_nonblocking(
    driver_script: str, env: Mapping[str, str] | None = None, stderr: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Starts a program, in which ray is Mobula too, and returns its process."""
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        file.write(driver_script)
    return subprocess.Popen([sys.executable, "-m", "mobula.ray", file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env)


def wait_for_pid_to_exit(pid: int, timeout: float = 20) -> None:
    """Waits until no process has this id. Raises TimeoutError after timeout seconds."""

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    try:
        wait_for_condition(gone, timeout=timeout)
    except RuntimeError:
        raise TimeoutError(f"Timed out while waiting for process {pid} to exit.") from None
