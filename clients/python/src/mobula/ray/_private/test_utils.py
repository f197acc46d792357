"""Ray's ``ray._private.test_utils``: what tests written for Ray take from there."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping

from mobula.ray._common.test_utils import Semaphore, SignalActor, async_wait_for_condition, wait_for_condition, wait_for_pid_to_exit

__all__ = [
    "Semaphore",
    "SignalActor",
    "async_wait_for_condition",
    "run_string_as_driver",
    "run_string_as_driver_nonblocking",
    "wait_for_condition",
    "wait_for_pid_to_exit",
]


def run_string_as_driver(driver_script: str, env: Mapping[str, str] | None = None, encode: str = "utf-8") -> str:
    """Runs a program, in which ray is Mobula too, and returns its output. Raises CalledProcessError when it fails."""
    process = run_string_as_driver_nonblocking(driver_script, env, stderr=subprocess.STDOUT)
    output, _ = process.communicate()
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
