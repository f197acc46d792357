"""What type checkers make of programs: right ones pass mypy and pyright at their strictest, wrong ones do not, each line for its reason.

The programs are the files of typing/. A wrong line ends in ``# wrong: <code of mypy> <rule of pyright>``.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mobula import _options, _typing

PROGRAMS = Path(__file__).parent / "typing"
SOURCE = Path(__file__).parents[1] / "src"
RIGHT = sorted((PROGRAMS / "right").glob("*.py"))
WRONG = sorted((PROGRAMS / "wrong").glob("*.py"))
TIMEOUT_S = 100

Found = dict[tuple[str, int], set[str]]
"""What a checker reports: the codes by file and line."""


def mypy(scratch: Path) -> Found:
    """Returns what mypy reports of all programs."""
    config = scratch / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = true\nmypy_path = {SOURCE}\n[mypy-mobula.*]\nfollow_imports = silent\n")
    args = ["--config-file", str(config), "--cache-dir", str(scratch / "mypy"), "--output", "json", "--explicit-package-bases"]
    done = run("mypy", *args, str(PROGRAMS))
    found: Found = {}
    for line in done.splitlines():
        report = json.loads(line)
        if report["severity"] == "error":
            found.setdefault((name(report["file"]), report["line"]), set()).add(report["code"])
    return found


def pyright(scratch: Path) -> Found:
    """Returns what pyright reports of all programs."""
    config = scratch / "pyrightconfig.json"
    config.write_text(json.dumps({"include": [str(PROGRAMS)], "extraPaths": [str(SOURCE)], "typeCheckingMode": "strict", "pythonVersion": "3.11"}))
    done = run("basedpyright", "--project", str(config), "--outputjson", "--pythonpath", sys.executable)
    found: Found = {}
    for report in json.loads(done)["generalDiagnostics"]:
        found.setdefault((name(report["file"]), report["range"]["start"]["line"] + 1), set()).add(report.get("rule", ""))
    return found


def run(module: str, *args: str) -> str:
    """Runs a checker and returns what it prints; a checker that is not there skips the test, one that cannot run fails it."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: it is one of requirements-dev.txt")
    done = subprocess.run([sys.executable, "-m", module, *args], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode in (0, 1), f"{module} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def name(path: str) -> str:
    """Returns how a program is called here: "right/functions.py"."""
    return "/".join(Path(path).parts[-2:])


CHECKERS: dict[str, Callable[[Path], Found]] = {"mypy": mypy, "pyright": pyright}


@pytest.fixture(scope="module", params=CHECKERS)
def checked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Found]:
    return request.param, CHECKERS[request.param](tmp_path_factory.mktemp(request.param))


def marks(program: Path, checker: str) -> dict[int, str]:
    """Returns the lines of a program that are wrong, and the code that a checker has for each."""
    at = list(CHECKERS).index(checker)
    lines = enumerate(program.read_text().splitlines(), 1)
    found = {n: re.findall(r"# wrong: (\S+) (\S+)$", line) for n, line in lines}
    return {n: codes[0][at] for n, codes in found.items() if codes}


def test_there_are_programs_of_both_kinds() -> None:
    assert [p.stem for p in RIGHT] == ["actors", "drop_in", "functions", "objects"]
    assert [p.stem for p in WRONG] == ["actors", "functions", "objects"]
    assert all(len(marks(p, "mypy")) >= 10 for p in WRONG)


@pytest.mark.parametrize(
    ("typed", "table"),
    [
        (_typing.AnyTaskOptions, _options.TASK),
        (_typing.ActorOptions, _options.ACTOR),
        (_typing.AnyMethodCallOptions, _options.METHOD_CALL),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_the_options_that_checkers_know_are_those_that_there_are(typed: type, table: dict[str, object]) -> None:
    assert set(typed.__annotations__) == set(table)


@pytest.mark.parametrize("program", RIGHT, ids=lambda p: p.stem)
def test_a_right_program_passes(checked: tuple[str, Found], program: Path) -> None:
    _, found = checked
    assert {place: codes for place, codes in found.items() if place[0] == name(str(program))} == {}


@pytest.mark.parametrize("program", WRONG, ids=lambda p: p.stem)
def test_of_a_wrong_program_exactly_the_wrong_lines_are_reported(checked: tuple[str, Found], program: Path) -> None:
    checker, found = checked
    expected = marks(program, checker)
    reported = {line: codes for (file, line), codes in found.items() if file == name(str(program))}
    assert sorted(reported) == sorted(expected)
    assert {line: code for line, code in expected.items() if code not in reported[line]} == {}


@pytest.mark.parametrize("program", RIGHT, ids=lambda p: p.stem)
def test_a_right_program_runs(program: Path) -> None:
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
