"""Interrupts of programs and of workers: all that was begun ends, and all that is not meant goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from terminal import Place, Terminal, place

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes that stay behind as Linux shows them")


@pytest.fixture
def here(binary: str) -> Iterator[Place]:
    with place(binary) as p:
        yield p


_BEGIN = """
import mobula, time
mobula.init(num_cpus=2, object_store_memory=20 << 20)
@mobula.remote
def slow(x=0):
    print("it began", flush=True)
    time.sleep(60)
"""
_WAITS = {
    "get": "mobula.get(slow.remote())",
    "get with a timeout": "mobula.get(slow.remote(), timeout=50)",
    "get of several": "mobula.get([slow.remote(), slow.remote()])",
    "wait": "mobula.wait([slow.remote()])",
    "future": "slow.remote().future().result()",
    "await": "import asyncio\nasync def main(): await slow.remote()\nasyncio.run(main())",
    "stream": "@mobula.remote\ndef items():\n    print('it began', flush=True); time.sleep(60); yield 1\nfor r in items.remote(): pass",
    "put": "held = []\nprint('it began', flush=True)\nwhile True: held.append(mobula.put(bytearray(5 << 20)))",
    "pool": "from mobula.util.multiprocessing import Pool\nPool(2).map(lambda x: (print('it began', flush=True), time.sleep(60)), range(4))",
    "as_completed": "from mobula.util import as_completed\nfor x in as_completed([slow.remote(), slow.remote()]): pass",
    "nested": "outer = mobula.remote(lambda: mobula.get(slow.remote()))\nmobula.get(outer.remote())",
}


@pytest.mark.parametrize("wait", _WAITS)
def test_an_interrupt_ends_the_program_and_all_that_it_began(here: Place, wait: str) -> None:
    with Terminal([sys.executable, "-c", _BEGIN + _WAITS[wait]], here) as t:
        t.expect("it began")
        t.interrupt()
        t.expect("KeyboardInterrupt")
        assert t.wait() in (-2, 130)
        assert t.text.count("Traceback") == (2 if wait == "await" else 1)  # the workers say nothing of theirs


@pytest.mark.parametrize("delay", [0.005, 0.02, 0.04, 0.08, 0.16])
def test_an_interrupt_while_the_session_opens_leaves_nothing(here: Place, delay: float) -> None:
    program = f"""
import mobula, os, signal, threading, time
print("it began", flush=True)
threading.Timer({delay}, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    mobula.init(num_cpus=1)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
mobula.shutdown()
mobula.init(num_cpus=1)
print(mobula.get(mobula.put(1)), len([name for name in os.listdir({here.directory!r}) if name.startswith("mobula-node-")]))
"""
    assert here.run("-c", program) == "it began\ninterrupted\n1 1\n"


@pytest.mark.parametrize("kind", ["plain", "threaded", "async"])
def test_sigint_in_the_process_of_an_actor_does_not_end_it(here: Place, kind: str) -> None:
    word = "async def" if kind == "async" else "def"
    options = "max_concurrency=2" if kind == "threaded" else "num_cpus=1"
    program = f"""
import os, signal, time
import mobula
@mobula.remote({options})
class A:
    {word} pid(self): return os.getpid()
    {word} hit(self):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
        except KeyboardInterrupt:
            return "interrupted"
        return "went on"
a = A.remote()
pid = mobula.get(a.pid.remote())
print(mobula.get(a.hit.remote()))
os.kill(pid, signal.SIGINT)  # while it waits
print(mobula.get(a.pid.remote()) == pid)
"""
    assert here.run("-c", program) == ("interrupted" if kind == "plain" else "went on") + "\nTrue\n"


def test_an_async_method_that_stops_its_loop_stops_nothing(here: Place) -> None:
    program = """
import asyncio
import mobula
@mobula.remote
class A:
    async def stop(self):
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)
        return "stopped"
    async def other(self): return "lives"
a = A.remote()
print(mobula.get([a.stop.remote(), a.other.remote()]))
"""
    assert here.run("-c", program) == "['stopped', 'lives']\n"


def test_interrupts_upon_interrupts_leave_the_session_whole(here: Place) -> None:
    here.write(
        "program.py",
        """
        import os, signal, subprocess, sys, textwrap, time
        import mobula
        mobula.init(num_cpus=2)
        f = mobula.remote(lambda: 1)
        never = mobula.remote(lambda: time.sleep(1000)).remote()
        waits = [lambda: mobula.get(never), lambda: mobula.wait([never]), lambda: mobula.get([never], timeout=100)]
        package, left = os.path.dirname(mobula.__file__), 0

        def interrupt(_, frame):
            global left
            if left and frame.f_code.co_filename.startswith(package):
                left -= 1
                raise KeyboardInterrupt

        signal.signal(signal.SIGINT, interrupt)
        impatient = '''
        import os, random, sys, time
        while os.getppid() == int(sys.argv[1]):
            time.sleep(0.004)
            for _ in range(4):
                os.kill(int(sys.argv[1]), 2)
                end = time.perf_counter() + random.random() * 2e-4
                while time.perf_counter() < end: pass
        '''
        child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(impatient), str(os.getpid())])
        for i in range(400):
            try:
                left = 3
                waits[i % 3]()
            except KeyboardInterrupt:
                left = 0
            mobula.get(f.remote(), timeout=20)
        child.kill()
        child.wait()
        print("whole")
        """,
    )
    assert here.run("program.py") == "whole\n"
