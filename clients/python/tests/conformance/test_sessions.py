"""Sessions as tests of programs open them: fixtures of every scope, arguments of init, scripts and what is left of them."""

from __future__ import annotations

import pytest
import ray


@pytest.fixture
def started(_backend):
    """A cluster for one test, as users' own fixtures make it."""
    info = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield info
    ray.shutdown()


@pytest.fixture
def with_arguments(_backend, request):
    """The same with arguments of the test's choice."""
    yield ray.init(**{"include_dashboard": False, "log_to_driver": False, **request.param})
    ray.shutdown()


@ray.remote
def double(x):
    return 2 * x


@ray.remote
class Counter:
    """Is defined before there is a session, and used in many."""

    def __init__(self):
        self.n = 0

    def inc(self):
        self.n += 1
        return self.n


@pytest.mark.parametrize("round_", range(2))
def test_functions_and_classes_outlive_sessions(started, round_):
    counter = Counter.remote()
    assert ray.get([double.remote(2), counter.inc.remote(), counter.inc.remote()]) == [4, 1, 2]
    assert started.address_info["node_id"] == ray.get_runtime_context().get_node_id()
    assert started["node_id"] == started.address_info["node_id"]
    assert started.dashboard_url in (None, "")


@pytest.mark.parametrize(
    "with_arguments",
    [
        {"num_cpus": 2, "resources": {"a": 2}, "namespace": "chosen", "object_store_memory": 100 << 20, "_memory": 1 << 30},
        {
            "num_cpus": 2,
            "ignore_reinit_error": True,
            "logging_level": "ERROR",
            "configure_logging": False,
            "_system_config": {"num_workers_soft_limit": 1},
        },
        {"num_cpus": 2, "job_config": ray.job_config.JobConfig(ray_namespace="chosen"), "dashboard_host": "127.0.0.1"},
    ],
    ids=["resources", "switches", "job config"],
    indirect=True,
)
def test_arguments_of_init(with_arguments, request):
    asked = request.node.callspec.params["with_arguments"]
    resources = ray.cluster_resources()
    assert resources["CPU"] == 2
    assert resources.get("a") == (asked.get("resources") or {}).get("a")
    if "object_store_memory" in asked:
        assert resources["object_store_memory"] == 100 << 20
        assert resources["memory"] == 1 << 30
    if "namespace" in asked or "job_config" in asked:
        assert ray.get_runtime_context().namespace == "chosen"
    assert ray.get(double.remote(1)) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"num_cpus": -1}, ValueError, "Resource quantities must be nonnegative"),
        ({"num_gpus": -1}, ValueError, "Resource quantities must be nonnegative"),
        ({"resources": {"x": -1}}, ValueError, "Resource quantities must be nonnegative. Violated by resource 'x'"),
        ({"resources": {"CPU": 1}}, (ValueError, AssertionError), "num_cpus"),
        ({"object_store_memory": 1000}, ValueError, "Attempting to cap object store memory usage at 1000 bytes, but the minimum allowed is"),
        ({"_system_config": [1]}, TypeError, "The _system_config must be a dict"),
        ({"_temp_dir": "relative"}, ValueError, "temp_dir must be absolute path or None"),
        ({"namespace": 1}, TypeError, "namespace must be None or a string"),
        ({"namespace": ""}, ValueError, '"" is not a valid namespace'),
        ({"local_mode": True}, RuntimeError, "`local_mode` is no longer supported"),
        ({"no_such_option": 1}, RuntimeError, r"Unknown keyword argument\(s\): no_such_option"),
        ({"runtime_env": {"env_vars": {"a": 1}}}, TypeError, "env_vars"),
    ],
    ids=lambda x: str(x)[:40],
)
def test_arguments_that_cannot_be(_backend, arguments, error, words):
    with pytest.raises(error, match=words):
        ray.init(include_dashboard=False, **arguments)
    assert not ray.is_initialized()


def test_what_needs_a_session(program):
    done = program("""
        import ray
        for ask in (ray.nodes, ray.cluster_resources, ray.available_resources, ray.timeline):
            try:
                ask()
            except (ray.exceptions.RaySystemError, RuntimeError) as error:
                print(type(error).__name__, "Ray has not been started yet" in str(error))
        """)
    assert done.stdout.splitlines() == ["RaySystemError True"] * 3 + ["RuntimeError True"], done.stderr


def test_handles_of_an_ended_session_are_refused(_backend):
    ray.init(num_cpus=1, include_dashboard=False)
    counter = Counter.remote()
    ray.get(counter.inc.remote())
    ray.shutdown()
    ray.init(num_cpus=1, include_dashboard=False)
    try:
        with pytest.raises((ValueError, RuntimeError, ray.exceptions.RayError)):
            ray.get(counter.inc.remote(), timeout=10)
        assert ray.get(Counter.remote().inc.remote()) == 1
    finally:
        ray.shutdown()


def test_shutdown_without_a_session(_backend):
    ray.shutdown()
    ray.shutdown()
    assert not ray.is_initialized()


def test_what_was_registered_before_init_still_has_a_session(program):
    done = program("""
        import atexit
        import ray
        atexit.register(lambda: print("at the end", ray.is_initialized(), ray.get(ray.put(1))))
        ray.init(num_cpus=1, include_dashboard=False)
        print("last line")
        """)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["last line", "at the end True 1"])


@pytest.mark.parametrize(
    ("ending", "code", "err"),
    [
        ("raise KeyError('from the driver')", 1, "KeyError: 'from the driver'"),
        ("import sys; sys.exit(3)", 3, ""),
        ("ray.get(fail.remote())", 1, "ValueError: of the task"),
        ("import threading; t = threading.Thread(target=lambda: ray.get(fail.remote())); t.start(); t.join()", 0, "ValueError: of the task"),
        ("ray.get(fail.remote(), timeout=0) if False else ray.wait([fail.remote()])", 0, ""),
    ],
    ids=["raises", "exits", "a task raises", "in a thread", "nobody looks"],
)
def test_how_scripts_end(program, ending, code, err):
    done = program(f"""
        import ray
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
        @ray.remote(max_retries=0)
        def fail():
            raise ValueError("of the task")
        print("before")
        {ending}
        print("after")
        """)
    assert done.returncode == code
    assert err in done.stderr
    assert done.stdout == ("before\nafter\n" if code == 0 else "before\n")
    if "task" in err:
        assert "in fail" in done.stderr


def test_name_of_main_and_its_arguments(program):
    done = program(
        """
        import sys
        import ray

        @ray.remote
        def name():
            return __name__

        def main():
            ray.init(num_cpus=1, include_dashboard=False)
            print(ray.get(name.remote()), sys.argv[1:])

        if __name__ == "__main__":
            main()
        """,
        "--flag",
        "value",
    )
    assert done.stdout == "__main__ ['--flag', 'value']\n", done.stderr
