"""Tasks that do what they should not: the program goes on and says what happened."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError, WorkerCrashedError

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(autouse=True)
def works_afterwards(cluster):
    yield

    @ray.remote
    def works():
        return "works"

    assert ray.get(works.remote(), timeout=30) == "works"


@pytest.mark.parametrize("code", [0, 1, "words"])
def test_sys_exit_in_a_task(code):
    @ray.remote(max_retries=0)
    def leave():
        sys.exit(code)

    with pytest.raises((RayError, SystemExit)):
        ray.get(leave.remote(), timeout=30)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT])
def test_signals(number):
    @ray.remote(max_retries=0)
    def die():
        os.kill(os.getpid(), number)
        time.sleep(10)

    with pytest.raises(WorkerCrashedError):
        ray.get(die.remote(), timeout=30)


def test_recursion_without_end():
    @ray.remote(max_retries=0)
    def recurse(n=0):
        def down(n):
            return down(n + 1)

        return down(n)

    with pytest.raises(RecursionError):
        ray.get(recurse.remote(), timeout=30)


def test_memory_error():
    @ray.remote(max_retries=0)
    def allocate():
        return bytearray(1 << 60)

    with pytest.raises(MemoryError):
        ray.get(allocate.remote(), timeout=30)


def test_fork_in_a_task():
    @ray.remote(max_retries=0)
    def fork():
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert ray.get(fork.remote(), timeout=30) == 7


def test_processes_in_a_task():
    import subprocess

    @ray.remote(max_retries=0)
    def run():
        return subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True, check=True).stdout

    assert ray.get(run.remote(), timeout=30) == "42\n"


def test_standard_input_is_empty():
    @ray.remote(max_retries=0)
    def read():
        return sys.stdin.read() if sys.stdin else ""

    assert ray.get(read.remote(), timeout=30) == ""


def test_huge_output():
    @ray.remote(max_retries=0)
    def shout():
        for _ in range(200):
            print("x" * 10_000)
        sys.stdout.write("no end of line")
        return "done"

    assert ray.get(shout.remote(), timeout=60) == "done"


def test_output_that_is_not_text():
    @ray.remote(max_retries=0)
    def shout():
        os.write(1, b"\xff\xfe\x00 not text\n")
        return "done"

    assert ray.get(shout.remote(), timeout=30) == "done"


def test_threads_that_go_on():
    @ray.remote(max_retries=0)
    def start():
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        return "done"

    assert ray.get(start.remote(), timeout=30) == "done"


def test_a_thread_that_raises():
    @ray.remote(max_retries=0)
    def start():
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        return "done"

    assert ray.get(start.remote(), timeout=30) == "done"


def test_threads_in_a_task_may_use_ray():
    @ray.remote
    def double(x):
        return 2 * x

    @ray.remote(max_retries=0)
    def spread():
        out = []
        threads = [threading.Thread(target=lambda i=i: out.append(ray.get(double.remote(i)))) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(out)

    assert ray.get(spread.remote(), timeout=30) == [0, 2, 4, 6]


def test_changed_directory_and_environment():
    @ray.remote(max_retries=0)
    def change():
        os.chdir("/")
        os.environ["MISUSE"] = "1"
        return os.getcwd()

    assert ray.get(change.remote(), timeout=30) == "/"


def test_value_whose_pickling_fails_in_the_middle():
    class Trap:
        def __reduce__(self):
            raise RuntimeError("in the middle")

    @ray.remote(max_retries=0)
    def make():
        return [1, Trap(), 2]

    with pytest.raises(RayError, match="in the middle"):
        ray.get(make.remote(), timeout=30)
    with pytest.raises(RuntimeError, match="in the middle"):
        ray.put(Trap())


def test_exception_whose_text_fails():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    @ray.remote(max_retries=0)
    def fail():
        raise Mute

    with pytest.raises(RayError):
        ray.get(fail.remote(), timeout=30)


def test_exception_with_a_huge_text():
    @ray.remote(max_retries=0)
    def fail():
        raise ValueError("x" * 3_000_000)

    with pytest.raises((ValueError, RayTaskError)):
        ray.get(fail.remote(), timeout=30)


def test_raising_something_that_is_no_exception_class_of_the_driver():
    @ray.remote(max_retries=0)
    def fail():
        class Inner(Exception):
            pass

        raise Inner("made there")

    with pytest.raises(RayTaskError, match="made there"):
        ray.get(fail.remote(), timeout=30)


def test_generator_exit_and_keyboard_interrupt_in_a_task():
    @ray.remote(max_retries=0)
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises((RayError, KeyboardInterrupt)):
        ray.get(interrupt.remote(), timeout=30)


def test_actor_killed_from_outside():
    @ray.remote(num_cpus=0)
    class Actor:
        def pid(self):
            return os.getpid()

    actor = Actor.remote()
    os.kill(ray.get(actor.pid.remote()), signal.SIGKILL)
    with pytest.raises(RayActorError):
        for _ in range(100):
            ray.get(actor.pid.remote(), timeout=30)


def test_actor_constructor_that_exits():
    @ray.remote(num_cpus=0)
    class Actor:
        def __init__(self):
            os._exit(1)

        def f(self):
            return 1

    with pytest.raises(RayActorError):
        ray.get(Actor.remote().f.remote(), timeout=30)


def test_many_failures_in_a_row():
    @ray.remote(max_retries=0)
    def die(i):
        os._exit(1)

    refs = [die.remote(i) for i in range(6)]
    for ref in refs:
        with pytest.raises(WorkerCrashedError):
            ray.get(ref, timeout=60)


def test_import_error_of_a_function():
    @ray.remote(max_retries=0)
    def f():
        import no_module_of_this_name  # noqa: F401

    with pytest.raises(ModuleNotFoundError, match="no_module_of_this_name"):
        ray.get(f.remote(), timeout=30)


def test_init_and_shutdown_inside_of_a_task():
    @ray.remote(max_retries=0)
    def f():
        try:
            ray.init(num_cpus=1)
        except RuntimeError:
            return "refused"
        return "passed"

    assert ray.get(f.remote(), timeout=30) in ("refused", "passed")
