"""GPUs: what tasks and actors see of those that a node has, declared or real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

import mobula


@pytest.fixture(scope="module")
def node(binary: str) -> Iterator[None]:
    """A node that says it has GPUs: nothing here touches one."""
    visible = os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    mobula.init(num_cpus=4, num_gpus=2, labels={"disk": "fast"})
    yield
    mobula.shutdown()
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible


Seen = tuple[str | None, list[int | str], int]


@mobula.remote
def see(barrier: str = "") -> Seen:
    """Returns what this task has of GPUs. With a barrier it waits until another task has come to it."""
    import time

    if barrier:
        open(f"{barrier}.{os.getpid()}", "w").close()
        name = os.path.basename(barrier)
        while sum(f.startswith(name + ".") for f in os.listdir(os.path.dirname(barrier))) < 2:
            time.sleep(0.01)
    return os.environ.get("CUDA_VISIBLE_DEVICES"), mobula.get_gpu_ids(), os.getpid()


@mobula.remote
class See:
    def __init__(self) -> None:
        self.first = os.environ.get("CUDA_VISIBLE_DEVICES")

    def see(self) -> tuple[str | None, str | None, list[int | str]]:
        return self.first, os.environ.get("CUDA_VISIBLE_DEVICES"), mobula.get_gpu_ids()


@pytest.mark.usefixtures("node")
def test_a_task_sees_its_own_gpu(tmp_path: object) -> None:
    one = see.options(num_gpus=1)
    got = mobula.get([one.remote(f"{tmp_path}/whole"), one.remote(f"{tmp_path}/whole")], timeout=30)
    assert sorted(visible for visible, _, _ in got) == ["0", "1"]
    assert all([visible] == [str(i) for i in ids] for visible, ids, _ in got)
    visible, ids, _ = mobula.get(see.options(num_gpus=2).remote(), timeout=30)
    assert (visible, ids) == ("0,1", [0, 1])


@pytest.mark.usefixtures("node")
def test_tasks_with_parts_of_a_gpu_share_it(tmp_path: object) -> None:
    half = see.options(num_gpus=0.5)
    got = mobula.get([half.remote(f"{tmp_path}/half"), half.remote(f"{tmp_path}/half")], timeout=30)
    assert len({visible for visible, _, _ in got}) == 1 and len({pid for _, _, pid in got}) == 2


@pytest.mark.usefixtures("node")
def test_a_task_without_gpus_sees_nobody_elses() -> None:
    @mobula.remote(num_gpus=1, max_calls=0)  # its process stays for the next
    def use() -> str | None:
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    for _ in range(4):
        assert mobula.get(use.remote(), timeout=30) in ("0", "1")
        assert mobula.get(see.remote(), timeout=30)[:2] == (None, [])


@pytest.mark.usefixtures("node")
def test_actors_keep_their_gpus_and_give_them_back() -> None:
    for _ in range(2):
        actors = [See.options(num_gpus=1).remote() for _ in range(2)]
        got = mobula.get([a.see.remote() for a in actors], timeout=30)
        assert sorted(visible for _, visible, _ in got) == ["0", "1"]
        assert all(first == visible == str(ids[0]) for first, visible, ids in got)
        assert mobula.available_resources().get("GPU", 0) == 0
        for a in actors:
            mobula.kill(a)
    plain = See.remote()
    assert mobula.get(plain.see.remote(), timeout=30) == (None, None, [])


@pytest.mark.usefixtures("node")
def test_labels_of_the_node_are_those_it_was_given() -> None:
    labels = mobula.get_runtime_context().get_node_labels()
    assert labels["disk"] == "fast" and labels["ray.io/node-id"] == mobula.get_runtime_context().get_node_id()
    assert mobula.get(see.options(label_selector={"disk": "fast"}).remote(), timeout=30)[1] == []
    with pytest.raises(mobula.exceptions.TaskUnschedulableError):
        mobula.get(see.options(label_selector={"disk": "slow"}).remote(), timeout=30)


def _in_new_process(binary: str, script: str, **env: str) -> str:
    variables = {**os.environ, "MOBULA_BINARY": binary, **env}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


_COUNT = """
import mobula, os
mobula.init(num_cpus=1, log_to_driver=False)
print(mobula.cluster_resources().get("GPU", 0))
"""


def test_a_node_without_gpus_in_sight_has_none(binary: str) -> None:
    assert float(_in_new_process(binary, _COUNT, CUDA_VISIBLE_DEVICES="")) == 0


def test_names_in_the_nodes_own_variable_are_what_tasks_see(binary: str) -> None:
    script = """
import mobula, os
mobula.init(num_cpus=1, num_gpus=2, log_to_driver=False)
@mobula.remote(num_gpus=2)
def f(): return os.environ["CUDA_VISIBLE_DEVICES"], mobula.get_gpu_ids()
print(mobula.get(f.remote(), timeout=60))
"""
    if _gpus():
        pytest.skip("the GPUs of this machine are found, and have other names")
    assert _in_new_process(binary, script, CUDA_VISIBLE_DEVICES="5,GPU-abc") == "('5,GPU-abc', [5, 'GPU-abc'])"


def _gpus() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    out = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=60, check=False).stdout
    return [line for line in out.splitlines() if line.startswith("GPU ")]


def test_real_gpus_are_found_and_given_out(binary: str) -> None:
    """CUDA itself says how many devices a task has, without any framework."""
    gpus = _gpus()
    if not gpus:
        pytest.skip("this machine has no GPU of NVIDIA, or no nvidia-smi that lists one")
    script = """
import mobula
mobula.init(log_to_driver=False)
def count():
    import ctypes
    cuda, n = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
    status = cuda.cuInit(0)
    return 0 if status == 100 else (cuda.cuDeviceGetCount(ctypes.byref(n)), n.value)[1]  # 100: there is no device
f = mobula.remote(count)
total = int(mobula.cluster_resources()["GPU"])
one, part = f.options(num_gpus=1).remote(), f.options(num_gpus=0.25).remote()
kind = [k for k in mobula.cluster_resources() if k.startswith("accelerator_type:")][0].partition(":")[2]
typed = f.options(num_gpus=1, accelerator_type=kind).remote()
class A:
    def count(self): return count()
a = mobula.remote(A).options(num_gpus=1 if total == 1 else 2).remote()
print(total, mobula.get([one, part, typed], timeout=100), mobula.get(a.count.remote(), timeout=100), kind)
"""
    env = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**env, "MOBULA_BINARY": binary, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(" ", 1)[0] == str(len(gpus))
    assert f"[1, 1, 1] {min(len(gpus), 2)} " in done.stdout
    assert done.stdout.split()[-1].split("-")[0] in gpus[0].replace(" ", "-")
