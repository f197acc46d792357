"""Every snippet of docs/python and every example is a program that works."""

from __future__ import annotations

import builtins
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 120


def snippets() -> list[tuple[str, str]]:
    """Returns the Python snippets of the pages, each with the place where it begins."""
    found = []
    for page in [ROOT / "README.md", ROOT / "clients" / "python" / "README.md", *sorted((ROOT / "docs" / "python").glob("*.md"))]:
        text = page.read_text()
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 2
            found.append((f"{page.relative_to(ROOT)}:{line}", match.group(1)))
    return found


def run(args: list[str]) -> str:
    """Runs a program to its end and returns its output; it must succeed."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    env.pop("MOBULA_ADDRESS", None)
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=TIMEOUT_S, env=env, check=False)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(("place", "code"), snippets(), ids=lambda value: value if "\n" not in value else "")
def test_snippet_works(place: str, code: str, tmp_path: Path) -> None:
    for module in re.findall(r"^(?:from|import) (dask|joblib|numpy|opentelemetry)\b", code, re.MULTILINE):
        pytest.importorskip(module)
    script = tmp_path / "snippet.py"
    script.write_text(code)
    run([str(script)])


def test_every_exception_of_the_page_is_there() -> None:
    from mobula import exceptions

    page = (ROOT / "docs" / "python" / "errors.md").read_text()
    names = set(re.findall(r"`(\w+Error)`", page)) - {"MyError"}
    assert len(names) > 10
    assert [name for name in sorted(names) if not hasattr(exceptions, name) and not hasattr(builtins, name)] == []


def test_the_first_program_of_the_readme_runs_as_a_program_for_ray(tmp_path: Path) -> None:
    code = next(code for place, code in snippets() if place.startswith("README.md:"))
    assert run_code(tmp_path, code) == "[0, 1, 4, 9]\n"
    assert run_code(tmp_path, code.replace("mobula", "ray"), "-m", "mobula.ray") == "[0, 1, 4, 9]\n"


def run_code(tmp_path: Path, code: str, *options: str) -> str:
    """Runs a snippet as a script, with options for the interpreter."""
    script = tmp_path / "script.py"
    script.write_text(code)
    return run([*options, str(script)])


EXAMPLES = {
    "hello.py": ([], "25"),
    "actors.py": ([], "Ann has 50 and Bob has 50"),
    "pi.py": (["--tasks", "4", "--points", "20000"], "pi is about 3.1"),
    "parameter_server.py": (["--rounds", "40"], "in step: largest error of a weight 0.0"),
    "map_reduce.py": ([], "words,"),
    "crawler.py": (["--pages", "30"], "30 pages, from Page 0 to Page 29"),
    "batch_prediction.py": (["--batches", "4"], "256 predictions"),
    "game_of_life.py": ([], "equal to the sequential run: True"),
    "pipeline.py": (["--batches", "30"], "as expected: True"),
}


def test_every_example_is_listed() -> None:
    assert {path.name for path in (ROOT / "examples" / "python").glob("*.py")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_works(name: str) -> None:
    args, expected = EXAMPLES[name]
    assert expected in run([str(ROOT / "examples" / "python" / name), *args])
