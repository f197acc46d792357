"""Notebooks: cells in a real Jupyter kernel, as a notebook's page has them run."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from terminal import SECONDS, Place, place

jupyter_client = pytest.importorskip("jupyter_client", reason="jupyter_client is not installed: pip install jupyter_client ipykernel")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install jupyter_client ipykernel")

_COLORS = re.compile(r"\x1b\[[0-9;]*m")


class Cell:
    """What a cell has shown."""

    def __init__(self) -> None:
        self.out = ""  # its standard output
        self.err = ""
        self.value = ""  # of its last expression
        self.error = ""  # the name of the exception
        self.trace = ""


class Notebook:
    """Someone who runs cells one after another."""

    def __init__(self, here: Place) -> None:
        self._manager = jupyter_client.KernelManager(kernel_name="python3", transport="ipc", ip=os.path.join(here.directory, "kernel"))
        self._manager.connection_file = os.path.join(here.directory, "kernel.json")
        self._manager.start_kernel(env={**here.environ, "IPYTHONDIR": here.directory, "JUPYTER_RUNTIME_DIR": here.directory})
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=SECONDS)
        self._cells: dict[str, Cell] = {}

    def run(self, code: str, *, interrupt_at: str = "", until: str = "") -> Cell:
        """Runs a cell to its end: interrupts it when its output has one text, and waits on until it has another."""
        cell = Cell()
        key = self._client.execute(code)
        self._cells[key] = cell
        ended = False
        deadline = time.monotonic() + SECONDS
        while not ended or until not in cell.out:
            message = self._client.get_iopub_msg(timeout=deadline - time.monotonic())
            kind, content, owner = message["msg_type"], message["content"], message["parent_header"].get("msg_id")
            if owner in self._cells:
                self._note(self._cells[owner], kind, content)
            if interrupt_at and interrupt_at in cell.out:
                interrupt_at = ""
                self._manager.interrupt_kernel()
            ended = ended or (owner == key and kind == "status" and content["execution_state"] == "idle")
        return cell

    def _note(self, cell: Cell, kind: str, content: dict[str, Any]) -> None:
        if kind == "stream" and content["name"] == "stdout":
            cell.out += content["text"]
        elif kind == "stream":
            cell.err += content["text"]
        elif kind == "execute_result":
            cell.value = content["data"]["text/plain"]
        elif kind == "error":
            cell.error, cell.trace = content["ename"], _COLORS.sub("", "\n".join(content["traceback"]))

    def restart(self) -> None:
        self._manager.restart_kernel(now=True)
        self._client.wait_for_ready(timeout=SECONDS)

    def kill(self) -> None:
        self._manager.signal_kernel(signal.SIGKILL)

    def close(self, *, now: bool) -> None:
        self._manager.shutdown_kernel(now=now)
        self._client.stop_channels()
        self._manager.cleanup_resources()


@pytest.fixture
def here(binary: str) -> Iterator[Place]:
    with place(binary) as p:
        yield p


@pytest.fixture(scope="module")
def notebook(binary: str) -> Iterator[Notebook]:
    with place(binary) as here:  # which must be empty when the kernel has been shut down
        n = Notebook(here)
        try:
            assert "Context(" in n.run("import mobula, asyncio, os, sys, time\nmobula.init(num_cpus=2)").value
            yield n
        finally:
            n.close(now=False)


def test_cells_define_call_redefine_and_await(notebook: Notebook) -> None:
    run = notebook.run
    assert run("@mobula.remote\ndef f(x):\n    return x + 1\nmobula.get(f.remote(1))").value == "2"
    assert run("@mobula.remote\ndef f(x):\n    return x * 100\nmobula.get(f.remote(3))").value == "300"
    assert run("await f.remote(4)").value == "400"
    assert run("await asyncio.gather(*[f.remote(i) for i in range(3)])").value == "[0, 100, 200]"
    assert run("await asyncio.wait_for(f.remote(1), 20)").value == "100"
    assert run("@mobula.remote\nclass A:\n    async def v(self):\n        return 'old'\na = A.remote()\nawait a.v.remote()").value == "'old'"
    again = run("@mobula.remote\nclass A:\n    async def v(self):\n        return 'new'\nb = A.remote()\nawait a.v.remote(), await b.v.remote()")
    assert again.value == "('old', 'new')"
    assert re.fullmatch(r"ObjectRef\(\w+\)", run("f.remote(1)").value)
    assert re.fullmatch(r"Actor\(A, \w+\)", run("b").value)
    assert run("f").value == "RemoteFunction(__main__.f)"
    assert run("@mobula.remote\ndef g():\n    yield 'item'\nasync for ref in g.remote():\n    print(await ref)").out == "item\n"


def test_what_workers_print_comes_with_the_cell_that_waits(notebook: Notebook) -> None:
    run = notebook.run
    run("@mobula.remote\ndef say(x):\n    print('said', x)\n    print('warned', x, file=sys.stderr)")
    assert re.search(r"\(say pid=\d+\) said one", run("mobula.get(say.remote('one'))", until="said one").out)
    second = run("mobula.get(say.remote('two'))", until="said two")
    assert "one" not in second.out


@pytest.mark.parametrize("wait", ["mobula.get(r)", "mobula.wait([r])", "mobula.get([r], timeout=50)", "await r", "await asyncio.gather(r, r)"])
def test_an_interrupt_ends_the_cell_that_waits_and_nothing_else(notebook: Notebook, wait: str) -> None:
    run = notebook.run
    run("@mobula.remote\ndef slow():\n    print('it began', flush=True)\n    while not os.path.exists('go'): time.sleep(0.01)\n    return 'whole'")
    cell = run(f"r = slow.remote()\n{wait}", interrupt_at="it began")
    assert cell.error in ("KeyboardInterrupt", "CancelledError")
    assert run("open('go', 'w').close()\nmobula.get(r)").value == "'whole'"
    assert run("os.remove('go')").error == ""


def test_an_error_shows_the_lines_of_the_cell_where_it_arose(notebook: Notebook) -> None:
    run = notebook.run
    run("@mobula.remote\ndef outer(d):\n    def inner(key):\n        return d[key]\n    return inner('missing')")
    cell = run("mobula.get(outer.remote({}))")
    assert cell.error == "RayTaskError(KeyError)"
    end = cell.trace[cell.trace.rindex("RayTaskError(KeyError): ") :]
    expected = (
        r"RayTaskError\(KeyError\): mobula::outer\(\) \(pid=\d+\)\n"
        r"  File \".*\", line 5, in outer\n    return inner\('missing'\)\n"
        r"  File \".*\", line 4, in inner\n    return d\[key\]\n"
        r"KeyError: 'missing'"
    )
    assert re.fullmatch(expected, end.strip())
    assert cell.trace.count("\nFile ") <= 2  # of Mobula's own frames: get, and where it raises


def test_a_kernel_that_is_restarted_or_killed_leaves_nothing(here: Place) -> None:
    notebook = Notebook(here)
    try:
        begin = "import mobula, time\nmobula.init(num_cpus=1)\nr = mobula.remote(lambda: time.sleep(60)).remote()\nmobula.get(mobula.put(1))"
        assert notebook.run(begin).value == "1"
        notebook.restart()
        assert notebook.run("mobula").error == "NameError"
        assert notebook.run(begin).value == "1"
        assert len([name for name in here.left() if name.startswith("mobula-node-")]) == 1  # the first one's is gone
        notebook.kill()
    finally:
        notebook.close(now=True)
    here.assert_empty()
