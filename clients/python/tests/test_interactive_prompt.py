"""Python's prompts, on a terminal: what is typed there, redefined there, interrupted there."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import Place, Terminal, place

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes that stay behind as Linux shows them")

_NEW = sys.version_info >= (3, 13)


@pytest.fixture
def here(binary: str) -> Iterator[Place]:
    with place(binary) as p:
        yield p


class Prompt:
    """Someone at a prompt of Python's."""

    def __init__(self, terminal: Terminal, prompt: str) -> None:
        self.terminal = terminal
        self._prompt = prompt
        terminal.expect(prompt)

    def run(self, code: str, shows: str = "") -> None:
        """Types lines as if they were pasted, and waits for what they show and for the next prompt."""
        *lines, last = code.split("\n")
        for line in lines:
            self.terminal.type(line + "\n")
        self.terminal.type(last + "\n" if not last.startswith((" ", "\t")) else last + "\n\n")
        if shows:
            self.terminal.expect(shows)
        self.terminal.expect(self._prompt)


def test_functions_and_actors_are_redefined_and_a_get_is_interrupted(here: Place) -> None:
    done = os.path.join(here.directory, "done")
    with Terminal([sys.executable, "-i", "-q"], here) as t:
        p = Prompt(t, r">>> $")
        p.run("import mobula, os, time")
        p.run("mobula.init(num_cpus=2)", r"Context\(")
        p.run("@mobula.remote\ndef f(x):\n    return x + 1\n")
        p.run("print('first', mobula.get(f.remote(1)))", "first 2")
        p.run("@mobula.remote\ndef f(x):\n    return x * 100\n")
        p.run("print('second', mobula.get(f.remote(3)))", "second 300")
        p.run("@mobula.remote\nclass A:\n    def v(self): return 'old'\n")
        p.run("a = A.remote()")
        p.run("@mobula.remote\nclass A:\n    def v(self): return 'new'\n")
        p.run("b = A.remote(); print('actors', mobula.get([a.v.remote(), b.v.remote()]))", r"actors \['old', 'new'\]")
        p.run("a; f; A", r"Actor\(A, \w+\)\s+RemoteFunction\(__main__.f\)\s+ActorClass\(A\)")
        p.run(f"done = {done!r}")
        p.run("@mobula.remote\ndef slow():\n    print('it began', flush=True)\n    while not os.path.exists(done): time.sleep(0.01)\n    return 8\n")
        p.run("ref = slow.remote()")
        t.type("mobula.get(ref)\n")
        t.expect("it began")
        t.interrupt()
        t.expect("KeyboardInterrupt")
        t.expect(r">>> $")
        Path(done).touch()
        p.run("print('after it', mobula.get(ref))", "after it 8")
        p.run("@mobula.remote\ndef bad(d):\n    return d['k']\n")
        p.run("mobula.get(bad.remote({}))", r"RayTaskError\(KeyError\): mobula::bad\(\) \(pid=\d+\)\n  File .*in bad\n(.*\n)?KeyError: 'k'")
        t.type("exit()\n")
        assert t.wait() == 0
    assert t.text.count("Traceback") == 2


@pytest.mark.parametrize("basic", [False, True] if _NEW else [True], ids=lambda b: "readline" if b else "pyrepl")
def test_what_workers_print_comes_above_the_prompt_with_what_is_typed_there(here: Place, basic: bool) -> None:
    here.environ |= {"PYTHON_BASIC_REPL": "1"} if basic else {}
    with Terminal([sys.executable, "-i", "-q"], here, kind="xterm") as t:
        p = Prompt(t, r">>> $")
        go = os.path.join(here.directory, "go")
        p.run("import mobula, os, time; _ = mobula.init(num_cpus=1)")
        p.run(f"f = mobula.remote(lambda: ([time.sleep(0.01) for _ in iter(lambda: os.path.exists({go!r}), True)], print('hello', 'you')))")
        p.run("r = f.remote()")
        t.type("answer = 20 + 2")
        t.expect(r"answer = 20 \+ 2$")
        Path(go).touch()
        t.expect(r"pid=\d+\) hello you\n+>>> answer = 20 \+ 2$")
        t.type("0; print('whole', answer)\n")
        t.expect("whole 40")
        t.type("exit()\n")
        assert t.wait() == 0


@pytest.mark.skipif(importlib.util.find_spec("IPython") is None, reason="IPython is not installed: pip install ipykernel")
def test_ipython_redefines_awaits_and_interrupts(here: Place) -> None:
    with Terminal([sys.executable, "-m", "IPython", "--no-banner", "--no-confirm-exit", "--simple-prompt"], here) as t:
        p = Prompt(t, r"In \[\d+\]: $")
        p.run("import mobula, time; _ = mobula.init(num_cpus=2)")
        p.run("f = mobula.remote(lambda x: x + 1)")
        p.run("print('first', mobula.get(f.remote(1)))", "first 2")
        p.run("f = mobula.remote(lambda x: x * 100)")
        p.run("await f.remote(4)", r"Out\[\d+\]: 400")
        p.run("slow = mobula.remote(lambda: (print('it began', flush=True), time.sleep(60)))")
        t.type("mobula.get(slow.remote())\n")
        t.expect("it began")
        t.interrupt()
        t.expect("KeyboardInterrupt")
        p.run("print('on', mobula.get(f.remote(5)))", "on 500")
        t.type("exit\n")
        assert t.wait() == 0


def test_a_prompt_is_restored_with_the_cursor_where_it_was() -> None:
    from mobula import _prompt

    assert _prompt._width("\x1b[1;35m>>> \x1b[0m") == 4
    assert _prompt._width("日本 e\u0301") == 6
    assert _prompt._framed(">>> ab", 0, 5, 0) == ("\r\x1b[J", ">>> ab\r\x1b[5C")
    assert _prompt._framed(">>> a\r\n... b", 0, 4, 1) == ("\r\x1b[J", ">>> a\r\n... b\x1b[1A\r\x1b[4C")
    assert _prompt._framed(">>> a\r\n... b", 1, 0, 1) == ("\x1b[1A\r\x1b[J", ">>> a\r\n... b\r")
    assert _prompt.standing() is None  # pytest shows none


def test_a_traceback_gets_the_lines_that_only_this_process_knows() -> None:
    import linecache

    from mobula._interactive import with_lines

    source = ["def f():\n", "    return 1 / 0\n"]
    linecache.cache["<cell 7>"] = (0, None, source, "<cell 7>")
    try:
        bare = 'mobula::f()\n  File "<cell 7>", line 2, in f\nZeroDivisionError: no'
        assert with_lines(bare) == 'mobula::f()\n  File "<cell 7>", line 2, in f\n    return 1 / 0\nZeroDivisionError: no'
        assert with_lines(with_lines(bare)) == with_lines(bare)
        unknown = bare.replace("cell 7", "cell 8")
        assert with_lines(unknown) == unknown
        beyond = bare.replace("line 2", "line 9")
        assert with_lines(beyond) == beyond
    finally:
        del linecache.cache["<cell 7>"]
