"""``mobula compare`` and ``python -m mobula.bench``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mobula import _compare, bench


def test_runner_goes_before_the_program_and_after_pythons_options() -> None:
    def mobula(*command: str) -> list[str]:
        return _compare.mobula_command(command)[1:]

    assert mobula("python", "script.py", "-x") == ["-m", "mobula.ray", "script.py", "-x"]
    assert mobula("python3.12", "-u", "-X", "dev", "-m", "pkg", "a") == ["-u", "-X", "dev", "-m", "mobula.ray", "-m", "pkg", "a"]
    for bad in (["bash", "x"], ["python"], ["python", "-u"]):
        with pytest.raises(ValueError, match="command"):
            mobula(*bad)


def test_outputs_are_compared_without_pids() -> None:
    ray = "\x1b[36m(f pid=12, ip=10.0.0.1)\x1b[0m hello\ndone\n"
    assert _compare.compare_output(ray, "(f pid=7) hello\ndone\n") == "same"
    assert _compare.compare_output(ray, "done\n(f pid=7) hello\n") == "same lines in another order"
    assert _compare.compare_output(ray, "done\n") == "different"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what other processes use")
def test_processes_that_leave_their_parent_are_counted_and_ended(tmp_path: Path) -> None:
    script = tmp_path / "leaves.py"
    script.write_text(
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "block = bytearray(64 << 20)\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
        "time.sleep(0.5)\nprint('out')\n"
    )
    program = f"""
import dataclasses, json, sys
from mobula import _compare
_compare._LINGER_S = 0.1
_compare._adopt_orphans()
print(json.dumps(dataclasses.asdict(_compare._run("mobula", [sys.executable, {str(script)!r}], True))))
"""
    import subprocess

    # In a process of its own, which becomes the one that adopts.
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    run = json.loads(done.stdout)
    assert run["output"] == "out\n"
    assert run["status"] == 0
    assert run["processes"] == 2
    assert run["left_behind"] == 1
    assert run["cpu_s"] >= 0.3
    assert run["peak_pss"] > 64 << 20


def test_medians_and_table() -> None:
    runs = [_compare.Run("ray", 0, wall, 1.0, 10_000_000, 20_000_000, 3, 0, "a\n") for wall in (4.0, 1.0, 2.0)]
    ray = _compare._medians(runs)
    assert ray.wall_s == 2.0
    mobula = _compare.Run("mobula", 1, 0.5, 0.25, 5_000_000, 5_000_000, 2, 0, "b\n")
    table = _compare._table(ray, mobula)
    assert "wall time         2.00 s  0.50 s           4.0" in table
    assert "output       different" in table
    assert "-a" in table.splitlines()


def test_ray_that_is_not_installed_is_a_usage_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(SystemExit) as left:
        _compare.main(["--ray-python", str(python), "--", "python", "x.py"])
    assert left.value.code == 2
    assert "has no Ray" in capsys.readouterr().err


def test_bench_measures_units_of_work_per_second() -> None:
    calls = []
    line = bench.measure("line", lambda: calls.append(1), 10, pause_s=0, warmup_s=0.01, round_s=0.01)
    assert line.mean > 0
    assert str(line).startswith("line per second ")


def test_bench_has_rays_lines() -> None:
    names = [name for name, _, _ in bench._LINES]
    assert len(names) == len(set(names)) == 24
    assert names[0] == "single client get calls (Plasma Store)"
    assert "1:1 async-actor calls with args async" in names


def test_bench_measures_what_only_a_new_process_shows(binary: str) -> None:
    names = ("idle node and two workers, PSS (MB)",)
    (line,) = bench._measure_program("mobula.ray", names, "idle_node", 1)
    assert 10 < line.mean < 150
    assert str(line).startswith("idle node and two workers, PSS (MB) ")
    assert set(names) < set(bench.names())


def test_bench_says_why_a_new_process_failed() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)line.*ended with status 1 on no_such_ray.*ModuleNotFoundError"):
        bench._measure_program("no_such_ray", ("line",), "first_result", 1)


def test_both_are_measured_in_turn_and_a_line_that_fails_is_said_to(binary: str, tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[3] / "tests" / "bench" / "beside_ray.py"
    rows = tmp_path / "rows.json"
    command = [sys.executable, str(script), "--ray-python", sys.executable, "--only", "start to first", "--json", str(rows)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}  # a Ray that cannot start
    (tmp_path / "ray.py").write_text("def remote(f): return f\ndef init(): raise SystemExit('no Ray here')\n")
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 1, ended.stderr
    assert "no Ray here" in ended.stderr
    (row,) = json.loads(rows.read_text())
    assert row["name"] == "start to first result (s)"
    assert row["mobula"] > 0
    assert row["ray"] is None
    assert "| failed |" in ended.stdout
