"""Collectives between actors, on numpy arrays and, where it is installed, torch tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mobula
from mobula.util import collective
from mobula.util.collective import ReduceOp
from mobula.util.collective.types import Backend

pytestmark = pytest.mark.usefixtures("node")


@mobula.remote(num_cpus=0)
class Rank:
    def join(self, size: int, rank: int, name: str = "default", backend: str = "gloo") -> int:
        collective.init_collective_group(size, rank, backend, name)
        return collective.get_rank(name)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Calls a collective, and returns the array (or the list of arrays) that was its first argument."""
        args = tuple(a.copy() if isinstance(a, np.ndarray) else [x.copy() for x in a] if isinstance(a, list) else a for a in args)
        result = getattr(collective, name)(*args, **kwargs)
        return result if not args or isinstance(args[0], str) else args[0]

    def leave(self, name: str = "default") -> bool:
        collective.destroy_collective_group(name)
        return collective.is_group_initialized(name)

    def exchange_pair(self, rank: int, values: list[float]) -> list[Any]:
        """Sends values to the other of two ranks one way and receives them the other way."""
        got = []
        for value in values:
            if rank == 0:
                collective.send(np.full(3, value), 1)
            else:
                target = np.zeros(3)
                collective.recv(target, 0)
                got.append(target)
        return got


def ranks(size: int, name: str = "default") -> list[Any]:
    actors = [Rank.remote() for _ in range(size)]
    assert mobula.get([a.join.remote(size, i, name) for i, a in enumerate(actors)], timeout=60) == list(range(size))
    return actors


def everywhere(actors: list[Any], name: str, arrays: list[Any], **kwargs: Any) -> list[Any]:
    return mobula.get([a.call.remote(name, x, **kwargs) for a, x in zip(actors, arrays, strict=True)], timeout=60)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("op", list(ReduceOp))
def test_allreduce_combines_on_every_rank(size: int, op: ReduceOp) -> None:
    actors = ranks(size, f"allreduce {size} {op.name}")
    arrays = [np.arange(1, 8, dtype=np.float64).reshape(7, 1) + r for r in range(size)]
    combine = {ReduceOp.SUM: np.add, ReduceOp.PRODUCT: np.multiply, ReduceOp.MIN: np.minimum, ReduceOp.MAX: np.maximum}[op]
    expected = combine.reduce(arrays)
    for result in everywhere(actors, "allreduce", arrays, group_name=f"allreduce {size} {op.name}", op=op):
        np.testing.assert_allclose(result, expected)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float32, np.float64, np.uint8])
def test_types_are_kept(dtype: Any) -> None:
    name = f"types {np.dtype(dtype).name}"
    actors = ranks(2, name)
    results = everywhere(actors, "allreduce", [np.ones((2, 3), dtype)] * 2, group_name=name)
    for result in results:
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, np.full((2, 3), 2, dtype))


def test_an_array_smaller_than_the_group_and_an_empty_one_work() -> None:
    actors = ranks(4, "small")
    for result in everywhere(actors, "allreduce", [np.array([1.0])] * 4, group_name="small"):
        assert result.tolist() == [4.0]
    for result in everywhere(actors, "allreduce", [np.array(2.5)] * 4, group_name="small"):
        assert result == 10.0
    for result in everywhere(actors, "allreduce", [np.zeros(0)] * 4, group_name="small"):
        assert result.size == 0


def test_large_arrays_go_through_the_store() -> None:
    actors = ranks(2, "large")
    for result in everywhere(actors, "allreduce", [np.ones(1_000_000), np.full(1_000_000, 2.0)], group_name="large"):
        assert result.shape == (1_000_000,) and (result == 3).all()


def test_reduce_writes_to_one_rank() -> None:
    actors = ranks(3, "reduce")
    results = everywhere(actors, "reduce", [np.full(4, float(r)) for r in range(3)], dst_rank=1, group_name="reduce")
    assert [r.tolist() for r in results] == [[0.0] * 4, [3.0] * 4, [2.0] * 4]


def test_broadcast_writes_everywhere() -> None:
    actors = ranks(3, "broadcast")
    results = everywhere(actors, "broadcast", [np.full(4, float(r)) for r in range(3)], src_rank=2, group_name="broadcast")
    assert [r.tolist() for r in results] == [[2.0] * 4] * 3


def test_allgather_and_reducescatter_move_lists() -> None:
    actors = ranks(3, "lists")
    gathered = mobula.get([a.call.remote("allgather", [np.zeros(2) for _ in range(3)], np.full(2, float(r)), "lists") for r, a in enumerate(actors)])
    for lists in gathered:
        assert [x.tolist() for x in lists] == [[0.0] * 2, [1.0] * 2, [2.0] * 2]
    scattered = mobula.get(
        [a.call.remote("reducescatter", np.zeros(2), [np.full(2, float(10 * r + i)) for i in range(3)], "lists") for r, a in enumerate(actors)]
    )
    assert [x.tolist() for x in scattered] == [[30.0] * 2, [33.0] * 2, [36.0] * 2]


def test_send_and_recv_keep_their_order() -> None:
    actors = ranks(2)
    sent, received = mobula.get([a.exchange_pair.remote(r, [1.0, 2.0, 3.0]) for r, a in enumerate(actors)], timeout=60)
    assert sent == []
    assert [x.tolist() for x in received] == [[1.0] * 3, [2.0] * 3, [3.0] * 3]
    assert mobula.get([a.leave.remote() for a in actors]) == [False, False]


def test_a_barrier_waits_for_all() -> None:
    actors = ranks(2, "barrier")
    first = actors[0].call.remote("barrier", "barrier")
    assert mobula.wait([first], timeout=0.2)[0] == []
    second = actors[1].call.remote("barrier", "barrier")
    mobula.get([first, second], timeout=60)


def test_a_group_can_be_declared_from_outside() -> None:
    actors = [Rank.remote() for _ in range(2)]
    collective.create_collective_group(actors, 2, [1, 0], "gloo", "declared")
    results = everywhere(actors, "broadcast", [np.array([5.0]), np.array([6.0])], src_rank=0, group_name="declared")
    assert [r.tolist() for r in results] == [[6.0], [6.0]]
    assert mobula.get([a.call.remote("get_rank", "declared") for a in actors]) == [1, 0]
    assert mobula.get([a.call.remote("get_collective_group_size", "declared") for a in actors]) == [2, 2]
    with pytest.raises(RuntimeError):
        collective.create_collective_group(actors, 2, [0, 1], "gloo", "declared")
    collective.destroy_collective_group("declared")


def test_two_groups_do_not_meet() -> None:
    actors = ranks(2, "one")
    mobula.get([a.join.remote(2, 1 - i, "other") for i, a in enumerate(actors)])
    refs = [a.call.remote("broadcast", np.array([float(i)]), 0, name) for name in ("one", "other") for i, a in enumerate(actors)]
    assert [r.tolist() for r in mobula.get(refs, timeout=60)] == [[0.0], [0.0], [1.0], [1.0]]


def test_arrays_that_do_not_match_are_refused() -> None:
    actors = ranks(2, "unequal")
    for pair in ([np.zeros(2), np.zeros(3)], [np.zeros(2), np.zeros(2, np.int32)]):
        for i, ref in enumerate([a.call.remote("allreduce", x, "unequal") for a, x in zip(actors, pair, strict=True)]):
            with pytest.raises(ValueError, match=f"rank {1 - i} has an array of"):
                mobula.get(ref, timeout=60)


def test_a_rank_that_does_not_come_is_named() -> None:
    @mobula.remote(num_cpus=0)
    class Impatient:
        def alone(self) -> None:
            collective.init_collective_group(3, 1, "gloo", "alone", gloo_timeout=200)
            collective.barrier("alone")

        def receive(self) -> None:
            collective.recv(np.zeros(1), 0, "alone")

    actor = Impatient.remote()
    with pytest.raises(TimeoutError, match=r"ranks \[0, 2\] did not come"):
        mobula.get(actor.alone.remote(), timeout=60)
    with pytest.raises(TimeoutError, match="rank 0 sent nothing"):
        mobula.get(actor.receive.remote(), timeout=60)


def test_what_cannot_be_is_refused() -> None:
    init = collective.init_collective_group
    for args, error in (
        ((0, 0, "gloo", "bad"), ValueError),
        ((2, 2, "gloo", "bad"), ValueError),
        ((2, -1, "gloo", "bad"), ValueError),
        ((2, 0, "nccl", "bad"), RuntimeError),
        ((2, 0, "carrier pigeon", "bad"), ValueError),
        ((2, 0, "gloo", ""), ValueError),
        ((2, 0, "gloo", "bad", 0), ValueError),
    ):
        with pytest.raises(error):
            init(*args)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="not in a group"):
        collective.allreduce(np.zeros(1), "nobody's")
    actors = [Rank.remote() for _ in range(2)]
    for size, order in ((2, [0]), (3, [0, 1, 2]), (2, [0, 2]), (2, [0, 0])):
        with pytest.raises(ValueError):
            collective.create_collective_group(actors, size, order, "gloo", "bad")
    init(1, 0, "gloo", "own")
    with pytest.raises(RuntimeError, match="already"):
        init(1, 0, "gloo", "own")
    with pytest.raises(ValueError, match="tensor"):
        collective.allreduce([1.0], "own")
    for call in (lambda: collective.send(np.zeros(1), 0, "own"), lambda: collective.recv(np.zeros(1), 0, "own")):
        with pytest.raises(RuntimeError, match="itself"):
            call()
    with pytest.raises(ValueError, match="src_rank"):
        collective.broadcast(np.zeros(1), 5, "own")
    with pytest.raises(RuntimeError):
        collective.allgather([], np.zeros(1), "own")
    collective.destroy_collective_group("own")
    assert not collective.is_group_initialized("own")
    assert collective.get_rank("own") == collective.get_collective_group_size("own") == -1


def test_a_group_of_another_size_is_refused() -> None:
    actors = [Rank.remote() for _ in range(2)]
    mobula.get(actors[0].join.remote(2, 0, "sizes"))
    with pytest.raises(ValueError, match="has 2 ranks"):
        mobula.get(actors[1].join.remote(3, 1, "sizes"))


def test_a_group_can_be_made_again_when_all_have_left() -> None:
    for _ in range(2):
        actors = ranks(2, "again")
        for result in everywhere(actors, "allreduce", [np.ones(2)] * 2, group_name="again"):
            assert result.tolist() == [2.0, 2.0]
        mobula.get([a.leave.remote("again") for a in actors])
        del actors


def test_the_backends_are_named() -> None:
    assert collective.gloo_available()
    assert not collective.nccl_available()
    assert collective.is_backend_available("gloo") and not collective.is_backend_available("nccl")
    assert Backend("GLOO") == "gloo"


def test_torch_tensors_are_combined_in_place() -> None:
    torch = pytest.importorskip("torch")

    @mobula.remote(num_cpus=0)
    class TorchRank:
        def run(self, rank: int) -> Any:
            collective.init_collective_group(2, rank, "gloo", "torch")
            tensor = torch.full((3,), float(rank + 1))
            collective.allreduce(tensor, "torch")
            return tensor.numpy()

    actors = [TorchRank.remote() for _ in range(2)]
    for result in mobula.get([a.run.remote(r) for r, a in enumerate(actors)]):
        assert result.tolist() == [3.0] * 3
