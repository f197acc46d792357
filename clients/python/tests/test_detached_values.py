"""What goes between a program and the detached actor of another: large values, refs in every place, and what becomes of them when either ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("numpy")

_SRC = str(Path(__file__).resolve().parents[1] / "src")

_STORE = 128 << 20

_PROGRAM = """
import mobula, numpy as np, os, signal, time
mobula.init(namespace="n")
"""

_KEEPER = """
    @mobula.remote(num_cpus=0)
    def ones(n): return np.ones(n)

    class Keeper:
        def __init__(self): self.kept = []
        def total(self, x): return float(x.sum())
        def inside(self, refs): return [float(mobula.get(r).sum()) for r in refs]
        def make(self, n): return np.ones(n)
        def items(self, n, size):
            for _ in range(n): yield np.ones(size)
        def keep(self, refs): self.kept += refs
        def keep_value(self, x): self.kept.append(x)
        def totals(self): return [float(mobula.get(r).sum()) for r in self.kept]
        def refs(self): return self.kept
        def put(self, n): return {"put": mobula.put(np.ones(n)), "task": ones.remote(n), "small": mobula.put(7)}
        def call(self, other, x): return mobula.get(other.add.remote(x))
        def drop(self): self.kept = []
    keeper = mobula.remote(num_cpus=0)(Keeper).options(name="keeper", lifetime="detached").remote()
    mobula.get(keeper.totals.remote())
"""

_FIND = """
    keeper = mobula.get_actor("keeper")
"""


class Cluster:
    """A node, and programs that join it."""

    def __init__(self, binary: str, directory: Path) -> None:
        self.binary, self.directory = binary, directory
        self.node = subprocess.Popen(
            [binary, "up", "--dir", str(directory), "--store-bytes", str(_STORE)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while not (directory / "node.sock").exists():
            assert time.monotonic() < deadline and self.node.poll() is None, "the node starts"
            time.sleep(0.02)

    def start(self, *program: str) -> subprocess.Popen[str]:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([_SRC, os.environ.get("PYTHONPATH", "")]), "MOBULA_ADDRESS": str(self.directory)}
        text = _PROGRAM + "".join(map(textwrap.dedent, program))
        return subprocess.Popen(
            [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ, cwd=self.directory
        )

    def run(self, *program: str) -> str:
        started = self.start(*program)
        try:
            out, err = started.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            started.kill()
            started.communicate()
            raise
        assert started.returncode == 0, err
        return out

    def status(self) -> dict[str, object]:
        asked = subprocess.run([self.binary, "status", "--json", "--address", str(self.directory)], capture_output=True, text=True, check=True)
        status: dict[str, object] = json.loads(asked.stdout)
        return status

    def end_keeper(self) -> None:
        """Ends the actor, after which nothing may be left."""
        self.run(_FIND, "mobula.kill(keeper)")
        deadline = time.monotonic() + 20
        while True:
            status = self.status()
            left = {k: status[k] for k in ("jobs", "objects")} | {k: status["store"][k] for k in ("objects", "segments", "used_bytes")}  # type: ignore[index]
            if not any(left.values()):
                return
            assert time.monotonic() < deadline, f"left when all programs have ended: {left}"
            time.sleep(0.05)


@pytest.fixture
def cluster(binary: str, tmp_path: Path) -> Iterator[Cluster]:
    c = Cluster(binary, tmp_path / "node")
    try:
        yield c
    finally:
        c.node.terminate()
        c.node.wait(20)


def test_values_and_refs_cross_in_both_directions(cluster: Cluster) -> None:
    cluster.run(_KEEPER)
    out = cluster.run(
        _FIND,
        """
        n = 10**6
        ref = mobula.put(np.ones(n))
        print(mobula.get(keeper.total.remote(np.ones(n))))
        print(mobula.get(keeper.total.remote(ref)))
        print(mobula.get(keeper.inside.remote([ref, mobula.put(np.ones(3))])))
        print(mobula.get(keeper.make.remote(n)).sum())
        print([float(mobula.get(r).sum()) for r in keeper.items.options(num_returns="streaming").remote(2, n)])
        made = mobula.get(keeper.put.remote(n))
        ready, _ = mobula.wait(list(made.values()), num_returns=3, timeout=20)
        print(len(ready), {k: float(np.sum(mobula.get(r))) for k, r in made.items()})
        print(mobula.get(keeper.total.remote(made["put"])), mobula.get(keeper.inside.remote([made["task"]])))

        @mobula.remote(num_cpus=0)
        class Adder:
            def add(self, x): return float(x.sum()) + 1
        print(mobula.get(keeper.call.remote(Adder.remote(), np.ones(n))))

        @mobula.remote(num_cpus=0)
        def through(found, refs): return mobula.get(found.inside.remote(refs))
        print(mobula.get(through.remote(keeper, [made["put"]])))
        """,
    )
    assert out.splitlines() == [
        "1000000.0",
        "1000000.0",
        "[1000000.0, 3.0]",
        "1000000.0",
        "[1000000.0, 1000000.0]",
        "3 {'put': 1000000.0, 'task': 1000000.0, 'small': 7.0}",
        "1000000.0 [1000000.0]",
        "1000001.0",
        "[1000000.0]",
    ]
    cluster.end_keeper()


def test_what_an_actor_keeps_outlives_the_program_that_gave_it(cluster: Cluster) -> None:
    cluster.run(_KEEPER)
    cluster.run(
        _FIND,
        """
        mobula.get(keeper.keep.remote([mobula.put(np.ones(10**6)), mobula.put(np.ones(5)), keeper.make.remote(10**6)]))
        mobula.get(keeper.keep_value.remote(mobula.put(np.ones(10**6))))
        """,
    )
    for _ in range(2):  # two programs fetch the same objects
        out = cluster.run(
            _FIND,
            """
            *refs, value = mobula.get(keeper.refs.remote())
            print([float(mobula.get(r).sum()) for r in refs], value.sum())
            """,
        )
        assert out == "[1000000.0, 5.0, 1000000.0] 1000000.0\n"
    cluster.run(_FIND, "mobula.get(keeper.drop.remote())")
    cluster.end_keeper()


def test_what_was_not_there_when_its_program_ended_is_an_error(cluster: Cluster) -> None:
    cluster.run(_KEEPER)
    cluster.run(
        _FIND,
        """
        @mobula.remote(num_cpus=0)
        def endless(): time.sleep(100)
        mobula.get(keeper.keep.remote([endless.remote()]))
        """,
    )
    out = cluster.run(
        _FIND,
        """
        [ref] = mobula.get(keeper.refs.remote())
        try: mobula.get(ref, timeout=20)
        except mobula.exceptions.RayError as e: print(type(e).__name__, "driver" in str(e))
        """,
    )
    assert out == "SessionClosedError True\n"
    cluster.end_keeper()


def test_an_actor_waits_for_room_that_another_program_has(cluster: Cluster) -> None:
    cluster.run(_KEEPER)
    out = cluster.run(
        _FIND,
        """
        held = mobula.put(np.ones(10 << 20))
        result = keeper.make.remote(10 << 20)
        print(mobula.wait([result], timeout=0.3)[0])
        del held
        print(mobula.get(result, timeout=30).sum() == 10 << 20)
        """,
    )
    assert out == "[]\nTrue\n"
    cluster.end_keeper()


def test_nothing_leaks_when_a_program_is_killed_with_objects_in_flight(cluster: Cluster) -> None:
    cluster.run(_KEEPER)
    killed = cluster.start(
        _FIND,
        """
        n = 10**6
        refs = [keeper.total.remote(np.ones(n)) for _ in range(3)] + [keeper.make.remote(n) for _ in range(3)]
        refs.append(keeper.keep.remote([mobula.put(np.ones(n)), keeper.make.remote(n)]))
        mobula.available_resources()  # the node has what was sent before
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    totals = """
        while not (totals := mobula.get(keeper.totals.remote())): pass  # calls of the dead program run beside those of others
        print(set(totals))
        """
    assert cluster.run(_FIND, totals) == "{1000000.0}\n"
    cluster.end_keeper()
