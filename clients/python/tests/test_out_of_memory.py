"""The memory monitor: what a program sees of workers that are ended for lack of memory. Here there is never enough."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

import mobula
from mobula.exceptions import OutOfMemoryError


@pytest.fixture(scope="module")
def node(binary: str) -> Iterator[None]:
    os.environ["MOBULA_MEMORY_THRESHOLD"] = "0.00001"
    mobula.init(num_cpus=2, log_to_driver=False)
    del os.environ["MOBULA_MEMORY_THRESHOLD"]
    yield
    mobula.shutdown()


def hog() -> int:
    rubbish = bytearray(64 << 20)
    time.sleep(60)
    return len(rubbish)


@pytest.mark.usefixtures("node")
def test_a_task_that_is_ended_for_lack_of_memory_says_who_used_how_much() -> None:
    words = r"hog did not finish: the machine or the container ran short of memory: .* GiB of .* that ran .*hog and had 0\.\d\d GiB"
    with pytest.raises(OutOfMemoryError, match=words):
        mobula.get(mobula.remote(max_retries=0)(hog).remote(), timeout=30)


@pytest.mark.usefixtures("node")
def test_an_actor_that_is_ended_for_lack_of_memory_says_so_too() -> None:
    @mobula.remote
    class Hog:
        def hog(self) -> int:
            return hog()

    a = Hog.remote()
    with pytest.raises(OutOfMemoryError, match="short of memory"):
        mobula.get(a.hog.remote(), timeout=30)
    with pytest.raises(OutOfMemoryError, match="short of memory"):
        mobula.get(a.hog.remote(), timeout=30)
