"""Programs that use packages from PyPI which are written for Ray run unmodified: each in an environment of its own, without Ray.

They need the network and minutes: MOBULA_THIRD_PARTY=1 runs them (`make slow` does), =all also those whose packages are gigabytes. An
environment stays in MOBULA_THIRD_PARTY_ENVS, if that is set, for the next run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import mobula

PROGRAMS = sorted((Path(__file__).parent / "third_party").glob("*.py"))
WANTED = os.environ.get("MOBULA_THIRD_PARTY", "")
INSTALL_S = 1800
RUN_S = 300

pytestmark = [
    pytest.mark.skipif(not WANTED, reason="set MOBULA_THIRD_PARTY=1 to fetch packages from PyPI and run what is written for Ray"),
    pytest.mark.timeout(INSTALL_S + RUN_S + 60),
]


def requirements(program: Path, kind: str) -> list[str]:
    """Returns the packages that a program names in its comment of that kind."""
    found = re.search(rf"^# {kind}: (.*)$", program.read_text(), re.MULTILINE)
    return found.group(1).split() if found else []


def install(python: Path, packages: list[str], *options: str) -> None:
    if packages:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *options, *packages], check=True, timeout=INSTALL_S)


def environment(program: Path, tmp_path: Path) -> Path:
    """Makes the environment of a program: Mobula in place, what it needs, and no Ray. Returns its Python."""
    home = Path(os.environ.get("MOBULA_THIRD_PARTY_ENVS") or tmp_path) / program.stem
    python = home / "bin" / "python"
    made = home / "made"
    if not made.exists():
        venv.create(home, with_pip=True, clear=True)
        install(python, ["cloudpickle>=3.0", "protobuf>=6.33.6,<8", *requirements(program, "requires")])
        install(python, requirements(program, "requires without dependencies"), "--no-deps")
        packages = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        assert not (packages / "ray").exists(), "one of the packages brings Ray"
        (packages / "mobula.pth").write_text(str(Path(mobula.__file__).parents[1]))
        made.touch()
    return python


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_program_runs(program: Path, binary: str, tmp_path: Path) -> None:
    if WANTED != "all" and re.search("^# big$", program.read_text(), re.MULTILINE):
        pytest.skip("its packages are gigabytes: set MOBULA_THIRD_PARTY=all")
    python = environment(program, tmp_path)
    command = [python, "-m", "mobula.ray", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=RUN_S, env={**os.environ, "MOBULA_BINARY": binary})
    assert done.returncode == 0, done.stderr[-10_000:]
    assert done.stdout.endswith("OK\n") or "\nOK\n" in done.stdout, done.stdout[-2_000:]
