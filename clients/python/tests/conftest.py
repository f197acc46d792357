"""Fixtures for tests against a real node: one per module, of the binary that the package carries or that Go builds here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]

# A shell ignores it for what it starts in the background, and so would the programs that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The mobula binary: MOBULA_BINARY, or built from this checkout."""
    named = os.environ.get("MOBULA_BINARY")
    if named:
        return named
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go to build the node with: set MOBULA_BINARY")
    path = tmp_path_factory.mktemp("bin") / "mobula"
    subprocess.run([go, "build", "-o", str(path), "./cmd/mobula"], cwd=_ROOT, check=True)
    os.environ["MOBULA_BINARY"] = str(path)
    return str(path)


@pytest.fixture(autouse=True, scope="session")
def _alone() -> None:
    """Keeps tests away from nodes that run on this machine."""
    for name in ("MOBULA_ADDRESS", "RAY_ADDRESS"):
        os.environ.pop(name, None)
    os.environ["XDG_RUNTIME_DIR"] = "/nonexistent"


@pytest.fixture(scope="module")
def node(binary: str) -> Iterator[None]:
    """A node with four CPUs for the tests of a module."""
    import mobula

    mobula.init(num_cpus=4, resources={"token": 2}, namespace="tests")
    yield
    mobula.shutdown()
