"""The lines of ``ray microbenchmark``, under Ray's names: ``python -m mobula.bench [--json file]``.

Each line is measured as Ray measures it: a pause, one second of warming up, then four rounds of at least two seconds; printed are the
mean of the four and their standard deviation, both per second. ``--on ray`` runs the same lines on an installed Ray; where that lives
in another environment, run this very file with its Python: it imports nothing of Mobula then. Lines named "batch", "10k refs" and "1k
refs" count batches of 1,000 tasks, lists of 10,000 refs and loops of 1,000 waits. A "gigabyte" is 0.8 for 100 Mi int64, as Ray counts.

Ours are "actors started" (100 actors of no CPU, each called once and killed), and the lines with a unit in their names, each measured
in new processes: the time to the first result, the first put and later ones beside memcpy, the start of 100 actors, the memory of an idle
node.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Line", "main", "measure", "names"]

_ROUNDS = 4
_UNITS = ("(s)", "(GB/s)", "(MB)")
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One result: mean and population standard deviation of the rounds, per second where the name has no unit."""

    name: str
    mean: float
    sd: float

    def __str__(self) -> str:
        if self.name.endswith(_UNITS):
            return f"{self.name} {self.mean:.3f} +- {self.sd:.3f}"
        return f"{self.name} per second {self.mean:.2f} +- {self.sd:.2f}"


def measure(name: str, call: Callable[[], Any], multiplier: float = 1, *, pause_s: float = 10, warmup_s: float = 1, round_s: float = 2) -> Line:
    """Measures call, which does multiplier units of work, as Ray's timer does."""
    time.sleep(pause_s)
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < warmup_s:
        call()
        calls += 1
    step = calls // 10 + 1
    rates = []
    for _ in range(_ROUNDS):
        calls, start = 0, time.perf_counter()
        while time.perf_counter() - start < round_s:
            for _ in range(step):
                call()
            calls += step
        rates.append(multiplier * calls / (time.perf_counter() - start))
    return Line(name, statistics.fmean(rates), statistics.pstdev(rates))


class _Kit:
    """The remote functions and actors that the lines share, made on one implementation of the API."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        # As Ray counts: half of the machine's CPUs serve, the other half calls. At least one.
        self.servers = max(1, (os.cpu_count() or 2) // 2)

        @ray.remote
        def small_value() -> bytes:
            return b"ok"

        @ray.remote(num_cpus=0)
        class Actor:
            def small_value(self) -> bytes:
                return b"ok"

            def small_value_arg(self, x: object) -> bytes:
                return b"ok"

            def small_value_batch(self, n: int) -> None:
                ray.get([small_value.remote() for _ in range(n)])

        @ray.remote
        class AsyncActor:
            async def small_value(self) -> bytes:
                return b"ok"

            async def small_value_with_arg(self, x: object) -> bytes:
                return b"ok"

        @ray.remote(num_cpus=0)
        class Client:
            def __init__(self, servers: Sequence[Any]) -> None:
                self.servers = servers

            def small_value_batch(self, n: int) -> None:
                ray.get([s.small_value.remote() for s in self.servers for _ in range(n)])

            def small_value_batch_arg(self, n: int) -> None:
                x = ray.put(0)
                ray.get([s.small_value_arg.remote(x) for s in self.servers for _ in range(n)])

        @ray.remote
        def put_100() -> None:
            for _ in range(100):
                ray.put(0)

        @ray.remote
        def put_10_arrays() -> None:
            import numpy as np

            for _ in range(10):
                ray.put(np.zeros(10 * 1024 * 1024, dtype=np.int64))

        @ray.remote
        def many_refs() -> list[Any]:
            return [ray.put(1) for _ in range(10_000)]

        @ray.remote
        def call_round_robin(actors: Sequence[Any], n: int) -> None:
            ray.get([actors[i % len(actors)].small_value.remote() for i in range(n)])

        self.small_value, self.put_100, self.put_10_arrays = small_value, put_100, put_10_arrays
        self.many_refs, self.call_round_robin = many_refs, call_round_robin
        self.Actor: Any = Actor
        self.AsyncActor: Any = AsyncActor
        self.Client: Any = Client


def _get_calls(k: _Kit) -> Callable[[], Any]:
    value = k.ray.put(0)
    return lambda: k.ray.get(value)


def _put_calls(k: _Kit) -> Callable[[], Any]:
    return lambda: k.ray.put(0)


def _multi_put_calls(k: _Kit) -> Callable[[], Any]:
    return lambda: k.ray.get([k.put_100.remote() for _ in range(10)])


def _put_gigabytes(k: _Kit) -> Callable[[], Any]:
    import numpy as np

    array: Any = np.zeros(100 * 1024 * 1024, dtype=np.int64)

    def put() -> None:
        k.ray.put(array)

    return put


def _multi_put_gigabytes(k: _Kit) -> Callable[[], Any]:
    return lambda: k.ray.get([k.put_10_arrays.remote() for _ in range(10)])


def _tasks_batch(k: _Kit) -> Callable[[], Any]:
    return lambda: k.ray.get([k.small_value.remote() for _ in range(_BATCH)])


def _tasks_sync(k: _Kit) -> Callable[[], Any]:
    return lambda: k.ray.get(k.small_value.remote())


def _get_10k_refs(k: _Kit) -> Callable[[], Any]:
    refs = k.many_refs.remote()

    def get() -> None:
        k.ray.get(refs)

    return get


def _wait_1k(k: _Kit) -> Callable[[], Any]:
    def wait() -> None:
        waiting = [k.small_value.remote() for _ in range(_BATCH)]
        # Ray asks to fetch once per object: the request lasts.
        for i in range(_BATCH):
            _, waiting = k.ray.wait(waiting, fetch_local=i == 0)

    return wait


def _multi_tasks(k: _Kit) -> Callable[[], Any]:
    actors = [k.Actor.remote() for _ in range(4)]
    return lambda: k.ray.get([a.small_value_batch.remote(10_000) for a in actors])


def _actor_sync(kind: str) -> Callable[[_Kit], Callable[[], Any]]:
    def make(k: _Kit) -> Callable[[], Any]:
        actor = getattr(k, kind).remote()
        return lambda: k.ray.get(actor.small_value.remote())

    return make


def _actor_batch(kind: str, **options: Any) -> Callable[[_Kit], Callable[[], Any]]:
    def make(k: _Kit) -> Callable[[], Any]:
        cls = getattr(k, kind)
        actor = cls.options(**options).remote() if options else cls.remote()
        return lambda: k.ray.get([actor.small_value.remote() for _ in range(_BATCH)])

    return make


def _actor_args(k: _Kit) -> Callable[[], Any]:
    actor = k.AsyncActor.remote()
    return lambda: k.ray.get([actor.small_value_with_arg.remote(i) for i in range(_BATCH)])


def _one_to_n(kind: str) -> Callable[[_Kit], Callable[[], Any]]:
    def make(k: _Kit) -> Callable[[], Any]:
        client = k.Client.remote([getattr(k, kind).remote() for _ in range(k.servers)])
        return lambda: k.ray.get(client.small_value_batch.remote(5000))

    return make


def _n_to_n(kind: str) -> Callable[[_Kit], Callable[[], Any]]:
    def make(k: _Kit) -> Callable[[], Any]:
        actors = [getattr(k, kind).remote() for _ in range(k.servers)]
        return lambda: k.ray.get([k.call_round_robin.remote(actors, 5000) for _ in range(4)])

    return make


def _n_to_n_arg(k: _Kit) -> Callable[[], Any]:
    clients = [k.Client.remote([k.Actor.remote()]) for _ in range(k.servers)]
    return lambda: k.ray.get([c.small_value_batch_arg.remote(1000) for c in clients])


def _placement_groups(k: _Kit) -> Callable[[], Any]:
    util = importlib.import_module(f"{k.ray.__name__}.util")

    def create_and_remove() -> None:
        groups = [util.placement_group(bundles=[{"custom": 0.001}]) for _ in range(100)]
        for group in groups:
            group.wait(timeout_seconds=30)
        for group in groups:
            util.remove_placement_group(group)

    return create_and_remove


def _start_actors(k: _Kit) -> Callable[[], Any]:
    def start() -> None:
        actors = [k.Actor.remote() for _ in range(100)]
        k.ray.get([a.small_value.remote() for a in actors])
        for a in actors:
            k.ray.kill(a)

    return start


# Name, units of work in one call (a negative number: so many for each server), what makes the call.
_LINES: tuple[tuple[str, float, Callable[[_Kit], Callable[[], Any]]], ...] = (
    ("single client get calls (Plasma Store)", 1, _get_calls),
    ("single client put calls (Plasma Store)", 1, _put_calls),
    ("multi client put calls (Plasma Store)", 1000, _multi_put_calls),
    ("single client put gigabytes", 0.8, _put_gigabytes),
    ("single client tasks and get batch", 1, _tasks_batch),
    ("multi client put gigabytes", 8.0, _multi_put_gigabytes),
    ("single client get object containing 10k refs", 1, _get_10k_refs),
    ("single client wait 1k refs", 1, _wait_1k),
    ("single client tasks sync", 1, _tasks_sync),
    ("single client tasks async", 1000, _tasks_batch),
    ("multi client tasks async", 40_000, _multi_tasks),
    ("1:1 actor calls sync", 1, _actor_sync("Actor")),
    ("1:1 actor calls async", 1000, _actor_batch("Actor")),
    ("1:1 actor calls concurrent", 1000, _actor_batch("Actor", max_concurrency=16)),
    ("1:n actor calls async", -5000, _one_to_n("Actor")),
    ("n:n actor calls async", 20_000, _n_to_n("Actor")),
    ("n:n actor calls with arg async", -1000, _n_to_n_arg),
    ("1:1 async-actor calls sync", 1, _actor_sync("AsyncActor")),
    ("1:1 async-actor calls async", 1000, _actor_batch("AsyncActor")),
    ("1:1 async-actor calls with args async", 1000, _actor_args),
    ("1:n async-actor calls async", -5000, _one_to_n("AsyncActor")),
    ("n:n async-actor calls async", 20_000, _n_to_n("AsyncActor")),
    ("placement group create/removal", 100, _placement_groups),
    ("actors started", 100, _start_actors),
)
# Names, the function of _bench_process.py that has them, rounds.
_PROGRAMS: tuple[tuple[tuple[str, ...], str, int], ...] = (
    (("start to first result (s)",), "first_result", 4),
    (("first put of written memory (GB/s)", "later puts of written memory (GB/s)", "memcpy of the same memory (GB/s)"), "first_put", 3),
    (("start of 100 actors (s)",), "start_actors", 2),
    (("idle node and two workers, PSS (MB)",), "idle_node", 2),
)


def names() -> list[str]:
    """Returns the names of all lines, in the order in which they are measured."""
    return [name for names, _, _ in _PROGRAMS for name in names] + [name for name, _, _ in _LINES]


def _measure_program(module: str, names: Sequence[str], program: str, rounds: int) -> list[Line]:
    """Runs a program of _bench_process.py in a new Python process, once for each round; returns its lines."""
    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bench_process.py")
    found: list[list[float]] = []
    for _ in range(rounds):
        ended = subprocess.run([sys.executable, file, module, program, repr(time.time())], capture_output=True, text=True)
        if ended.returncode:
            raise RuntimeError(f"{names[0]}: a new process ended with status {ended.returncode} on {module}:\n{ended.stderr[-2000:]}")
        lines = (line.partition("figures: ")[2] for line in ended.stdout.splitlines())  # Ray prints others there
        found.append(json.loads(next(filter(None, lines))))
    return [Line(name, statistics.fmean(values), statistics.pstdev(values)) for name, values in zip(names, zip(*found, strict=True), strict=True)]


def _run(module: str, wanted: Callable[[str], bool], pause_s: float, report: Callable[[Line], None]) -> None:
    """Runs the wanted lines, each on fresh actors; those of one line are gone before the next begins."""
    has_numpy = importlib.util.find_spec("numpy") is not None
    for names, program, rounds in _PROGRAMS:
        if not any(map(wanted, names)):
            continue
        if program == "first_put" and not has_numpy:
            print(f"{', '.join(names)}: left out, they need numpy", file=sys.stderr)
            continue
        for line in _measure_program(module, names, program, rounds):
            report(line)
    if not any(wanted(name) for name, _, _ in _LINES):
        return
    ray = importlib.import_module(module)
    ray.init(resources={"custom": 100})
    try:
        kit = _Kit(ray)
        for name, multiplier, make in _LINES:
            if not wanted(name):
                continue
            if "gigabytes" in name and not has_numpy:
                print(f"{name}: left out, it needs numpy", file=sys.stderr)
                continue
            units = multiplier if multiplier > 0 else -multiplier * kit.servers
            report(measure(name, make(kit), units, pause_s=pause_s))
    finally:
        ray.shutdown()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark that the arguments (those of the process, when None) ask for."""
    parser = argparse.ArgumentParser(prog="python -m mobula.bench", description="The lines of `ray microbenchmark`, under Ray's names.")
    parser.add_argument("--on", choices=("mobula", "ray"), default="mobula", help="what to measure (default: mobula)")
    parser.add_argument("--json", metavar="FILE", help="write a list of {name, mean, sd} there")
    parser.add_argument("--only", metavar="PART", action="append", default=[], help="run lines whose name has this part; may be repeated")
    parser.add_argument("--pause", metavar="S", type=float, default=1, help="seconds of rest before each line (default 1; Ray takes 10)")
    options = parser.parse_args(arguments)
    if options.only and not any(part in name for part in options.only for name in names()):
        parser.error("no line has such a name; these are there: " + ", ".join(names()))
    lines: list[Line] = []

    def report(line: Line) -> None:
        print(line, flush=True)
        lines.append(line)

    module = "ray" if options.on == "ray" else "mobula.ray"
    _run(module, lambda name: not options.only or any(part in name for part in options.only), options.pause, report)
    if options.json:
        with open(options.json, "w") as file:
            json.dump([asdict(line) for line in lines], file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    if not __package__:
        # Run as a file, for a Ray in another environment: this directory, which has a package ray of its own, must not come first.
        del sys.path[0]
    main()
