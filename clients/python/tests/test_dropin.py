"""Programs written for Ray, run unmodified: ``python -m mobula.ray``."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import mobula

# Another package of that name beside Mobula, as in an environment that has Ray.
FAKE_RAY = "raise ImportError('the installed Ray was imported')\n"


def run(*args: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


def on_mobula(program: str, tmp_path: Path, *args: str) -> str:
    """Runs the program as a script beside an installed Ray; returns what it printed."""
    script = tmp_path / "program.py"
    script.write_text(program)
    installed = tmp_path / "site"
    (installed / "ray").mkdir(parents=True, exist_ok=True)
    (installed / "ray" / "__init__.py").write_text(FAKE_RAY)
    done = run("-m", "mobula.ray", str(script), *args, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ray_is_mobula_under_both_names(tmp_path: Path) -> None:
    program = """
import ray, ray.exceptions, ray.actor
import ray.util.queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from ray.util.placement_group import PlacementGroup
from ray.util import ActorPool
import mobula, mobula.ray, mobula.exceptions, mobula.util.queue, mobula.util.actor_pool
assert ray is mobula.ray
assert ray.get is mobula.get
assert ray.exceptions is mobula.exceptions
assert ray.util.queue.Queue is mobula.util.queue.Queue
assert ActorPool is mobula.util.actor_pool.ActorPool
assert callable(ray.util.placement_group)
assert callable(ray.actor.exit_actor)
print(ray.__version__)
"""
    assert on_mobula(program, tmp_path) == "2.60.0\n"


@pytest.mark.parametrize(
    "module",
    [
        "ray._common.test_utils", "ray._private.ray_client_microbenchmark", "ray._private.ray_constants",
        "ray._private.ray_microbenchmark_helpers", "ray._private.services", "ray._private.test_utils", "ray._private.utils",
        "ray._private.worker", "ray._raylet", "ray.actor", "ray.cloudpickle", "ray.cluster_utils", "ray.cross_language", "ray.dag",
        "ray.dag.class_node", "ray.dag.compiled_dag_node", "ray.dag.dag_node", "ray.dag.function_node", "ray.dag.input_node",
        "ray.dag.output_node", "ray.data", "ray.exceptions", "ray.experimental", "ray.experimental.compiled_dag_ref",
        "ray.experimental.internal_kv", "ray.experimental.tqdm_ray", "ray.job_config", "ray.remote_function", "ray.runtime_context",
        "ray.runtime_env", "ray.types", "ray.util", "ray.util.accelerators", "ray.util.actor_pool", "ray.util.annotations",
        "ray.util.check_serialize", "ray.util.collective", "ray.util.collective.types", "ray.util.debug", "ray.util.joblib",
        "ray.util.metrics", "ray.util.multiprocessing", "ray.util.multiprocessing.pool", "ray.util.pdb", "ray.util.placement_group",
        "ray.util.queue", "ray.util.rpdb", "ray.util.scheduling_strategies", "ray.util.serialization", "ray.util.state",
        "ray.util.state.api", "ray.util.state.common", "ray.util.state.exception",
    ],
)  # fmt: skip
def test_module_is_there(module: str, hooked: None) -> None:
    import importlib

    loaded = importlib.import_module(module)
    missing = [name for name in getattr(loaded, "__all__", ()) if not hasattr(loaded, name)]
    assert missing == []
    assert sys.modules[f"mobula.{module}"] is loaded


@pytest.fixture
def hooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs the hook for one test."""
    from mobula.ray import _hook

    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "modules", sys.modules)
    for name in [name for name in sys.modules if name == "ray" or name.startswith("ray.")]:
        monkeypatch.delitem(sys.modules, name)
    _hook.install()
    _hook.install()


def test_what_is_missing_says_so(tmp_path: Path) -> None:
    program = """
import importlib.util, ray
for name in ("ray.tune", "ray.train", "ray.util.nothing", "mobula.ray.serve"):
    assert importlib.util.find_spec(name) is None, name
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error.name, "|", error)
try:
    ray.rllib
except AttributeError as error:
    print(error)
try:
    from ray import tune
except ImportError as error:
    print("from:", "tune" in str(error))
"""
    assert on_mobula(program, tmp_path).splitlines() == [
        "ray.tune | ray.tune is not part of this version of Mobula",
        "ray.train | ray.train is not part of this version of Mobula",
        "ray.util.nothing | ray.util.nothing is not part of this version of Mobula",
        "ray.serve | ray.serve is not part of this version of Mobula",
        "ray.rllib is not part of this version of Mobula",
        "from: True",
    ]


def test_nothing_is_hijacked_without_the_runner(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").write_text("real = True\n")
    done = run("-c", "import mobula.ray, mobula.ray.util.queue, ray; print(ray.real)", cwd=tmp_path)
    assert done.stdout == "True\n", done.stderr


def test_hook_refuses_when_ray_was_imported_before(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("")
    done = run("-c", "import ray\nfrom mobula.ray import _hook\n_hook.install()", cwd=tmp_path)
    assert "ImportError: ray was imported from" in done.stderr


def test_script_sees_what_python_would_show_it(tmp_path: Path) -> None:
    program = "import sys, os, __main__\nprint(sys.argv[1:], sys.path[0] == os.path.dirname(__file__), __name__, __main__.__file__ == __file__)\n"
    assert on_mobula(program, tmp_path, "a", "-m", "--b") == "['a', '-m', '--b'] True __main__ True\n"


def test_module_and_command_run(tmp_path: Path) -> None:
    package = tmp_path / "work"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(
        "import sys, ray\nfrom . import __name__ as parent\nprint(ray.__name__, parent, __spec__.name, sys.argv[1:])\n"
    )
    done = run("-m", "mobula.ray", "-m", "work", "x", cwd=tmp_path)
    assert done.stdout == "mobula.ray work work.__main__ ['x']\n", done.stderr
    done = run("-m", "mobula.ray", "-c", "import ray, sys; print(ray.__name__, sys.argv)", "y", cwd=tmp_path)
    assert done.stdout == "mobula.ray ['-c', 'y']\n", done.stderr


def test_uncaught_error_shows_only_frames_of_the_program(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("def f():\n    1 / 0\n\nf()\n")
    done = run("-m", "mobula.ray", str(script))
    assert done.returncode == 1
    assert done.stderr.count("File ") == 2
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")
    script.write_text("import sys\nsys.exit(7)\n")
    assert run("-m", "mobula.ray", str(script)).returncode == 7
    script.write_text("raise KeyboardInterrupt\n")
    assert run("-m", "mobula.ray", str(script)).returncode == -2


@pytest.mark.parametrize("args", [[], ["-m"], ["-x"], ["nowhere.py"]])
def test_mistakes_in_the_command_line_are_usage_errors(args: list[str]) -> None:
    done = run("-m", "mobula.ray", *args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_pickles_that_name_rays_modules_load(hooked: None) -> None:
    assert pickle.loads(b"cray.exceptions\nGetTimeoutError\n.") is mobula.exceptions.GetTimeoutError


def test_workers_resolve_ray_too(tmp_path: Path) -> None:
    program = """
import ray

@ray.remote
def f(x):
    import ray
    from ray.exceptions import RayTaskError
    import ray.util.queue
    return ray.__name__, RayTaskError.__module__, ray.get(ray.put(x))

@ray.remote
class A:
    def m(self):
        from ray import util
        return util.__name__

ray.init(num_cpus=2)
print(ray.get(f.remote(3)), ray.get(A.remote().m.remote()))
"""
    assert on_mobula(program, tmp_path) == "('mobula.ray', 'mobula.exceptions', 3) mobula.ray.util\n"


def test_script_of_ray_microbenchmark_is_taken_from_an_installed_ray(tmp_path: Path) -> None:
    private = tmp_path / "ray" / "_private"
    private.mkdir(parents=True)
    (tmp_path / "ray" / "__init__.py").write_text(FAKE_RAY)
    (private / "ray_perf.py").write_text(
        "import ray\nfrom ray._private.ray_microbenchmark_helpers import timeit\n"
        "from ray._private.ray_client_microbenchmark import main\n"
        "assert ray._raylet.OPTIMIZED\nprint('borrowed', ray.__name__)\n"
    )
    done = run("-m", "mobula.ray", "-c", "import ray._private.ray_perf", PYTHONPATH=str(tmp_path))
    assert done.stdout == "borrowed mobula.ray\n", done.stderr


def test_python_processes_of_the_program_resolve_ray_too(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text("import ray.util.queue\nimport ray\nprint(ray.__name__, ray.util.queue.Queue.__module__)\n")
    program = """
import multiprocessing, os, subprocess, sys
import ray

def name(_):
    import ray
    from ray.exceptions import RayTaskError
    return ray.__name__, RayTaskError.__module__

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(name, [0]))
    child = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child.py")
    print(subprocess.run([sys.executable, child], capture_output=True, text=True, check=True).stdout.strip())
"""
    assert on_mobula(program, tmp_path).splitlines() == ["[('mobula.ray', 'mobula.exceptions')]", "mobula.ray mobula.util.queue"]


def test_ray_is_an_installed_distribution_under_the_runner(tmp_path: Path) -> None:
    program = """
import importlib.metadata, subprocess, sys, ray
@ray.remote
def version():
    return importlib.metadata.version("ray")
ray.init(num_cpus=1)
code = "import importlib.metadata; print(importlib.metadata.version('ray'), flush=True)"
subprocess.run([sys.executable, "-c", code], check=True)
print(importlib.metadata.version("ray"), ray.get(version.remote()), ray.__version__)
"""
    assert on_mobula(program, tmp_path).split() == ["2.60.0"] * 4


def test_packages_of_ray_may_be_globals_of_what_is_sent(tmp_path: Path) -> None:
    program = """
import ray, ray.util, ray.dag, ray.experimental
from ray import exceptions
@ray.remote
def names():
    return ray.util.ActorPool.__name__, ray.dag.InputNode.__name__, exceptions.RayError.__name__, ray.experimental.internal_kv.__name__
util = ray.util
@ray.remote
def function():
    return util.placement_group.__name__
ray.init(num_cpus=1)
print(*ray.get(names.remote()), ray.get(function.remote()))
"""
    assert on_mobula(program, tmp_path).split() == ["ActorPool", "InputNode", "RayError", "mobula.ray.experimental.internal_kv", "placement_group"]


def test_node_of_a_cluster_ends_with_its_cluster_and_with_the_program(tmp_path: Path) -> None:
    program = """
import ray
from ray.cluster_utils import Cluster
from pathlib import Path
first = Cluster(initialize_head=True, connect=True, head_node_args={"num_cpus": 3, "object_store_memory": 100_000_000})
print(Path(first.address, "pid").read_text(), int(ray.cluster_resources()["CPU"]))
first.shutdown()
second = Cluster()
print(Path(second.add_node(num_cpus=1, labels={"zone": "a", "rack": "b"}), "pid").read_text(), second.list_all_nodes() == [second.address])
second.connect()
print(ray.nodes()[0]["Labels"]["zone"], ray.nodes()[0]["Labels"]["rack"])
"""
    first, cpus, second, listed, *labels = on_mobula(program, tmp_path).split()
    assert (cpus, listed, labels) == ("3", "True", ["a", "b"])
    for pid in (first, second):
        command = Path("/proc", pid, "cmdline")
        assert not command.exists() or not command.read_bytes()  # a process that nobody has waited for has none


def test_data_can_be_imported_and_refuses(tmp_path: Path) -> None:
    program = """
import ray
from ray.data import from_pandas_refs
for use in (lambda: from_pandas_refs([]), lambda: ray.data.range(3), lambda: __import__("ray.data.datasource")):
    try:
        use()
    except (NotImplementedError, AttributeError, ModuleNotFoundError) as error:
        print(error)
"""
    assert on_mobula(program, tmp_path).splitlines() == [
        f"ray.data.{name} is not part of this version of Mobula" for name in ("from_pandas_refs", "range", "datasource")
    ]


def test_actor_class_lists_the_methods_of_its_class(hooked: None) -> None:
    import ray

    @ray.remote
    class Counter:
        def add(self) -> None: ...

    assert {"add", "remote", "options"} <= set(dir(Counter))


def test_ray_can_be_loaded_lazily(tmp_path: Path) -> None:
    program = """
import importlib.util, sys
spec = importlib.util.find_spec("ray")
loader = importlib.util.LazyLoader(spec.loader)
spec.loader = loader
module = importlib.util.module_from_spec(spec)
sys.modules["ray"] = module
loader.exec_module(module)
assert not module.is_initialized()
import ray, mobula.ray
assert ray is module is mobula.ray and ray.__spec__.name == ray.__name__ == "mobula.ray"
print(ray.get(ray.put(5)))
"""
    assert on_mobula(program, tmp_path) == "5\n"


def test_runtime_context_knows_the_mode_of_the_process(tmp_path: Path) -> None:
    program = """
import ray
ray.init(num_cpus=1)
@ray.remote
def mode():
    return ray.get_runtime_context().worker.mode
print(ray.get_runtime_context().worker.mode == ray.SCRIPT_MODE, ray.get(mode.remote()) == ray.WORKER_MODE)
"""
    assert on_mobula(program, tmp_path) == "True True\n"
