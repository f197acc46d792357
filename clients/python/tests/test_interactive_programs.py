"""Programs in all the ways in which people start them, and how they end: with children, with threads, at the very end."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

import pytest
from terminal import Place, place

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes that stay behind as Linux shows them")


@pytest.fixture
def here(binary: str) -> Iterator[Place]:
    with place(binary) as p:
        yield p


_PROGRAM = """\
import mobula
K = 3
def aid(x): return x + K
@mobula.remote
def f(x): return aid(x)
class Base:
    def m(self): return aid(1)
@mobula.remote
class A(Base): pass
print(mobula.get(f.remote(1)), mobula.get(A.remote().m.remote()))
"""


def test_a_program_on_standard_input(here: Place) -> None:
    assert here.run("-", text=_PROGRAM) == "4 4\n"


def test_a_program_in_the_command_line(here: Place) -> None:
    assert here.run("-c", _PROGRAM) == "4 4\n"


def test_code_that_is_executed_as_text(here: Place) -> None:
    assert here.run("-c", f"exec({_PROGRAM!r}, {{'__name__': 'made_up'}})\nexec({_PROGRAM!r}, {{}})") == "4 4\n4 4\n"


def test_a_module_of_a_package_that_is_run_by_its_name(here: Place) -> None:
    here.write("pkg/__init__.py", "")
    here.write("pkg/other.py", "def aid(x): return x * 2")
    here.write(
        "pkg/tool.py",
        """
        import mobula
        from . import other
        from .other import aid
        @mobula.remote
        def f(x): return aid(x) + other.aid(1)
        if __name__ == "__main__":
            print(mobula.get(f.remote(4)))
        """,
    )
    assert here.run("-m", "pkg.tool") == "10\n"


def test_classes_that_only_the_main_program_defines(here: Place) -> None:
    here.write(
        "program.py",
        """
        import mobula
        if __name__ == "__main__":
            class P:
                def __init__(self, x): self.x = x
            def step(p): return P(p.x + 1)
            @mobula.remote
            def f(p): return step(p)
            @mobula.remote
            class A(P):
                def get(self): return P(self.x)
            r = mobula.get(f.remote(P(1)))
            print(type(r) is P, r.x, type(mobula.get(A.remote(5).get.remote())) is P)
        """,
    )
    assert here.run("program.py") == "True 2 True\n"


def test_a_doctest(here: Place) -> None:
    here.write(
        "documented.py",
        '''
        """Adds.

        >>> import mobula
        >>> mobula.get(add.remote(1, 2))
        3
        >>> @mobula.remote
        ... def twice(x):
        ...     return x * 2
        >>> mobula.get(twice.remote(4))
        8
        """
        import mobula

        @mobula.remote
        def add(a, b): return a + b
        ''',
    )
    assert here.run("-m", "doctest", "documented.py") == ""


@pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="pytest-xdist is not installed")
def test_a_suite_in_two_processes(here: Place) -> None:
    here.write(
        "test_it.py",
        """
        import mobula, pytest

        @pytest.fixture(scope="module")
        def node():
            mobula.init(num_cpus=1)
            yield
            mobula.shutdown()

        @mobula.remote
        def f(x): return x + 1

        @pytest.mark.parametrize("i", range(6))
        def test_f(node, i): assert mobula.get(f.remote(i)) == i + 1
        """,
    )
    assert "6 passed" in here.run("-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "test_it.py")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_have_sessions_of_their_own(here: Place, method: str) -> None:
    here.write(
        "program.py",
        f"""
        import multiprocessing, warnings
        import mobula
        warnings.simplefilter("ignore")

        @mobula.remote
        def f(x): return x + 1

        def child(queue):
            mobula.init(num_cpus=1)
            queue.put(mobula.get(f.remote(41)))
            mobula.shutdown()

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            mobula.init(num_cpus=1)
            queue = context.Queue()
            process = context.Process(target=child, args=(queue,))
            process.start()
            print(queue.get(timeout=20), mobula.get(f.remote(1)))
            process.join()
            print(process.exitcode)
        """,
    )
    assert here.run("program.py") == "42 2\n0\n"


def test_a_forked_child_is_told_that_it_has_no_session(here: Place) -> None:
    here.write(
        "program.py",
        """
        import os, warnings
        import mobula
        warnings.simplefilter("ignore")
        mobula.init(num_cpus=1)
        f = mobula.remote(lambda: 1)
        r = f.remote()
        if os.fork() == 0:
            for use in (lambda: mobula.get(r), lambda: f.remote(), lambda: mobula.put(1), lambda: mobula.wait([r]), lambda: mobula.nodes()):
                try:
                    use()
                except mobula.exceptions.SessionClosedError as e:
                    assert "forked" in str(e), e
            mobula.init(num_cpus=1)
            print("child", mobula.get(f.remote()), flush=True)
            raise SystemExit
        os.wait()
        print("parent", mobula.get(r))
        """,
    )
    assert here.run("program.py") == "child 1\nparent 1\n"


def test_a_thread_that_waits_when_the_main_thread_has_ended_gets_its_value(here: Place) -> None:
    here.write(
        "program.py",
        """
        import threading, time
        import mobula
        mobula.init(num_cpus=1)
        f = mobula.remote(lambda: time.sleep(0.3))
        threading.Thread(target=lambda: print("thread", mobula.get(f.remote()))).start()
        print("main ends", flush=True)
        """,
    )
    assert here.run("program.py") == "main ends\nthread None\n"


def test_a_finaliser_that_runs_too_late_is_told_so(here: Place) -> None:
    here.write(
        "program.py",
        """
        import sys
        import mobula
        from mobula.exceptions import SessionClosedError
        f = mobula.remote(lambda: 1)

        class Late:
            def __init__(self): self.r = mobula.put(1)
            def __del__(self):
                for use in (lambda: mobula.get(self.r), lambda: mobula.put(1), lambda: mobula.wait([self.r]), lambda: f.remote(), mobula.init):
                    try:
                        use()
                    except SessionClosedError as e:
                        print("interpreter is ending" in str(e))

        sys.modules["kept"] = Late()
        """,
    )
    assert here.run("program.py") == "True\n" * 5


def test_a_node_that_is_stopped_is_named_and_the_wait_goes_on(here: Place) -> None:
    here.write(
        "program.py",
        """
        import asyncio, os, signal, sys, threading, time
        from mobula._session import silence
        silence.SECONDS = 0.5
        import mobula
        from mobula._context import process
        from mobula._gen import session_pb2
        mobula.init(num_cpus=1)
        f = mobula.remote(lambda t: time.sleep(t))
        mobula.get(f.remote(0))
        pid = process.session.node_pid

        def freeze():
            os.kill(pid, signal.SIGSTOP)
            threading.Timer(2.0, os.kill, (pid, signal.SIGCONT)).start()

        freeze()
        print("get", mobula.get(f.remote(0)), file=sys.stderr)
        freeze()
        async def main(): return await f.remote(0)
        print("await", asyncio.run(main()), file=sys.stderr)
        freeze()
        try:
            process.session.query(session_pb2.Query(resources=session_pb2.ResourcesQuery()), timeout=0.1)
        except mobula.exceptions.GetTimeoutError as e:
            print("is stopped" in str(e) and f"kill -CONT {pid}" in str(e), file=sys.stderr)
        """,
    )
    lines = here.run("program.py").splitlines()
    told = [line for line in lines if line.startswith("mobula: the node manager (pid ")]
    assert [line for line in lines if line not in told] == ["get None", "await None", "True"]
    assert len([line for line in told if "is stopped" in line and "kill -CONT" in line]) == 2
