"""What becomes of a large argument that a worker keeps beyond its task: it stays where it is, for as long as it is kept."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest

np = pytest.importorskip("numpy")

import mobula  # noqa: E402
from mobula.util import state  # noqa: E402

pytestmark = pytest.mark.usefixtures("node")

_SIZE = 32 << 20


class Keeper:
    def __init__(self) -> None:
        self.kept: list[Any] = []

    def keep(self, *xs: Any) -> None:
        self.kept += xs

    def keep_and_fail(self, x: Any) -> None:
        self.kept.append(x)
        raise ValueError("kept")

    def total(self) -> float:
        return float(sum(x.sum() for x in self.kept))

    def drop(self) -> None:
        self.kept.clear()

    def own_bytes(self) -> int:
        gc.collect()
        with open("/proc/self/status") as f:
            return 1024 * next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))


class AsyncKeeper(Keeper):
    async def keep(self, *xs: Any) -> None:  # type: ignore[override]
        self.kept += xs


def large() -> list[Any]:
    """Returns the large objects that the node has."""
    return [o for o in state.list_objects(limit=1000) if (o.object_size or 0) >= _SIZE // 2]


def eventually_gone() -> bool:
    deadline = time.monotonic() + 20
    while large():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def ones() -> Any:
    return np.ones(_SIZE // 8)


@pytest.mark.parametrize(("cls", "options"), [(Keeper, {}), (Keeper, {"max_concurrency": 4}), (AsyncKeeper, {})], ids=["plain", "threaded", "async"])
def test_a_kept_argument_is_no_copy_and_goes_when_it_is_dropped(cls: type[Keeper], options: dict[str, Any]) -> None:
    actor = mobula.remote(num_cpus=0)(cls).options(**options).remote()
    before = mobula.get(actor.own_bytes.remote())
    mobula.get(actor.keep.remote(ones()))
    ref = mobula.put(ones())
    mobula.get([actor.keep.remote(ref, ref) for _ in range(3)])
    del ref
    filler = [mobula.put(ones()) for _ in range(2)]  # which would be written over what is free
    assert mobula.get(actor.total.remote()) == 7 * _SIZE / 8
    assert mobula.get(actor.own_bytes.remote()) - before < _SIZE // 2
    assert len(large()) == 4
    del filler
    mobula.get(actor.drop.remote())
    assert eventually_gone()


def test_an_argument_that_only_a_view_keeps_stays() -> None:
    @mobula.remote(num_cpus=0)
    class Slices:
        def keep(self, x: Any) -> None:
            self.kept = {"middle": x[100:200].reshape(10, 10).T}

        def total(self) -> float:
            return float(self.kept["middle"].sum())

    actor = Slices.remote()
    mobula.get(actor.keep.remote(ones()))
    again = [mobula.put(ones() * 2) for _ in range(2)]
    assert mobula.get(actor.total.remote()) == 100
    del again
    mobula.get(actor.keep.remote(ones()))  # the first one goes
    assert len(large()) == 1
    mobula.kill(actor)
    assert eventually_gone()


def test_an_argument_may_be_kept_by_a_task_that_fails() -> None:
    actor = mobula.remote(num_cpus=0)(Keeper).remote()
    with pytest.raises(ValueError, match="kept"):
        mobula.get(actor.keep_and_fail.remote(ones()))
    again = mobula.put(ones() * 2)
    assert mobula.get(actor.total.remote()) == _SIZE / 8
    del again
    mobula.get(actor.drop.remote())
    assert eventually_gone()
