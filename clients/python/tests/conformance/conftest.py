"""What the conformance suite runs on.

Every test here imports ``ray`` and nothing of Mobula. By default that is Mobula, through its drop-in; with CONFORMANCE_BACKEND=ray it is
the installed Ray, on which every promise was seen to hold first:

    CONFORMANCE_BACKEND=ray python -m pytest -c /dev/null clients/python/tests/conformance

(an environment with ``ray[default]==2.60.0``, numpy and pytest; the two suites must not run at the same time). Where Mobula differs on
purpose the test says so: ``mobula_only`` holds what is better here, ``ray_only`` what is missing, each with its reason.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BACKEND = os.environ.get("CONFORMANCE_BACKEND", "mobula")
_SOURCES = Path(__file__).resolve().parents[2] / "src"
_PROGRAM_TIMEOUT_S = 60


def pytest_configure(config: pytest.Config) -> None:
    """Makes ``import ray`` mean the chosen backend before the test modules are imported."""
    config.addinivalue_line("markers", "mobula_only(reason): holds on Mobula, and differs from Ray on purpose")
    config.addinivalue_line("markers", "ray_only(reason): holds on Ray, and is not there in Mobula")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what is only for the other backend."""
    other = "ray_only" if BACKEND == "mobula" else "mobula_only"
    for item in items:
        marker = item.get_closest_marker(other)
        if marker is not None:
            item.add_marker(pytest.mark.skip(reason=f"{other}: {marker.args[0]}"))


if BACKEND == "mobula":
    importlib.import_module("mobula.ray._hook").install()


@pytest.fixture(autouse=True, scope="package")
def _backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """The environment of the backend: workers resolve ``ray`` as this process does."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MOBULA_ADDRESS", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        if BACKEND == "mobula":
            request.getfixturevalue("binary")
            patch.setenv("MOBULA_RAY", "1")
        else:
            patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
            patch.setenv("RAY_ADDRESS", "local")  # whatever else runs on this machine
            patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        yield


@pytest.fixture(scope="module")
def cluster(_backend: None) -> Iterator[None]:
    """One node with four CPUs for all tests of a module."""
    import ray

    ray.init(num_cpus=4, resources={"token": 2}, namespace="conformance", include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def signal() -> Callable[[], object]:
    """Makes actors on which tasks can wait until a test lets them go on."""
    import ray

    @ray.remote(num_cpus=0)
    class Signal:
        def __init__(self) -> None:
            import asyncio

            self.sent = asyncio.Event()
            self.waiting = 0

        async def send(self) -> None:
            self.sent.set()

        async def wait(self) -> None:
            self.waiting += 1
            await self.sent.wait()

        async def waiters(self) -> int:
            return self.waiting

    return lambda: Signal.remote()


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the text of a program as a script of its own, on the chosen backend, without checking its exit code."""

    def run(text: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(text))
        runner = ["-m", "mobula.ray"] if BACKEND == "mobula" else []
        env = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        if BACKEND == "mobula":
            env["PYTHONPATH"] = os.pathsep.join(p for p in (str(_SOURCES), env.get("PYTHONPATH")) if p)
        return subprocess.run(
            [sys.executable, *runner, str(script), *args], capture_output=True, text=True, timeout=_PROGRAM_TIMEOUT_S, env=env, check=False
        )

    return run
