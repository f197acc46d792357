"""What only a new process shows: ``python _bench_process.py MODULE PROGRAM BEGAN``, started by ``bench.py``, which also has the names of the lines.

MODULE is what has Ray's API, PROGRAM one of the functions below, BEGAN the Unix time in seconds at which the process was started. It
prints "figures: " and a JSON list of numbers. It imports nothing of Mobula by itself: another environment's Ray is measured with its own Python.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from typing import Any


def first_result(ray: Any, began: float) -> tuple[float]:
    """Returns the seconds from the start of the process to the result of its first task."""

    @ray.remote
    def one() -> int:
        return 1

    ray.init()
    ray.get(one.remote())
    return (time.time() - began,)


def first_put(ray: Any, began: float) -> tuple[float, float, float]:
    """Returns the GB/s of the first put of 0.84 GB of written memory, of later ones (the best of eight), and of memcpy in this process."""
    import numpy as np

    array: Any = np.ones(100 * 1024 * 1024, dtype=np.int64)
    copy = np.ones_like(array)

    def put() -> None:
        ray.put(array)

    def memcpy() -> None:
        np.copyto(copy, array)

    def rate(call: Any) -> float:
        start = time.perf_counter()
        call()
        return float(array.nbytes / 1e9 / (time.perf_counter() - start))

    ray.init()
    first = rate(put)
    time.sleep(1)  # what was put is freed
    return first, max(rate(put) for _ in range(8)), max(rate(memcpy) for _ in range(8))


def start_actors(ray: Any, began: float) -> tuple[float]:
    """Returns the seconds that 100 actors take until each has answered one call, on a node that has run a task."""

    class Actor:
        def answer(self) -> int:
            return 1

    actor_class: Any = ray.remote(num_cpus=0)(Actor)

    @ray.remote
    def one() -> int:
        return 1

    ray.init()
    ray.get(one.remote())
    start = time.perf_counter()
    actors = [actor_class.remote() for _ in range(100)]
    ray.get([actor.answer.remote() for actor in actors])
    return (time.perf_counter() - start,)


def idle_node(ray: Any, began: float) -> tuple[float]:
    """Returns the MB (PSS) of all processes below this one when two tasks have run side by side and three seconds have passed."""

    @ray.remote
    def wait() -> None:
        time.sleep(0.5)

    ray.init(num_cpus=2)
    ray.get([wait.remote(), wait.remote()])
    time.sleep(3)
    parents = {int(pid): _parent(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    below = [os.getpid()]
    for pid in below:  # it grows meanwhile
        below += [child for child, parent in parents.items() if parent == pid]
    return (sum(map(_pss, below[1:])) / 1e6,)


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:
            # The name of the program, in brackets, may have spaces and brackets itself.
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0  # it has ended


def _pss(pid: int) -> int:
    """Returns the proportional size of a process in bytes, 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((int(line.split()[1]) << 10 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


if __name__ == "__main__":
    # Run as a file: its directory, which has a package ray of its own, must not come first.
    del sys.path[0]
    print("figures:", json.dumps(globals()[sys.argv[2]](import_module(sys.argv[1]), float(sys.argv[3]))))
