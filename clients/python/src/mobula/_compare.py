"""``mobula compare -- python script.py``: a program on an installed Ray and on Mobula, in turn.

The program is not changed: on Mobula it runs under ``python -m mobula.ray``. Compared are its exit status and what it prints on standard
output; shown are wall time, CPU time, the peak of memory and the number of processes, of the program and of everything it starts.
Processes that leave their parent are counted too: on Linux this process adopts them, and at the end it ends those that are left.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import IO

_LINUX = sys.platform == "linux"
_PR_SET_CHILD_SUBREAPER = 36
# Looking at memory costs time on the machine that is measured: at most one part in twenty of it, and at most four times a second.
_SAMPLE_S = 0.25
_SAMPLE_SHARE = 20
# How long processes may take to end by themselves after the program has.
_LINGER_S = 10.0
# Options of Python that take a value in the next argument.
_WITH_VALUE = ("-W", "-X")
_LINES_SHOWN = 20
_PREFIX = re.compile(r"\x1b\[\d+m|(?<=pid=)\d+|, ip=[0-9.]+")


@dataclass(slots=True)
class Run:
    """One run of the program. Times in seconds, memory in bytes; None is what this machine does not tell."""

    on: str
    status: int
    wall_s: float
    cpu_s: float
    peak_pss: int | None
    peak_rss: int | None
    processes: int | None
    left_behind: int
    output: str


@dataclass(slots=True)
class _Peak:
    pss: int = 0
    rss: int = 0
    processes: int = 0


def main(arguments: Sequence[str]) -> int:
    """Runs the command with the arguments after "compare"; returns its exit status: 0 when both did the same, 1 when not."""
    parser = argparse.ArgumentParser(prog="mobula compare", description="Run a program on an installed Ray and on Mobula, in turn.")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="run it N times on each, alternately, and show the medians (default 1)")
    parser.add_argument("--ray-python", metavar="PATH", help="the Python that has Ray (default: that of the command)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("command", nargs="+", metavar="-- python [option ...] (script.py | -m module) [argument ...]", help="the program")
    options = parser.parse_args(arguments)
    try:
        on_mobula = mobula_command(options.command)
        on_ray = [_ray_python(options.ray_python, options.command[0]), *options.command[1:]]
    except ValueError as error:
        parser.error(str(error))
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    _adopt_orphans()
    runs: list[Run] = []
    for _ in range(options.rounds):
        runs += [_run("ray", on_ray, options.json), _run("mobula", on_mobula, options.json)]
    ray, mobula = (_medians([run for run in runs if run.on == on]) for on in ("ray", "mobula"))
    same = ray.status == mobula.status and compare_output(ray.output, mobula.output) != "different"
    if options.json:
        print(json.dumps(_document(ray, mobula), indent=1))
    else:
        print(_table(ray, mobula))
    return 0 if same else 1


def mobula_command(command: Sequence[str]) -> list[str]:
    """Returns the command that runs the program on Mobula: this Python, its options kept, "-m mobula.ray" before the program.

    Raises ValueError when the command does not begin with a Python, or names no program.
    """
    if not re.fullmatch(r"(python|pypy)[0-9.]*(\.exe)?", os.path.basename(command[0])):
        raise ValueError(f"the command must begin with python, not {command[0]!r}")
    at = 1
    while at < len(command) and command[at].startswith("-") and command[at] not in ("-m", "-c"):
        at += 2 if command[at] in _WITH_VALUE else 1
    if at >= len(command):
        raise ValueError("the command names no program")
    return [sys.executable, *command[1:at], "-m", "mobula.ray", *command[at:]]


def compare_output(ray: str, mobula: str) -> str:
    """Returns "same", "same lines in another order" or "different". The pids in the prefixes of workers' lines do not count."""
    a, b = _lines(ray), _lines(mobula)
    if a == b:
        return "same"
    return "same lines in another order" if sorted(a) == sorted(b) else "different"


def _lines(output: str) -> list[str]:
    return [_PREFIX.sub("", line).rstrip() for line in output.splitlines()]


def _ray_python(named: str | None, first: str) -> str:
    """Returns the Python that has Ray. Raises ValueError when it has none."""
    python = named or shutil.which(first)
    if python is None:
        raise ValueError(f"there is no {first!r} on PATH")
    asked = subprocess.run([python, "-c", "import importlib.metadata as m; m.version('ray')"], capture_output=True)
    if asked.returncode:
        raise ValueError(f"{python} has no Ray: pip install ray there, or name another Python with --ray-python")
    return python


def _adopt_orphans() -> None:
    """Makes processes that lose their parent children of this one, so that what they used is counted and they can be ended."""
    if _LINUX:
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _run(on: str, command: Sequence[str], quiet: bool) -> Run:
    """Runs the command and measures it with all that it starts."""
    if not quiet:
        print(f"on {on} …", end="", file=sys.stderr, flush=True)
    before = os.times()
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        peak = _watch(process)
        wall = time.perf_counter() - start
        left = _end_orphans()
        after = os.times()
        text = _text(output)
        if not quiet:
            print(f" {wall:.2f} s", file=sys.stderr)
        if process.returncode:
            print(f"on {on} it ended with status {process.returncode}; the end of its standard error:", file=sys.stderr)
            print("\n".join(_text(errors).splitlines()[-_LINES_SHOWN:]), file=sys.stderr)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    known = _LINUX
    return Run(
        on=on,
        status=process.returncode,
        wall_s=wall,
        cpu_s=cpu,
        peak_pss=peak.pss if known else None,
        peak_rss=peak.rss if known else None,
        processes=peak.processes if known else None,
        left_behind=left,
        output=text,
    )


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _watch(process: subprocess.Popen[bytes]) -> _Peak:
    """Waits for the process and returns the most that it and its descendants had at one time."""
    peak = _Peak()
    if not _LINUX:
        process.wait()
        return peak
    # The first look comes early: a short program is seen too.
    pause = 0.05
    while True:
        try:
            process.wait(timeout=pause)
            return peak
        except subprocess.TimeoutExpired:
            start = time.perf_counter()
            _look(peak)
            pause = max(_SAMPLE_S, _SAMPLE_SHARE * (time.perf_counter() - start))


def _look(peak: _Peak) -> None:
    pids = _descendants()
    sizes = [_memory(pid) for pid in pids]
    peak.pss = max(peak.pss, sum(pss for pss, _ in sizes))
    peak.rss = max(peak.rss, sum(rss for _, rss in sizes))
    peak.processes = max(peak.processes, len(pids))


def _descendants() -> list[int]:
    """Returns the processes below this one that have not ended."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                # The name of the program, in brackets, may have spaces and brackets itself.
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has ended
        if state != "Z":
            children.setdefault(int(parent), []).append(int(name))
    found: list[int] = []
    wanted = [os.getpid()]
    while wanted:
        below = children.get(wanted.pop(), [])
        found += below
        wanted += below
    return found


def _memory(pid: int) -> tuple[int, int]:
    """Returns the proportional and the resident size of a process in bytes; zeros when it has ended."""
    sizes = {"Pss": 0, "Rss": 0}
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                name, _, rest = line.partition(":")
                if name in sizes:
                    sizes[name] = int(rest.split()[0]) << 10
    except OSError:
        pass  # it has ended, or is about to
    return sizes["Pss"], sizes["Rss"]


def _end_orphans() -> int:
    """Waits for what the program has left running, then ends it; returns how many processes had to be ended."""
    if not _LINUX:
        return 0
    end = time.monotonic() + _LINGER_S
    while _reap() and time.monotonic() < end:
        time.sleep(0.05)
    left = _descendants()
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    # A killed process hands its children on to this one: until none is left.
    while _reap():
        for pid in _descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
    return len(left)


def _reap() -> bool:
    """Collects the children that have ended, whose CPU time counts from then on; returns whether others are left."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


def _medians(runs: Sequence[Run]) -> Run:
    """Returns one run with the medians of several, and the outcome of the first that failed, or else of the first."""
    shown = next((run for run in runs if run.status), runs[0])
    known = shown.peak_pss is not None
    return Run(
        on=shown.on,
        status=shown.status,
        wall_s=statistics.median(run.wall_s for run in runs),
        cpu_s=statistics.median(run.cpu_s for run in runs),
        peak_pss=int(statistics.median(run.peak_pss or 0 for run in runs)) if known else None,
        peak_rss=int(statistics.median(run.peak_rss or 0 for run in runs)) if known else None,
        processes=int(statistics.median(run.processes or 0 for run in runs)) if known else None,
        left_behind=max(run.left_behind for run in runs),
        output=shown.output,
    )


def _document(ray: Run, mobula: Run) -> dict[str, object]:
    runs = {run.on: {name: value for name, value in asdict(run).items() if name != "on"} for run in (ray, mobula)}
    return {**runs, "output": compare_output(ray.output, mobula.output)}


def _table(ray: Run, mobula: Run) -> str:
    """Returns what the command prints: a row for each figure, what is different in the output last."""
    rows = [("", "Ray", "Mobula", "Ray / Mobula")]
    for title, unit, a, b in (
        ("wall time", "s", ray.wall_s, mobula.wall_s),
        ("CPU time", "s", ray.cpu_s, mobula.cpu_s),
        ("peak memory, PSS", "MB", ray.peak_pss, mobula.peak_pss),
        ("peak memory, RSS", "MB", ray.peak_rss, mobula.peak_rss),
        ("processes", "", ray.processes, mobula.processes),
    ):
        rows.append((title, _figure(a, unit), _figure(b, unit), f"{a / b:.1f}" if a is not None and b else "-"))
    rows.append(("left behind", str(ray.left_behind), str(mobula.left_behind), ""))
    rows.append(("exit status", str(ray.status), str(mobula.status), ""))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    table = ["  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in (1, 2, 3))]) for row in rows]
    outcome = compare_output(ray.output, mobula.output)
    lines = [line.rstrip() for line in table] + [f"output       {outcome}"]
    if outcome == "different":
        difference = difflib.unified_diff(_lines(ray.output), _lines(mobula.output), "ray", "mobula", n=1, lineterm="")
        lines += list(difference)[:_LINES_SHOWN]
    return "\n".join(lines)


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "MB":
        return f"{value / 1e6:.0f} MB"
    return f"{value:.2f} {unit}" if unit else f"{value:.0f}"
