"""init and shutdown, in programs of their own."""

from __future__ import annotations

import pytest


def test_init_is_implied(program):
    done = program("""
        import ray

        @ray.remote
        def f():
            return 1

        assert not ray.is_initialized()
        print(ray.get(f.remote()))
        assert ray.is_initialized()
    """)
    assert done.stdout.splitlines()[-1] == "1", done.stderr
    assert done.returncode == 0


def test_cycles_of_init_and_shutdown(program):
    done = program("""
        import ray

        @ray.remote
        def f(x):
            return x

        @ray.remote
        class A:
            def m(self):
                return "m"

        for i in range(3):
            context = ray.init(num_cpus=1 + i)
            assert ray.is_initialized()
            assert ray.get(f.remote(i)) == i
            assert ray.get(A.remote().m.remote()) == "m"
            assert ray.cluster_resources()["CPU"] == 1 + i
            ray.shutdown()
            assert not ray.is_initialized()
        ray.shutdown()
        print("end")
    """)
    assert done.stdout.splitlines()[-1] == "end", done.stderr


def test_second_init_is_a_runtime_error_unless_ignored(program):
    done = program("""
        import ray
        ray.init(num_cpus=1)
        try:
            ray.init(num_cpus=1)
        except RuntimeError as error:
            print("refused", "ignore_reinit_error" in str(error))
        ray.init(num_cpus=1, ignore_reinit_error=True)
        print("ignored")
    """)
    assert done.stdout.splitlines()[-2:] == ["refused True", "ignored"], done.stderr


def test_context_of_init(program):
    done = program("""
        import ray
        with ray.init(num_cpus=2, namespace="here") as context:
            assert context["node_id"] == context.address_info["node_id"]
            assert ray.get_runtime_context().get_node_id() == context["node_id"]
            assert ray.get_runtime_context().namespace == "here"
            assert isinstance(context.dashboard_url, str) or context.dashboard_url is None
        print(ray.is_initialized())
    """)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("unknown=1", "RuntimeError"),
        ("address='auto'", "ConnectionError"),
        ("resources={'CPU': 1}", "(ValueError, AssertionError, TypeError)"),
        ("namespace=''", "ValueError"),
        ("namespace=3", "TypeError"),
    ],
)
def test_impossible_arguments_of_init(program, arguments, error):
    done = program(f"""
        import os, ray
        os.environ.pop("RAY_ADDRESS", None)
        try:
            ray.init({arguments})
        except {error} as e:
            print("refused", type(e).__name__)
    """)
    assert done.stdout.splitlines()[-1:] and done.stdout.splitlines()[-1].startswith("refused"), done.stderr


def test_use_after_shutdown_starts_anew(program):
    done = program("""
        import ray
        ray.init(num_cpus=1)
        ray.shutdown()

        @ray.remote
        def f():
            return 2

        print(ray.get(f.remote()))
    """)
    assert done.stdout.splitlines()[-1] == "2", done.stderr


def test_ref_of_an_ended_session_is_not_one_of_the_next(program):
    done = program("""
        import ray
        ray.init(num_cpus=1)
        old = ray.put(1)
        ray.shutdown()
        ray.init(num_cpus=1)
        try:
            ray.get(old, timeout=3)
        except Exception as error:
            print("refused", type(error).__name__)
    """)
    assert done.stdout.splitlines()[-1].startswith("refused"), done.stderr


def test_resources_and_namespace(program):
    done = program("""
        import ray
        ray.init(num_cpus=3, num_gpus=2, resources={"thing": 5}, namespace="own")
        total = ray.cluster_resources()
        print(total["CPU"], total["GPU"], total["thing"])
        print(ray.get_runtime_context().namespace)
    """)
    assert done.stdout.splitlines()[-2:] == ["3.0 2.0 5.0", "own"], done.stderr


def test_gpus_that_were_declared(program):
    done = program("""
        import os, ray
        ray.init(num_cpus=2, num_gpus=2)

        @ray.remote(num_gpus=1)
        def one():
            return ray.get_gpu_ids(), os.environ["CUDA_VISIBLE_DEVICES"]

        @ray.remote(num_gpus=0.5)
        class Half:
            def look(self):
                return ray.get_gpu_ids(), ray.get_runtime_context().get_accelerator_ids()["GPU"]

        ids, visible = ray.get(one.remote())
        assert len(ids) == 1 and visible == str(ids[0]), (ids, visible)
        halves = [Half.remote() for _ in range(2)]
        seen = ray.get([h.look.remote() for h in halves])
        assert seen[0][0] == seen[1][0] and seen[0][1] == [str(i) for i in seen[0][0]], seen
        print("end")
    """)
    assert done.stdout.splitlines()[-1] == "end", done.stderr


def test_threads_of_the_driver_and_exit_without_shutdown(program):
    done = program("""
        import threading, ray
        ray.init(num_cpus=2)

        @ray.remote
        def f(x):
            return x

        results = []
        threads = [threading.Thread(target=lambda i=i: results.append(ray.get(f.remote(i)))) for i in range(4)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        print(sorted(results))
    """)
    assert done.stdout.splitlines()[-1] == "[0, 1, 2, 3]", done.stderr
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_uncaught_error_of_a_task_ends_the_program_with_its_text(program):
    done = program("""
        import ray
        ray.init(num_cpus=1)

        @ray.remote
        def fail():
            raise ValueError("uncaught words")

        ray.get(fail.remote())
    """)
    assert done.returncode == 1
    assert "uncaught words" in done.stderr


def test_exit_code_of_the_program(program):
    done = program("""
        import sys, ray
        ray.init(num_cpus=1)
        sys.exit(7)
    """)
    assert done.returncode == 7


def test_interrupt_ends_a_get(program):
    done = program("""
        import os, signal, threading, time, ray
        ray.init(num_cpus=1)

        @ray.remote
        def forever():
            time.sleep(1000)

        ref = forever.remote()
        threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            ray.get(ref)
        except KeyboardInterrupt:
            print("interrupted")
    """)
    assert done.stdout.splitlines()[-1] == "interrupted", done.stderr


def test_functions_of_the_main_program_and_of_a_module_beside_it(program, tmp_path):
    (tmp_path / "beside.py").write_text("def triple(x):\n    return 3 * x\n\nclass Thing:\n    def __init__(self, x):\n        self.x = x\n")
    done = program("""
        import ray
        import beside

        class Own:
            def __init__(self, x):
                self.x = x

        def helper(x):
            return beside.triple(x)

        @ray.remote
        def f(own, thing):
            return helper(own.x) + thing.x

        if __name__ == "__main__":
            ray.init(num_cpus=1)
            print(ray.get(f.remote(Own(2), beside.Thing(1))))
            print(ray.get(ray.remote(beside.triple).remote(5)))
    """)
    assert done.stdout.splitlines()[-2:] == ["7", "15"], done.stderr


def test_working_directory_and_environment_are_the_drivers(program, tmp_path):
    done = program("""
        import os, ray
        os.chdir(os.path.dirname(os.path.abspath(__file__)))
        ray.init(num_cpus=1)

        @ray.remote
        def look():
            return os.getcwd(), os.environ.get("CONFORMANCE_OWN")

        print(ray.get(look.remote()) == (os.getcwd(), "set"))
    """, CONFORMANCE_OWN="set")  # fmt: skip
    assert done.stdout.splitlines()[-1] == "True", done.stdout + done.stderr


def test_runtime_env_of_the_job(program):
    done = program("""
        import os, ray
        ray.init(num_cpus=1, runtime_env={"env_vars": {"JOB_WIDE": "yes"}})

        @ray.remote
        def look():
            return os.environ.get("JOB_WIDE"), os.environ.get("OWN")

        @ray.remote
        class Actor:
            def look(self):
                return os.environ.get("JOB_WIDE"), os.environ.get("OWN")

        print(ray.get(look.remote()))
        print(ray.get(look.options(runtime_env={"env_vars": {"OWN": "1"}}).remote()))
        print(ray.get(Actor.options(runtime_env={"env_vars": {"OWN": "2"}}).remote().look.remote()))
    """)
    assert done.stdout.splitlines()[-3:] == ["('yes', None)", "('yes', '1')", "('yes', '2')"], done.stderr


def test_working_dir_and_py_modules(program, tmp_path):
    directory = tmp_path / "shipped"
    directory.mkdir()
    (directory / "data.txt").write_text("from the working directory")
    (directory / "shipped_module.py").write_text("value = 42\n")
    package = tmp_path / "parts" / "shipped_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("value = 43\n")
    done = program(f"""
        import ray
        ray.init(num_cpus=1, runtime_env={{"working_dir": {str(directory)!r}, "py_modules": [{str(package)!r}]}})

        @ray.remote
        def look():
            import shipped_module, shipped_package
            return open("data.txt").read(), shipped_module.value, shipped_package.value

        print(ray.get(look.remote()))
    """)
    assert done.stdout.splitlines()[-1] == "('from the working directory', 42, 43)", done.stderr
