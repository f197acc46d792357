"""Runtime environments: checks, merging, snapshots, virtual environments; and all of it with a node. No test needs a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mobula
from mobula import _runtime_env, _snapshot, _venv
from mobula.exceptions import ActorDiedError, RuntimeEnvSetupError, WorkerCrashedError
from mobula.runtime_env import RuntimeEnv, RuntimeEnvConfig

# --- checks -------------------------------------------------------------------------------------------------------------------


def noop() -> int:
    return 1


@pytest.mark.parametrize(
    ("env", "kind", "words"),
    [
        ({"env_vars": {"A": 1}}, TypeError, "the value 1 is of type"),
        ({"env_vars": {1: "A"}}, TypeError, "the key 1 is of type"),
        ({"env_vars": ["A"]}, TypeError, "env_vars"),
        ({"conda": "a", "pip": ["b"]}, ValueError, "cannot be specified at the same time"),
        ({"pip": ["a"], "uv": ["b"]}, ValueError, "cannot be specified at the same time"),
        ({"pip": "/nonexistent"}, ValueError, "not a valid file"),
        ({"pip": 3}, TypeError, "pip"),
        ({"pip": [3]}, TypeError, "0-th item"),
        ({"pip": {"pip_check": True}}, ValueError, "must include field 'packages'"),
        ({"pip": {"packages": ["a"], "pip_check": 1}}, TypeError, "pip_check"),
        ({"pip": {"packages": ["a"], "colour": 1}}, ValueError, "can only have these fields"),
        ({"uv": {"packages": ["a"], "uv_version": 1}}, TypeError, "uv_version"),
        ({"working_dir": 3}, TypeError, "`working_dir` must be a string"),
        ({"working_dir": "/nonexistent"}, ValueError, "/nonexistent is not a valid path"),
        ({"working_dir": "."}, ValueError, "not a valid URI.*only supported at the job level"),
        ({"py_modules": "m"}, TypeError, "`py_modules` must be a list"),
        ({"py_modules": ["."]}, ValueError, "not a valid URI"),
        ({"excludes": "a"}, TypeError, "excludes"),
        ({"config": {"setup_timeout_seconds": 0}}, ValueError, "greater than zero or equals to -1"),
        ({"worker_process_setup_hook": 3}, TypeError, "worker_process_setup_hook"),
        ({"py_executable": ""}, TypeError, "py_executable"),
        ({"conda": "x"}, ValueError, "does not have the field 'conda'"),
        ({"container": {"image": "x"}}, ValueError, "'container'"),
        ({"image_uri": "x"}, ValueError, "'image_uri'"),
        ({"nsight": "default"}, ValueError, "'nsight'"),
        ({"image_uri": "x", "pip": ["a"]}, ValueError, "cannot be used together"),
    ],
)
def test_what_cannot_be_is_refused_when_options_are_given(env: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        mobula.remote(noop).options(runtime_env=env)
    with pytest.raises(kind, match=words):
        mobula.remote(runtime_env=env)(noop)


def test_the_runtime_env_is_a_dict() -> None:
    with pytest.raises(TypeError, match="runtime_env"):
        mobula.remote(noop).options(runtime_env="x")


def test_runtime_env_classes() -> None:
    env = RuntimeEnv(pip=["b", "a", "b"], env_vars={"A": "1"}, excludes=[], config={"setup_timeout_seconds": 5})
    assert env == {
        "pip": {"packages": ["b", "a"], "pip_check": False},
        "env_vars": {"A": "1"},
        "config": {"setup_timeout_seconds": 5, "eager_install": True, "log_files": []},
    }
    env["env_vars"] = {"B": "2"}
    assert env.env_vars() == {"B": "2"} and env.has_pip() and not env.has_uv() and not env.has_working_dir()
    with pytest.raises(TypeError):
        env.set("env_vars", {"B": 2})
    assert RuntimeEnv.deserialize(env.serialize()) == env and env.to_dict() == env
    assert RuntimeEnv(nobody="knows") == {"nobody": "knows"}  # as with Ray
    assert RuntimeEnv(pip=[], env_vars={}) == {}
    with pytest.raises(ValueError, match="at the same time"):
        RuntimeEnv(conda="x", pip=["y"])
    with pytest.warns(UserWarning, match="unknown entries"):
        assert RuntimeEnvConfig.parse_and_validate_runtime_env_config({"x": 1})["setup_timeout_seconds"] == 600
    import mobula.ray.runtime_env as rays

    assert rays.RuntimeEnv is RuntimeEnv


def test_a_requirements_file_is_read_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("a==1\nb\n")
    for value in (str(tmp_path / "r.txt"), {"packages": str(tmp_path / "r.txt")}):
        assert RuntimeEnv(pip=value)["pip"]["packages"] == ["a==1", "b"]  # type: ignore[arg-type]


def test_merging_adds_variables_and_replaces_the_rest() -> None:
    parent = {"env_vars": {"A": "1", "B": "1"}, "working_dir": "w", "pip": {"packages": ["a"]}, "worker_process_setup_hook": "h", "_setup_hook": "x"}
    merged = _runtime_env.merge(parent, {"env_vars": {"B": "2"}, "uv": {"packages": ["b"]}, "worker_process_setup_hook": "m.f"})
    assert merged == {"env_vars": {"A": "1", "B": "2"}, "working_dir": "w", "uv": {"packages": ["b"]}, "worker_process_setup_hook": "m.f"}
    assert parent["env_vars"] == {"A": "1", "B": "1"}


def test_a_hook_goes_by_value_and_one_that_cannot_is_refused() -> None:
    text = _runtime_env.encode({"worker_process_setup_hook": noop})
    assert _runtime_env.shown(text) == {"worker_process_setup_hook": "noop"}
    assert _runtime_env.worker.load_hook(json.loads(text), "noop")() == 1

    class Stubborn:
        def __reduce__(self) -> Any:
            raise ValueError("no")

    stubborn = Stubborn()
    with pytest.raises(RuntimeEnvSetupError, match="Failed to export the setup function"):
        _runtime_env.encode({"worker_process_setup_hook": lambda: stubborn})
    big = os.urandom(100_000)
    with pytest.raises(RuntimeEnvSetupError, match=r"has 10\d+ bytes"):
        _runtime_env.encode({"worker_process_setup_hook": lambda: big})


# --- snapshots ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "out", "kept"),
    [
        (["*.log"], ["a.log", "d/e.log"], ["a.txt", "log"]),
        (["build/"], ["build/x", "d/build/x"], ["build", "rebuild/x"]),
        (["/build"], ["build", "build/x"], ["d/build"]),
        (["a/b"], ["a/b", "a/b/c"], ["d/a/b"]),
        (["a/**/b"], ["a/b", "a/x/b", "a/x/y/b"], ["a/c"]),
        (["**/a"], ["a", "d/a/b"], ["b"]),
        (["*", "!keep.py"], ["a", "b/c"], ["keep.py", "d/keep.py"]),
        (["data/*", "!data/keep"], ["data/a"], ["data/keep", "data"]),
        (["[ab].c"], ["a.c", "d/b.c"], ["c.c"]),
        (["[!ab].c"], ["c.c"], ["a.c"]),
        (["a?"], ["ab"], ["a", "abc"]),
        (["# a", "", "  ", "\\#b"], ["#b"], ["a", "# a"]),
        (["[z-a]", "[", "/"], [], ["a", "z"]),
    ],
)
def test_patterns_leave_out_what_gitignore_says(lines: list[str], out: list[str], kept: list[str]) -> None:
    matches = _snapshot.matcher(lines)
    assert [p for p in out if not matches(p)] == []
    assert [p for p in kept if matches(p)] == []


@given(st.lists(st.text("ab*?/![]\\ #-", max_size=8), max_size=4), st.text("ab/.*", max_size=10))
def test_no_pattern_breaks_the_matcher(lines: list[str], path: str) -> None:
    assert _snapshot.matcher(lines)(path) in (True, False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, text in {
        "main.py": "X = 1\n", ".gitignore": "*.log\nsecret/\n", "x.log": "x", "secret/key": "k", "pkg/__init__.py": "Y = 2\n",
        "pkg/.rayignore": "inner.txt\n", "pkg/inner.txt": "i", "inner.txt": "kept", ".git/config": "c", "skipped/a": "a",
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "main.py").chmod(0o755)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "dangling").symlink_to(root / "nothing")
    (root / "linked").symlink_to(root / "main.py")
    return root


def files(path: str | Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in Path(path).rglob("*") if p.is_file())


def test_a_snapshot_has_what_is_not_ignored_and_is_named_after_it(tree: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    env = _runtime_env.resolve({"working_dir": str(tree), "excludes": ["skipped"]}, str(tmp_path))
    first = env["working_dir"].removeprefix("file://")
    assert files(first) == [".gitignore", "inner.txt", "linked", "main.py", "pkg/.rayignore", "pkg/__init__.py"]
    assert os.access(Path(first) / "main.py", os.X_OK) and not os.access(Path(first) / "inner.txt", os.X_OK)
    assert env == {"working_dir": "file://" + first}
    first = _snapshot.take(str(tree), store)
    assert _snapshot.take(str(tree), store) == first
    (tree / "main.py").write_text("X = 2\n")
    assert _snapshot.take(str(tree), store) != first
    assert not [n for n in os.listdir(store) if n.startswith(".")]


def test_a_snapshot_that_is_too_large_says_why(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "weights.bin").write_bytes(bytes(3 << 20))
    monkeypatch.setenv("MOBULA_RUNTIME_ENV_MAX_BYTES", str(2 << 20))
    with pytest.raises(RuntimeEnvSetupError, match=r"exceeds the maximum size of 2\.00MiB.*weights\.bin \(3\.00MiB\).*excludes"):
        _runtime_env.resolve({"working_dir": str(tree)}, str(tmp_path))


def test_archives_are_unpacked_and_nothing_outside(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("top/m.py", "Z = 3\n")
        z.writestr("../../outside.py", "bad\n")
    path = _snapshot.take(str(archive), str(tmp_path / "store"))
    assert files(path) == ["outside.py", "top/m.py"]
    assert not (tmp_path / "outside.py").exists()
    (tmp_path / "b.zip").write_text("no archive")
    with pytest.raises(RuntimeEnvSetupError, match=r"b\.zip"):
        _runtime_env.resolve({"working_dir": str(tmp_path / "b.zip")}, str(tmp_path))


def test_sweeping_keeps_what_is_new_and_what_is_in_use(tmp_path: Path) -> None:
    for i, name in enumerate(("old", "used", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(bytes(1000))
        os.utime(tmp_path / name, (i, i))
    user = subprocess.Popen(
        [sys.executable, "-c", f"from mobula import _snapshot; _snapshot.use({str(tmp_path / 'used')!r}); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert user.stdout is not None
    user.stdout.readline()
    os.utime(tmp_path / "used", (1, 1))
    _snapshot.sweep(str(tmp_path), 1500)
    user.communicate(b"\n")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["new", "used"]


# --- packages -----------------------------------------------------------------------------------------------------------------


def wheel(directory: Path, name: str, version: str, text: str) -> Path:
    """Builds a wheel of one module, without any tool."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr(f"{name}.py", text)
        z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cache")
    os.environ["MOBULA_CACHE_DIR"] = str(path)
    yield path
    del os.environ["MOBULA_CACHE_DIR"]


def test_an_environment_is_named_after_all_it_is_made_of(tmp_path: Path) -> None:
    w = wheel(tmp_path, "mobula_test_pkg", "1.0", "V = 1\n")
    (tmp_path / "r.txt").write_text(str(w))
    names = set()
    for spec in ({"packages": [str(w)]}, {"packages": [f"mobula_test_pkg @ file://{w}"]}, {"packages": [f"-r {tmp_path}/r.txt"]}):
        before = _venv._digest("pip", spec)
        assert before == _venv._digest("pip", spec)
        wheel(tmp_path, "mobula_test_pkg", "1.0", f"V = {len(names) + 2}\n")
        names |= {before, _venv._digest("pip", spec), _venv._digest("uv", spec)}
    assert len(names) == 9


# --- with a node --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("work")
    (root / "w").mkdir()
    (root / "w" / "inside.py").write_text("WHERE = __file__\n")
    (root / "w" / "data.txt").write_text("some data")
    (root / "mod_a").mkdir()
    (root / "mod_a" / "__init__.py").write_text("A = 'a'\n")
    (root / "mod_b.py").write_text("B = 'b'\n")
    wheel(root, "mobula_wheeled", "2.0", "W = 'w'\n")
    wheel(root, "mobula_test_pkg", "1.0", "V = 1\n")
    wheel(root, "mobula_test_pkg", "2.0", "V = 2\n")
    return root


@pytest.fixture(scope="module")
def node(binary: str, project: Path, cache: Path) -> Iterator[None]:
    env = {
        "working_dir": str(project / "w"),
        "py_modules": [str(project / "mod_a"), project / "mod_b.py", str(project / "mobula_wheeled-2.0-py3-none-any.whl")],
        "env_vars": {"MOBULA_T_A": "1", "MOBULA_T_B": "1", "PATH": "/first:${PATH}"},
    }
    mobula.init(num_cpus=4, runtime_env=env, log_to_driver=False)
    yield
    mobula.shutdown()


@mobula.remote
def look(*names: str) -> dict[str, Any]:
    out: dict[str, Any] = {n: os.environ.get(n) for n in names}
    return {**out, "cwd": os.getcwd(), "prefix": sys.prefix, "pid": os.getpid(), "env": mobula.get_runtime_context().runtime_env}


@pytest.mark.usefixtures("node")
def test_workers_run_in_the_jobs_environment() -> None:
    @mobula.remote
    def f() -> tuple[Any, ...]:
        import inside  # type: ignore[import-not-found]
        import mobula_wheeled  # type: ignore[import-not-found]
        import mod_a  # type: ignore[import-not-found]
        import mod_b  # type: ignore[import-not-found]

        return os.getcwd(), Path("data.txt").read_text(), os.path.dirname(inside.WHERE), mod_a.A, mod_b.B, mobula_wheeled.W

    cwd, data, where, *modules = mobula.get(f.remote())
    assert cwd == where and data == "some data" and modules == ["a", "b", "w"]
    seen = mobula.get(look.remote("MOBULA_T_A", "PATH"))
    assert seen["MOBULA_T_A"] == "1" and seen["PATH"].startswith("/first:/")
    assert seen["env"]["working_dir"] == "file://" + cwd == mobula.get_runtime_context().runtime_env["working_dir"]


@pytest.mark.usefixtures("node")
def test_a_tasks_environment_adds_to_that_of_who_submits_it() -> None:
    @mobula.remote
    def outer() -> list[dict[str, Any]]:
        inner = look.options(runtime_env={"env_vars": {"MOBULA_T_C": "3"}})
        return mobula.get([look.remote("MOBULA_T_B"), inner.remote("MOBULA_T_A", "MOBULA_T_B", "MOBULA_T_C")])

    plain, changed = mobula.get(outer.options(runtime_env={"env_vars": {"MOBULA_T_B": "2"}}).remote())
    assert plain["MOBULA_T_B"] == "2"
    assert [changed[f"MOBULA_T_{x}"] for x in "ABC"] == ["1", "2", "3"]
    assert changed["cwd"] == plain["cwd"] == mobula.get(look.remote())["cwd"]
    assert changed["env"]["env_vars"].items() >= {"MOBULA_T_A": "1", "MOBULA_T_B": "2", "MOBULA_T_C": "3"}.items()


@pytest.mark.usefixtures("node")
def test_nested_tasks_of_the_jobs_environment_share_its_workers() -> None:
    @mobula.remote
    def outer() -> tuple[dict[str, Any], dict[str, Any]]:
        return mobula.get(look.remote()), look._options

    template = mobula.get(outer.remote())[0]
    assert template["env"] == mobula.get(look.remote())["env"] == _runtime_env.inherited()


@pytest.mark.usefixtures("node")
def test_an_actor_has_its_environment() -> None:
    @mobula.remote
    class A:
        def look(self) -> tuple[str | None, Any]:
            return os.environ.get("MOBULA_T_D"), mobula.get_runtime_context().runtime_env["env_vars"]["MOBULA_T_D"]

    a = A.options(runtime_env=RuntimeEnv(env_vars={"MOBULA_T_D": "d"})).remote()
    assert mobula.get(a.look.remote()) == ("d", "d")


def packages(project: Path, *names: str, **more: Any) -> dict[str, Any]:
    options = ["--no-index", "--find-links", str(project)]
    return {"pip": {"packages": list(names), "pip_install_options": options, **more}}


@mobula.remote
def version() -> tuple[Any, ...]:
    import cloudpickle
    import mobula_test_pkg  # type: ignore[import-not-found]

    return mobula_test_pkg.V, sys.prefix, os.getpid(), cloudpickle.__file__


@pytest.mark.usefixtures("node")
def test_packages_are_installed_once_and_beside_those_of_the_driver(project: Path, cache: Path) -> None:
    import cloudpickle

    one = version.options(runtime_env=packages(project, "mobula_test_pkg==1.0"))
    two = version.options(runtime_env=packages(project, "mobula_test_pkg==2.0", pip_check=True))
    got = mobula.get([one.remote(), two.remote(), one.remote(), two.remote()], timeout=120)
    assert [g[0] for g in got] == [1, 2, 1, 2]
    assert len({g[1] for g in got}) == 2 and all(g[1].startswith(str(cache)) for g in got)
    assert {g[3] for g in got} == {cloudpickle.__file__}
    began = [p.stat().st_mtime_ns for p in cache.glob("environments/*/.mobula-whole")]
    again = mobula.get(version.options(runtime_env=packages(project, "mobula_test_pkg==1.0")).remote())
    assert again[1] == got[0][1] and began == [p.stat().st_mtime_ns for p in cache.glob("environments/*/.mobula-whole")]


@pytest.mark.usefixtures("node")
def test_uv_installs_packages_too(project: Path, tmp_path: Path, cache: Path) -> None:
    uv = tmp_path / "uv"  # what is needed of it, on pip
    uv.write_text('#!/bin/sh\ntest "$1 $2 $3" = "pip install --python" || exit 9\npython=$4; shift 4\nexec "$python" -P -m pip install "$@"\n')
    uv.chmod(0o755)
    options = ["--no-index", "--find-links", str(project)]
    env = {"uv": {"packages": ["mobula_test_pkg==2.0"], "uv_pip_install_options": options}, "env_vars": {"PATH": f"{tmp_path}:${{PATH}}"}}
    got = mobula.get(version.options(runtime_env=env).remote(), timeout=60)
    assert got[0] == 2 and got[1].startswith(str(cache))


@pytest.mark.usefixtures("node")
def test_packages_that_cannot_be_installed_fail_tasks_and_actors_with_what_the_installer_said(project: Path) -> None:
    env = packages(project, "mobula_no_such_package")
    began = time.monotonic()
    with pytest.raises(RuntimeEnvSetupError, match="No matching distribution found for mobula_no_such_package"):
        mobula.get(version.options(runtime_env=env).remote(), timeout=60)
    first = time.monotonic() - began
    began = time.monotonic()
    with pytest.raises(RuntimeEnvSetupError, match="No matching distribution"):
        mobula.get(version.options(runtime_env=env).remote(), timeout=60)
    assert time.monotonic() - began < first / 2  # it is known

    @mobula.remote
    class A:
        def m(self) -> None: ...

    a = A.options(runtime_env=env).remote()
    for _ in range(2):
        with pytest.raises(RuntimeEnvSetupError, match="No matching distribution"):
            mobula.get(a.m.remote(), timeout=60)


@pytest.mark.usefixtures("node")
def test_setting_up_has_a_timeout() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}/m.zip"
        env = {"working_dir": uri, "config": {"setup_timeout_seconds": 1}}
        with pytest.raises(RuntimeEnvSetupError, match=r"longer than 1s .config\.setup_timeout_seconds"):
            mobula.get(look.options(runtime_env=env).remote(), timeout=60)


@pytest.mark.usefixtures("node")
def test_tasks_can_have_archives_by_uri(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("top/only_here.py", "H = 'here'\n")

    @mobula.remote(runtime_env={"working_dir": f"file://{archive}"})
    def f() -> tuple[str, list[str]]:
        import only_here  # type: ignore[import-not-found]

        return only_here.H, os.listdir()

    assert mobula.get(f.remote()) == ("here", ["only_here.py"])
    with pytest.raises(RuntimeEnvSetupError, match="there is nothing of that name"):
        mobula.get(look.options(runtime_env={"working_dir": "file:///nonexistent.zip"}).remote())
    with pytest.raises(RuntimeEnvSetupError, match="not s3://"):
        mobula.get(look.options(runtime_env={"working_dir": "s3://bucket/a.zip"}).remote())


@pytest.mark.usefixtures("node")
def test_the_interpreter_can_be_chosen(tmp_path: Path) -> None:
    script = tmp_path / "python with options"
    script.write_text(f'#!/bin/sh\nexport MOBULA_T_VIA=script\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    env = {"py_executable": f"'{script}' -X dev"}
    assert mobula.get(look.options(runtime_env=env).remote("MOBULA_T_VIA"))["MOBULA_T_VIA"] == "script"
    with pytest.raises(RuntimeEnvSetupError, match="/nonexistent/python"):
        mobula.get(look.options(runtime_env={"py_executable": "/nonexistent/python"}).remote())


@pytest.mark.usefixtures("node")
def test_the_setup_hook_runs_first_in_each_worker() -> None:
    def hook() -> None:
        os.environ["MOBULA_T_HOOK"] = mobula.get_runtime_context().get_job_id()

    job = mobula.get_runtime_context().get_job_id()

    def bad() -> None:
        raise ValueError("the hook's own words")

    assert mobula.get(look.options(runtime_env={"worker_process_setup_hook": hook}).remote("MOBULA_T_HOOK"))["MOBULA_T_HOOK"] == job
    assert mobula.get(look.options(runtime_env={"worker_process_setup_hook": "gc.disable"}).remote())["pid"] > 0
    with pytest.raises(WorkerCrashedError, match="the hook's own words"):
        mobula.get(look.options(runtime_env={"worker_process_setup_hook": bad}).remote(), timeout=60)

    @mobula.remote
    class A:
        def m(self) -> None: ...

    with pytest.raises(ActorDiedError, match="the hook's own words"):
        mobula.get(A.options(runtime_env={"worker_process_setup_hook": bad}).remote().m.remote(), timeout=60)


@pytest.mark.usefixtures("node")
def test_unknown_fields_do_nothing() -> None:
    assert mobula.get(look.options(runtime_env={"nobody": "knows"}).remote())["env"]["nobody"] == "knows"


@pytest.mark.usefixtures("node")
def test_workers_can_be_started_anew() -> None:
    seen = mobula.get(look.options(runtime_env={"config": {"setup_timeout_seconds": 30}}).remote())
    assert seen["env"]["config"]["setup_timeout_seconds"] == 30


def test_init_refuses_what_cannot_be(binary: str, tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import mobula
        for env, kind in (({"working_dir": "/nonexistent"}, ValueError), ({"env_vars": {"A": 1}}, TypeError),
                          ({"worker_process_setup_hook": lambda: stubborn}, mobula.exceptions.RuntimeEnvSetupError)):
            class Stubborn:
                def __reduce__(self): raise ValueError("no")
            stubborn = Stubborn()
            try:
                mobula.init(num_cpus=1, runtime_env=env)
            except kind as e:
                print("refused", not mobula.is_initialized())
        """
    )
    out = subprocess.run([sys.executable, "-c", script], env={**os.environ, "MOBULA_BINARY": binary}, capture_output=True, text=True, timeout=60)
    assert out.stdout == "refused True\n" * 3, out.stderr
