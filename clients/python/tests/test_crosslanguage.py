"""Functions and actors of Go, called from Python. Those of Python, called from Go, are in tests/integration/python_test.go."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mobula
from mobula.exceptions import (
    ActorDiedError,
    BadValueError,
    CrossLanguageError,
    GetTimeoutError,
    InvalidArgumentError,
    NotFoundError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
    WorkerStartError,
)

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "github.com/mobula-dev/mobula/tests/integration/goside"
WAIT_S = 30


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Go program of tests/integration/goside, built here."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go to build a program with")
    path = tmp_path_factory.mktemp("goside") / "goside"
    subprocess.run([go, "build", "-o", str(path), "./tests/integration/goside"], cwd=ROOT, check=True)
    return str(path)


@pytest.fixture(scope="module")
def go(program: str, node: None) -> Iterator[Any]:
    """Makes a function of that program by its short name."""

    def function(name: str, **options: Any) -> Any:
        return mobula.go_function(f"{PACKAGE}.{name}", executable=program, **options)

    yield function


def get(ref: Any) -> Any:
    return mobula.get(ref, timeout=WAIT_S)


def fails(ref: Any, kind: type[BaseException]) -> Any:
    with pytest.raises(kind) as e:
        get(ref)
    return e.value


@dataclasses.dataclass
class Person:
    Name: str
    age: int
    Tags: list[str] | None = None


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 3 << 100, 0.1, 1e300, 1.5 - 2j, "", "größer \0 🦀", "ü" * 5000, b"", b"\0\xff",
        b"x" * (1 << 20), [], [1, "two", None, [True]], {}, {"a": 1, "b": {"c": [2.5]}}, {1: "one", -2: "minus two"},
        datetime.datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=datetime.UTC), datetime.timedelta(minutes=90, microseconds=1),
    ],
    ids=lambda v: f"{type(v).__name__}-{str(v)[:12]!a}",
)  # fmt: skip
def test_values_come_back_from_go_as_they_were(go: Any, value: object) -> None:
    back = get(go("Echo").remote(value))
    assert back == value
    assert isinstance(back, type(value))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "<nil>"), (7, "int64"), (2**64 - 1, "uint64"), (1 << 70, "*big.Int"), (0.5, "float64"), ("s", "string"), (b"b", "[]uint8"),
        ([1], "[]interface {}"), ({"a": 1}, "map[string]interface {}"), (np.zeros(3, np.int16), "[]int16"), (1j, "complex128"),
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "time.Time"), (datetime.timedelta(1), "time.Duration"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_values_have_the_types_of_go_there(go: Any, value: object, kind: str) -> None:
    assert get(go("Kind").remote(value)) == kind


def test_a_tuple_is_a_list(go: Any) -> None:
    assert get(go("Echo").remote((1, 2))) == [1, 2]


def test_arrays_are_slices_of_numbers(go: Any) -> None:
    assert get(go("Sum").remote(np.arange(100_000, dtype=np.float64))) == 4999950000.0
    assert get(go("Sum").remote([1, 2.5])) == 3.5
    ramp = get(go("Ramp").remote(100_000))
    assert isinstance(ramp, np.ndarray)
    assert ramp.dtype == np.float32
    assert (ramp == np.arange(100_000, dtype=np.float32)).all()
    grid = np.arange(6, dtype=np.int8).reshape(2, 3)
    assert (get(go("Echo").remote(grid)) == grid).all()


def test_a_dataclass_or_map_is_a_struct(go: Any) -> None:
    assert get(go("Older").remote(Person("Ann", 40, ["x"]))) == {"Name": "Ann", "age": 41, "Tags": ["x"]}
    assert get(go("Older").remote({"Name": "Bob", "age": 1, "ignored": 0})) == {"Name": "Bob", "age": 2, "Tags": None}


def test_a_function_may_have_several_results_or_none(go: Any) -> None:
    noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    assert get(go("Later", num_returns=2).remote(noon)) == [noon + datetime.timedelta(hours=1), datetime.timedelta(hours=1)]
    assert get(go("Nothing").remote()) is None
    e = fails(go("Later").remote(noon), InvalidArgumentError)
    assert "Later has 2 results, and the call wants 1: give it num_returns=2" in str(e)
    assert e.execution == "not executed"
    with pytest.raises(ValueError, match="have no streams"):
        go("Add", num_returns="streaming")


@mobula.remote
def double(x: int) -> int:
    return 2 * x


@mobula.remote(portable=True)
def numbers(n: int) -> list[int]:
    return list(range(n + 1))


@mobula.remote
class Store:
    @mobula.method(portable=True)
    def numbers(self) -> list[float]:
        return [0.5, 1.5]


def test_refs_of_each_language_are_arguments_of_the_other(go: Any) -> None:
    add, three = go("Add"), double.remote(1)
    assert get(double.remote(add.remote(three, 1))) == 6
    assert get(go("Total").remote([three, add.remote(1, 1), mobula.put(5)])) == 9
    assert get(get(go("Echo").remote([three]))[0]) == 2
    assert get(go("Sum").remote(numbers.remote(3))) == 6
    assert get(go("Sum").remote(mobula.put([1, 2], portable=True))) == 3
    assert get(go("Echo").remote(mobula.put(b"x" * (2 << 20)))) == b"x" * (2 << 20)


def test_a_method_of_a_python_actor_gives_go_what_it_reads(go: Any) -> None:
    assert get(go("Sum").remote(Store.remote().numbers.remote())) == 2


def test_a_ref_of_a_value_that_only_python_reads_says_what_to_do(go: Any) -> None:
    assert "portable=True" in str(fails(go("Sum").remote(mobula.put([1, 2])), BadValueError))


@mobula.remote(portable=True)
def unsendable() -> object:
    return {"parts": [1, {2}]}


def test_a_portable_task_must_return_what_every_language_reads(go: Any) -> None:
    assert "the result['parts'][1]: a builtins.set has no portable form; send a list" in str(fails(unsendable.remote(), BadValueError))


def test_a_task_may_call_go(go: Any) -> None:
    add = go("Add")

    @mobula.remote
    def outer(n: int) -> int:
        return sum(mobula.get([add.remote(i, 1) for i in range(n)]))

    assert get(outer.remote(10)) == 55


def test_an_error_of_go_is_a_task_error_with_its_text(go: Any) -> None:
    e = fails(go("Open").remote("red"), RayTaskError)
    assert isinstance(e, CrossLanguageError)
    assert isinstance(e.cause, CrossLanguageError)
    assert str(e.cause) == "open: the box red is empty"
    assert "open: the box red is empty" in str(e)
    assert e.cause.type_name == "*fmt.wrapError"


def test_a_panic_has_the_stack_of_go(go: Any) -> None:
    e = fails(go("Panic").remote(), RayTaskError)
    assert "panic: out of luck" in str(e)
    assert "main.go:" in str(e)


def test_the_error_of_an_argument_goes_through_go(go: Any) -> None:
    @mobula.remote
    def fail() -> int:
        raise KeyError("lost")

    e = fails(go("Add").remote(fail.remote(), 1), KeyError)
    assert isinstance(e, RayTaskError)
    e = fails(go("Total").remote([fail.remote()]), RayTaskError)
    assert str(e).startswith("mobula::Total()")
    assert "KeyError: 'lost' (executed and failed)" in str(e)


def test_what_is_not_portable_is_refused_with_its_path(go: Any) -> None:
    echo = go("Echo")
    with pytest.raises(TypeError, match=r"argument \[0\]\['a'\]\[1\] of .*goside\.Echo: a builtins\.set has no portable form; send a list"):
        echo.remote({"a": [1, {2}]})
    with pytest.raises(TypeError, match="no portable form"):
        echo.remote(object())
    assert "parts" in str(fails(go("Unsendable").remote(), BadValueError))


def test_arguments_that_do_not_fit_are_refused_by_name(go: Any) -> None:
    assert "argument a" in str(fails(go("Add").remote("one", 2), BadValueError))
    assert "argument b" in str(fails(go("Add").remote(1, 2.5), BadValueError))
    assert "has 3 arguments, want 2" in str(fails(go("Add").remote(1, 2, 3), BadValueError))
    assert "too few" in str(fails(go("Add").remote(1), BadValueError))
    with pytest.raises(TypeError):
        go("Add").remote(1, b=2)


def test_an_unknown_function_is_not_found(go: Any) -> None:
    e = fails(go("Elsewhere").remote(), NotFoundError)
    assert f"function {PACKAGE}.Elsewhere is not in this program" in str(e)
    assert e.execution == "not executed"


def test_a_program_that_is_none_is_refused(go: Any, tmp_path: Path) -> None:
    missing = mobula.go_function(f"{PACKAGE}.Add", executable=tmp_path / "missing")
    assert "is not a program of this machine" in str(fails(missing.remote(1, 1), InvalidArgumentError))
    assert "does not name the program" in str(fails(mobula.go_function(f"{PACKAGE}.Add").remote(1, 1), InvalidArgumentError))
    other = mobula.go_function(f"{PACKAGE}.Add", executable=shutil.which("true") or "/bin/true", max_retries=0)
    assert "Add" in str(fails(other.remote(1, 1), WorkerStartError))


def test_a_crash_is_told(go: Any) -> None:
    assert "with code 3" in str(fails(go("Crash", max_retries=0).remote(), WorkerCrashedError))
    assert get(go("Add").remote(1, 1)) == 2


def said(path: Path, what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not path.exists() or path.read_text() != what:
        assert time.monotonic() < deadline, f"the task did not say {what!r}"
        time.sleep(0.005)


def test_cancelling_ends_the_context_of_a_go_function(go: Any, tmp_path: Path) -> None:
    path = tmp_path / "said"
    ref = go("Sleep").remote(str(path))
    said(path, "runs")
    with pytest.raises(GetTimeoutError):
        mobula.get(ref, timeout=0.05)
    mobula.cancel(ref)
    fails(ref, TaskCancelledError)
    said(path, "context canceled")


def test_functions_are_sent_to_other_processes(go: Any) -> None:
    add = pickle.loads(pickle.dumps(go("Add").options(num_cpus=0.5)))
    assert get(add.remote(1, 2)) == 3
    with pytest.raises(TypeError, match="cannot be called directly"):
        add(1, 2)
    with pytest.raises(ValueError, match="bad_option"):
        go("Add", bad_option=1)


def counter(program: str, **options: Any) -> Any:
    return mobula.go_actor(f"{PACKAGE}.Counter", executable=program, **options)


def test_an_actor_of_go_keeps_its_state_and_its_order(go: Any, program: str) -> None:
    c = counter(program).remote(10)
    assert get([c.Add.remote(1) for _ in range(50)]) == list(range(11, 61))
    assert str(fails(c.Fail.remote(), RayTaskError).cause) == "the box counter is empty"

    @mobula.remote
    def use(handle: Any) -> Any:
        return mobula.get(handle.Add.remote(0))

    assert get(use.remote(c)) == 60
    mobula.kill(c)
    fails(c.Add.remote(1), ActorDiedError)


def test_an_actor_of_go_can_be_found_by_its_name(go: Any, program: str) -> None:
    c = counter(program, name="tally").remote(1)
    assert get(mobula.get_actor("tally").Add.remote(1)) == 2
    assert get(counter(program).options(name="tally", get_if_exists=True).remote(100).Add.remote(1)) == 3
    with pytest.raises(ValueError, match="already taken"):
        counter(program, name="tally").remote(1)
    del c


def test_a_handle_goes_through_go_and_comes_back(go: Any, program: str) -> None:
    c = counter(program).remote(1)
    back = get(go("Echo").remote([c]))[0]
    assert get(back.Add.remote(1)) == 2
    store = get(go("Echo").remote({"store": Store.remote()}))["store"]
    assert get(store.numbers.remote()) == [0.5, 1.5]


def test_the_error_of_a_go_constructor_shows_with_the_first_call(go: Any, program: str) -> None:
    assert "starts below zero" in str(fails(counter(program).remote(-1).Add.remote(1), ActorDiedError))
    other = mobula.go_actor(f"{PACKAGE}.Counter", executable=program, constructor="MakeCounter").remote(1)
    assert "MakeCounter is not in this program" in str(fails(other.Add.remote(1), ActorDiedError))


def test_a_relative_path_is_that_of_the_caller(go: Any, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(os.path.dirname(program))
    add = mobula.go_function(f"{PACKAGE}.Add", executable="goside")
    assert get(add.remote(2, 2)) == 4


@pytest.mark.parametrize(("example", "output"), [("hello", "25"), ("actors", "150")])
def test_the_snippets_of_the_page_work(binary: str, program: str, tmp_path: Path, example: str, output: str) -> None:
    subprocess.run(["go", "build", "-o", str(tmp_path / example), f"./examples/{example}"], cwd=ROOT, check=True)
    blocks = re.findall(r"^```python notest\n(.*?)^```$", (ROOT / "docs" / "python" / "go.md").read_text(), re.MULTILINE | re.DOTALL)
    (code,) = [b for b in blocks if f'"./{example}"' in b]
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, output), done.stderr
