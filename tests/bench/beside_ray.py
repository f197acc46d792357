#!/usr/bin/env python3
"""The Python benchmark on Mobula and on Ray, alternately, on this machine: ``python tests/bench/beside_ray.py [--json FILE]``.

Run it with a Python that has Mobula and numpy (``make python`` makes one: ``.venv/bin/python``). It installs Ray into a scratch
environment of its own, which stays for the next time. Each line is measured on one, then on the other (``python -m mobula.bench --only
LINE``), so that what else the machine does meets both; printed are both means with their standard deviations and how many times better
Mobula is. A line that fails on either is said to have failed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mobula import bench

RAY = "ray==2.60.0"
ROOT = Path(__file__).resolve().parents[2]
# Of a unit that is better when it is less.
COSTS = ("(s)", "(MB)")


@dataclass(frozen=True)
class Row:
    """One line: means and standard deviations of both, None where it failed, and Mobula's load average before it."""

    name: str
    mobula: float | None
    mobula_sd: float
    ray: float | None
    ray_sd: float
    load: float

    @property
    def times(self) -> float | None:
        """How many times better Mobula is."""
        if self.mobula is None or self.ray is None:
            return None
        return self.ray / self.mobula if self.name.endswith(COSTS) else self.mobula / self.ray


def install(scratch: Path) -> Path:
    """Returns a Python that has Ray; the first time it is made, which takes minutes."""
    python = scratch / "bin" / "python"
    if not (scratch / "installed").exists():
        print(f"installing {RAY} into {scratch} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(scratch)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", RAY, "numpy"], check=True)
        (scratch / "installed").touch()
    return python


def measure(python: Path, on: str, part: str, limit_s: float) -> dict[str, tuple[float, float]]:
    """Returns the lines whose name has the part, measured in processes of their own; nothing when that fails."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "lines.json"
        command = [str(python), bench.__file__, "--on", on, "--only", part, "--json", str(found)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            try:
                errors = process.communicate(timeout=limit_s)[1]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                errors = f"it took longer than {limit_s:.0f} s"
        if not found.exists():
            print(f"{part} on {on} failed: {errors[-500:]}", file=sys.stderr, flush=True)
            return {}
        return {line["name"]: (line["mean"], line["sd"]) for line in json.loads(found.read_text())}


def compare(ray_python: Path, names: list[str], rounds: int, limit_s: float) -> list[Row]:
    """Measures the lines one after the other, alternately on both, rounds times; the figures of a line are the medians of its rounds."""
    rows = []
    for at, name in enumerate(names, 1):
        load = os.getloadavg()[0]
        runs: dict[str, list[tuple[float, float]]] = {"mobula": [], "ray": []}
        for _ in range(rounds):
            for on, python in (("mobula", Path(sys.executable)), ("ray", ray_python)):
                print(f"\r\033[K{at}/{len(names)} {name}: {on}" if sys.stderr.isatty() else "", end="", file=sys.stderr, flush=True)
                runs[on] += [figures for line, figures in measure(python, on, name, limit_s).items() if line == name]
        (mobula, mobula_sd), (ray, ray_sd) = (median(runs[on]) for on in ("mobula", "ray"))
        rows.append(Row(name, mobula, mobula_sd, ray, ray_sd, load))
        print(("\r\033[K" if sys.stderr.isatty() else "") + markdown(rows[-1]), flush=True)
    return rows


def median(runs: list[tuple[float, float]]) -> tuple[float | None, float]:
    """Returns the run with the median mean."""
    if not runs:
        return None, 0
    mean = statistics.median_low([mean for mean, _ in runs])
    return next(run for run in runs if run[0] == mean)


def markdown(row: Row) -> str:
    """Returns the row of the table."""
    figures = [row.mobula, row.mobula_sd, row.ray, row.ray_sd]
    times = figure(row.times) if row.times else ""
    return "| " + " | ".join([row.name, *map(figure, figures), times, f"{row.load:.1f}"]) + " |"


def figure(value: float | None) -> str:
    """Returns three digits, or a whole number with its thousands apart."""
    if value is None:
        return "failed"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def main() -> None:
    """Runs the benchmark that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0].partition(":")[0])
    parser.add_argument("--scratch", type=Path, default=ROOT / ".venv-ray", help="where Ray is installed (default: .venv-ray of the checkout)")
    parser.add_argument("--ray-python", type=Path, help="a Python that has Ray already: nothing is installed")
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="lines whose name has this part; may be repeated")
    parser.add_argument("--rounds", type=int, default=1, help="measure each line so many times on both (default 1)")
    parser.add_argument("--limit", type=float, default=180, metavar="S", help="how long a line may take (default 180 s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    options = parser.parse_args()
    names = [name for name in bench.names() if not options.only or any(part in name for part in options.only)]
    if not names:
        parser.error("no line has such a name; these are there: " + ", ".join(bench.names()))
    python = options.ray_python or install(options.scratch)
    machine = f"{os.cpu_count()} CPUs, {platform.machine()} {platform.system()} {platform.release()}, CPython {platform.python_version()}"
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine}, {RAY}\n")
    print("| line | Mobula | ± | Ray | ± | times better | load |\n|---|--:|--:|--:|--:|--:|--:|", flush=True)
    rows = compare(python, names, options.rounds, options.limit)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if any(row.times is None for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
