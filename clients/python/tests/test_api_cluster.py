"""Programs that join a node which runs without them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_SRC = str(Path(__file__).resolve().parents[1] / "src")


@pytest.fixture
def cluster(binary: str, tmp_path: Path) -> Iterator[str]:
    directory = tmp_path / "node"
    node = subprocess.Popen([binary, "up", "--dir", str(directory)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not (directory / "node.sock").exists():
        assert time.monotonic() < deadline and node.poll() is None, "the node starts"
        time.sleep(0.02)
    yield str(directory)
    node.terminate()
    node.wait(20)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    def run(program: str, **env: str) -> str:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([_SRC, os.environ.get("PYTHONPATH", "")]), **env}
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, env=environ, cwd=tmp_path, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_programs_join_the_node_that_they_are_told(cluster: str, run: Callable[..., str]) -> None:
    program = """
        import mobula, os
        ctx = mobula.init({address})
        @mobula.remote
        def f(): return 7
        print(mobula.get(f.remote()), ctx.address_info["node_id"], sep="\\n")
        """
    told = run(program.replace("{address}", repr(cluster)))
    by_variable = run(program.replace("{address}", ""), MOBULA_ADDRESS=cluster)
    by_rays = run(program.replace("{address}", "'auto'"), RAY_ADDRESS="unix:" + cluster)
    own = run(program.replace("{address}", "'local'"), MOBULA_ADDRESS=cluster)
    assert told == by_variable == by_rays
    assert told.startswith("7\n")
    assert own.startswith("7\n") and own != told


def test_a_node_that_runs_has_its_resources_already(cluster: str, run: Callable[..., str]) -> None:
    out = run(
        """
        import mobula
        try:
            mobula.init(num_cpus=2)
        except ValueError as e:
            print(e)
        """,
        MOBULA_ADDRESS=cluster,
    )
    assert "must not be provided" in out


def test_a_detached_actor_outlives_the_program_that_made_it(cluster: str, run: Callable[..., str]) -> None:
    make = """
        import mobula
        mobula.init(namespace="n")
        class Base:
            def __init__(self): self.n = 0
            def add(self, k=1): self.n += k; return self.n
        Counter = mobula.remote(Base)
        a = Counter.options(name="forever", lifetime="detached").remote()
        print(mobula.get(a.add.remote()))
        """
    use = """
        import mobula
        mobula.init(namespace="n")
        a = mobula.get_actor("forever")
        print(mobula.get(a.add.remote(2)))
        """
    assert run(make, MOBULA_ADDRESS=cluster) == "1\n"
    assert run(use, MOBULA_ADDRESS=cluster) == "3\n"
    assert run(use, MOBULA_ADDRESS=cluster) == "5\n"
    end = use.replace("print", "mobula.kill(a); print").replace("mobula.get(a.add.remote(2))", "1")
    assert run(end, MOBULA_ADDRESS=cluster) == "1\n"
    assert (
        run(
            use.replace("print(mobula.get(a.add.remote(2)))", "").replace(
                'a = mobula.get_actor("forever")',
                textwrap.dedent("""
        try: mobula.get_actor("forever")
        except ValueError: print("gone")
        """).replace("\n", "\n        "),
            ),
            MOBULA_ADDRESS=cluster,
        )
        == "gone\n"
    )
