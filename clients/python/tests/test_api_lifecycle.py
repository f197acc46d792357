"""Programs from their first line to their last: each runs in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

_SRC = str(Path(__file__).resolve().parents[1] / "src")


@pytest.fixture
def run(binary: str, tmp_path: Path):  # type: ignore[no-untyped-def]
    def start(program: str, **env: str) -> subprocess.Popen[str]:
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(program))
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([_SRC, os.environ.get("PYTHONPATH", "")]), "MOBULA_BINARY": binary, **env}
        return subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
            cwd=tmp_path,
        )

    def run(program: str, status: int = 0, **env: str) -> tuple[str, str]:
        process = start(program, **env)
        out, err = process.communicate(timeout=60)
        assert process.returncode == status, err
        return out, err

    run.start = start  # type: ignore[attr-defined]
    return run


def test_the_first_use_starts_a_node_that_ends_with_the_program(run) -> None:  # type: ignore[no-untyped-def]
    out, err = run(
        """
        import mobula, os
        assert not mobula.is_initialized()
        print(mobula.get(mobula.put(1)))
        assert mobula.is_initialized()
        print(mobula._context.process.session.node_pid)
        """
    )
    value, pid = out.split()
    assert value == "1"
    assert err == ""
    assert not os.path.exists(f"/proc/{pid}")


def test_a_session_can_be_ended_and_another_begun(run) -> None:  # type: ignore[no-untyped-def]
    out, _ = run(
        """
        import mobula, pytest

        @mobula.remote
        def f(): return 1

        @mobula.remote
        class A:
            def m(self): return 2

        old = None
        for _ in range(2):
            with mobula.init(num_cpus=1, namespace="n") as ctx:
                assert ctx.address_info["node_id"] == mobula.get_runtime_context().get_node_id()
                assert ctx["node_id"] and ctx.dashboard_url == ""
                assert mobula.cluster_resources()["CPU"] == 1
                assert mobula.nodes()[0]["Alive"] and mobula.nodes()[0]["Resources"]["CPU"] == 1
                with pytest.raises(RuntimeError, match="init twice"):
                    mobula.init()
                mobula.init(ignore_reinit_error=True)
                a = A.remote()
                print(mobula.get([f.remote(), a.m.remote()]))
                mobula.timeline("timeline.json")
                if old is not None:
                    with pytest.raises(mobula.exceptions.RayActorError):
                        mobula.get(old.m.remote())
                    with pytest.raises(mobula.exceptions.ActorHandleNotFoundError):
                        mobula.kill(old)
                old = a
            assert not mobula.is_initialized()
            mobula.shutdown()
        """
    )
    assert out == "[1, 2]\n[1, 2]\n"


def test_what_workers_print_reaches_the_driver_with_who_printed_it(run) -> None:  # type: ignore[no-untyped-def]
    out, err = run(
        """
        import mobula, sys
        mobula.init(num_cpus=2)

        @mobula.remote
        def f(x):
            print("hello", x)
            print("to err", file=sys.stderr)

        @mobula.remote
        class Talker:
            def say(self): print("from an actor")

        @mobula.remote
        class Named:
            def __init__(self, n): self.n = n
            def __repr__(self): return f"Named({self.n})"
            def say(self): print("by its repr")

        mobula.get(f.remote("you"))
        t, n = Talker.remote(), Named.remote(3)
        mobula.get([t.say.remote(), n.say.remote()])
        """
    )
    assert "\033" not in out
    assert " pid=" in out
    for line in ("(f pid=", ") hello you\n", "(Talker pid=", ") from an actor\n", "(Named(3) pid=", ") by its repr\n"):
        assert line in out, out
    assert "(f pid=" in err and ") to err\n" in err


def test_equal_lines_of_many_workers_are_shown_once(run) -> None:  # type: ignore[no-untyped-def]
    program = """
        import mobula, time
        mobula.init(num_cpus=4)

        @mobula.remote
        class A:
            def say(self): print("the same line")

        actors = [A.remote() for _ in range(4)]
        mobula.get([a.say.remote() for a in actors])
        time.sleep(0.5)
        """
    out, _ = run(program)
    assert out.count("the same line") == 2, out
    assert "[repeated 3x across cluster]" in out
    out, _ = run(program, RAY_DEDUP_LOGS="0")
    assert out.count("the same line") == 4
    out, _ = run(program.replace("num_cpus=4", "num_cpus=4, log_to_driver=False"))
    assert out == ""


def test_ctrl_c_interrupts_a_get_and_leaves_nothing_behind(run) -> None:  # type: ignore[no-untyped-def]
    process = run.start(
        """
        import mobula, os, time
        mobula.init(num_cpus=1)

        @mobula.remote
        def slow():
            print("pid", os.getpid(), flush=True)
            time.sleep(60)

        mobula._context.process.session
        print("node", mobula._context.process.session.node_pid, flush=True)
        try:
            mobula.get(slow.remote())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if ") pid " in line:
            break
    node, worker = int(lines[0].split()[1]), int(lines[1].split()[-1])
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert out == "interrupted\n"
    assert err == ""
    assert not os.path.exists(f"/proc/{node}") and not os.path.exists(f"/proc/{worker}")


def test_a_program_that_is_killed_leaves_nothing_behind(run) -> None:  # type: ignore[no-untyped-def]
    process = run.start(
        """
        import mobula, os, time
        mobula.init(num_cpus=1)

        @mobula.remote
        def pid(): return os.getpid()

        print(mobula._context.process.session.node_pid, mobula.get(pid.remote()), flush=True)
        time.sleep(60)
        """
    )
    pids = [int(p) for p in process.stdout.readline().split()]
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{p}") for p in pids):
        assert time.monotonic() < deadline, "the node and its workers end"
        time.sleep(0.05)


def test_an_exception_of_the_program_is_its_own(run) -> None:  # type: ignore[no-untyped-def]
    _, err = run(
        """
        import mobula
        mobula.init()

        @mobula.remote
        def f(): raise ValueError("of the task")

        mobula.get(f.remote())
        """,
        status=1,
    )
    assert "ValueError: of the task" in err
    assert err.count("Traceback") <= 2


def test_a_forked_child_of_the_driver_has_no_session(run) -> None:  # type: ignore[no-untyped-def]
    out, _ = run(
        """
        import mobula, os
        mobula.init(log_to_driver=False)
        ref = mobula.put(1)
        pid = os.fork()
        if pid == 0:
            try:
                mobula.put(1)
                print("put", flush=True)
            except Exception as e:
                print(type(e).__name__, "forked" in str(e), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        print(mobula.get(ref))
        """
    )
    assert out == "SessionClosedError True\n1\n"


def test_gpus_that_are_declared_are_given_out_by_number(run) -> None:  # type: ignore[no-untyped-def]
    out, _ = run(
        """
        import mobula, os
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        mobula.init(num_cpus=2, num_gpus=2, log_to_driver=False)

        @mobula.remote(num_gpus=1)
        def gpus(): return os.environ.get("CUDA_VISIBLE_DEVICES"), mobula.get_gpu_ids()

        @mobula.remote(num_gpus=2)
        class A:
            def gpus(self): return os.environ.get("CUDA_VISIBLE_DEVICES"), mobula.get_gpu_ids()

        visible, ids = mobula.get(gpus.remote())
        assert visible == str(ids[0]) and ids[0] in (0, 1), (visible, ids)
        a = A.remote()
        print(mobula.get(a.gpus.remote()))
        print(mobula.get_gpu_ids())
        """
    )
    assert out == "('0,1', [0, 1])\n[]\n"


def test_import_is_light(run) -> None:  # type: ignore[no-untyped-def]
    out, _ = run("import sys, mobula; print([m for m in ('numpy', 'asyncio', 'inspect', 'logging', 'json') if m in sys.modules])")
    assert out == "[]\n"
