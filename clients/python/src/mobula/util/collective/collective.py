"""Collectives over the object store.

Every operation is made of one primitive, an exchange: each rank puts its array into the object store and gives the ref to the
group's hub, an actor, which gives the refs of all ranks to each. Data goes through shared memory and is reduced by the ranks,
each its share (reduce-scatter, then allgather, as in Rabenseifner's algorithm); the hub sees refs only.
"""

from __future__ import annotations

import asyncio
from typing import Any

import mobula
from mobula.util.collective.types import Backend, ReduceOp

__all__ = [
    "allgather", "allreduce", "barrier", "broadcast", "create_collective_group", "destroy_collective_group", "get_collective_group_size",
    "get_rank", "gloo_available", "init_collective_group", "is_backend_available", "is_group_initialized", "nccl_available", "recv",
    "reduce", "reducescatter", "send",
]  # fmt: skip

_NAMESPACE = "mobula-collective"
_TIMEOUT_MS = 120_000


class _Hub:
    """The actor where the ranks of a group meet."""

    def __init__(self, world_size: int, rank_of: dict[str, int], timeout: float) -> None:
        self._world_size = world_size
        self._timeout = timeout
        self._rank_of = rank_of  # actor id to rank, of a group that was declared from outside
        self._rounds: dict[int, tuple[dict[int, Any], asyncio.Event]] = {}
        self._left: dict[int, int] = {}
        self._mail: dict[tuple[int, int, int], asyncio.Future[Any]] = {}

    async def join(self, actor_id: str | None) -> tuple[int, float, int | None]:
        """Returns the number of ranks, how long one waits for the others in seconds, and the rank of an actor that was declared."""
        return self._world_size, self._timeout, None if actor_id is None else self._rank_of.get(actor_id)

    async def exchange(self, number: int, rank: int, item: Any, timeout: float) -> list[Any]:
        """Gives the items of all ranks for the round of that number, in the order of ranks."""
        items, complete = self._rounds.setdefault(number, ({}, asyncio.Event()))
        if rank in items:
            raise ValueError(f"rank {rank} came twice to operation {number}: two processes have the same rank")
        items[rank] = item
        if len(items) == self._world_size:
            complete.set()
        try:
            await asyncio.wait_for(complete.wait(), timeout)
        except TimeoutError:
            missing = sorted(set(range(self._world_size)) - set(items))
            raise TimeoutError(f"ranks {missing} did not come to operation {number} within {timeout:g} s") from None
        self._left[number] = self._left.get(number, 0) + 1
        if self._left[number] == self._world_size:
            del self._left[number], self._rounds[number]
        return [items[r] for r in range(self._world_size)]

    def _slot(self, key: tuple[int, int, int]) -> asyncio.Future[Any]:
        if key not in self._mail:
            self._mail[key] = asyncio.get_running_loop().create_future()
        return self._mail[key]

    async def send(self, source: int, target: int, number: int, item: Any) -> None:
        """Leaves an item for another rank."""
        self._slot((source, target, number)).set_result(item)

    async def receive(self, source: int, target: int, number: int, timeout: float) -> Any:
        """Takes the item that another rank left, or will leave."""
        key = (source, target, number)
        try:
            item = await asyncio.wait_for(asyncio.shield(self._slot(key)), timeout)
        except TimeoutError:
            raise TimeoutError(f"rank {source} sent nothing to rank {target} within {timeout:g} s") from None
        del self._mail[key]
        return item


class _Group:
    """A rank's side of a group."""

    def __init__(self, name: str, hub: Any, world_size: int, rank: int, timeout: float) -> None:
        self.name = name
        self._timeout = timeout  # seconds
        self.world_size = world_size
        self.rank = rank
        self._hub = hub
        self._rounds = 0
        self._sent: dict[int, int] = {}
        self._received: dict[int, int] = {}

    def exchange(self, value: Any) -> list[Any]:
        """Gives the values of all ranks; arrays among them are read-only views."""
        self._rounds += 1
        item = [mobula.put(value)]
        refs = mobula.get(self._hub.exchange.remote(self._rounds, self.rank, item, self._timeout))
        return list(mobula.get([ref for (ref,) in refs]))

    def send(self, value: Any, target: int) -> None:
        number = self._sent[target] = self._sent.get(target, 0) + 1
        mobula.get(self._hub.send.remote(self.rank, target, number, [mobula.put(value)]))

    def receive(self, source: int) -> Any:
        number = self._received[source] = self._received.get(source, 0) + 1
        (ref,) = mobula.get(self._hub.receive.remote(source, self.rank, number, self._timeout))
        return mobula.get(ref)

    def check_peer(self, rank: int, what: str) -> None:
        if not 0 <= rank < self.world_size:
            raise ValueError(f"{what} {rank} is not a rank of group {self.name!r}, which has {self.world_size}")


_groups: dict[str, _Group] = {}  # the groups that this process is in


def gloo_available() -> bool:
    """Reports whether collectives on the CPU work: always."""
    return True


def nccl_available() -> bool:
    """Reports whether collectives on GPUs work: not in this version."""
    return False


def is_backend_available(backend: str) -> bool:
    """Reports whether a backend of that name can be used."""
    try:
        Backend(backend)
    except (RuntimeError, ValueError):
        return False
    return True


def _hub(group_name: str, world_size: int, rank_of: dict[str, int], timeout_ms: int) -> Any:
    if timeout_ms <= 0:
        raise ValueError(f"the timeout is above 0 milliseconds, not {timeout_ms}")
    options: dict[str, Any] = {
        "name": group_name,
        "namespace": _NAMESPACE,
        "get_if_exists": True,
        "num_cpus": 0,
        "max_concurrency": 4 * world_size + 16,
    }
    return mobula.remote(_Hub).options(**options).remote(world_size, rank_of, timeout_ms / 1000)


def _check_size(world_size: int) -> None:
    if world_size <= 0:
        raise ValueError(f"a group has at least one rank, not {world_size}")


def init_collective_group(
    world_size: int, rank: int, backend: str = Backend.GLOO, group_name: str = "default", gloo_timeout: int = _TIMEOUT_MS
) -> None:
    """Makes the calling process one rank of a group; all ranks call it.

    ``gloo_timeout`` is how long a rank waits for the others in an operation, in milliseconds; that of the first rank counts.

    Raises ``ValueError`` for a rank that cannot be, ``RuntimeError`` when the process is in a group of that name.
    """
    Backend(backend)
    if not group_name:
        raise ValueError("the group needs a name")
    _check_size(world_size)
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not between 0 and {world_size - 1}")
    if group_name in _groups:
        raise RuntimeError(f"this process is in a group {group_name!r} already")
    hub = _hub(group_name, world_size, {}, gloo_timeout)
    size, timeout, _ = mobula.get(hub.join.remote(None))
    if size != world_size:
        raise ValueError(f"group {group_name!r} has {size} ranks, not {world_size}")
    _groups[group_name] = _Group(group_name, hub, world_size, rank, timeout)


_declared: dict[str, Any] = {}  # hubs of groups that this process declared: the handle keeps the hub alive


def create_collective_group(
    actors: list[Any],
    world_size: int,
    ranks: list[int],
    backend: str = Backend.GLOO,
    group_name: str = "default",
    gloo_timeout: int = _TIMEOUT_MS,
) -> None:
    """Declares a group of actors from outside; each actor joins it with its first operation."""
    Backend(backend)
    _check_size(world_size)
    if len(actors) != len(ranks) or len(actors) != world_size:
        raise ValueError(f"{len(actors)} actors, {len(ranks)} ranks and a group of {world_size} do not fit together")
    if sorted(ranks) != list(range(world_size)):
        raise ValueError(f"ranks are a permutation of 0 to {world_size - 1}, not {ranks}")
    if group_name in _declared:
        raise RuntimeError(f"group {group_name!r} is declared already")
    rank_of = {actor._actor_id.hex(): rank for actor, rank in zip(actors, ranks, strict=True)}
    hub = _hub(group_name, world_size, rank_of, gloo_timeout)
    mobula.get(hub.join.remote(None))
    _declared[group_name] = hub


def _group(group_name: str) -> _Group:
    """Returns the group of that name, joining one that was declared for this actor."""
    group = _groups.get(group_name)
    if group is not None:
        return group
    actor_id = mobula.get_runtime_context().get_actor_id()
    if actor_id is not None:
        try:
            hub = mobula.get_actor(group_name, namespace=_NAMESPACE)
        except ValueError:
            hub = None
        if hub is not None:
            size, timeout, rank = mobula.get(hub.join.remote(actor_id))
            if rank is not None:
                group = _groups[group_name] = _Group(group_name, hub, size, rank, timeout)
                return group
    raise RuntimeError(f"this process is not in a group {group_name!r}: call init_collective_group first")


def is_group_initialized(group_name: str = "default") -> bool:
    """Reports whether this process is in the group."""
    return group_name in _groups


def destroy_collective_group(group_name: str = "default") -> None:
    """Leaves a group, or forgets one that was declared. The hub ends with the last that knows it."""
    _groups.pop(group_name, None)
    _declared.pop(group_name, None)


def get_rank(group_name: str = "default") -> int:
    """Returns this process's rank, -1 when it is not in the group."""
    try:
        return _group(group_name).rank
    except RuntimeError:
        return -1


def get_collective_group_size(group_name: str = "default") -> int:
    """Returns the number of ranks, -1 when this process is not in the group."""
    try:
        return _group(group_name).world_size
    except RuntimeError:
        return -1


def _array(tensor: Any) -> Any:
    """Returns the numpy array that shares a tensor's memory."""
    import numpy as np

    if isinstance(tensor, np.ndarray):
        return tensor
    if type(tensor).__module__.split(".")[0] == "torch":
        if tensor.device.type != "cpu":
            raise ValueError("this version of Mobula has collectives on the CPU only: move the tensor with .cpu()")
        return tensor.detach().numpy()
    raise ValueError(f"a tensor is a numpy array or a torch tensor, not a {type(tensor).__name__}")


def _combine(op: ReduceOp, arrays: list[Any], out: Any) -> None:
    """Writes the arrays' combination to out."""
    import numpy as np

    ufunc = {ReduceOp.SUM: np.add, ReduceOp.PRODUCT: np.multiply, ReduceOp.MIN: np.minimum, ReduceOp.MAX: np.maximum}[op]
    np.copyto(out, arrays[0])
    for array in arrays[1:]:
        ufunc(out, array, out=out)


def _same(arrays: list[Any], like: Any) -> None:
    for rank, array in enumerate(arrays):
        if array.shape != like.shape or array.dtype != like.dtype:
            raise ValueError(f"rank {rank} has an array of {array.dtype} {array.shape}, this one of {like.dtype} {like.shape}: they must be the same")


def allreduce(tensor: Any, group_name: str = "default", op: ReduceOp = ReduceOp.SUM) -> None:
    """Replaces the tensor on every rank by the combination of all."""
    import numpy as np

    group, array = _group(group_name), _array(tensor)
    arrays = group.exchange(array)
    _same(arrays, array)
    if group.world_size == 1:
        return
    bounds = np.linspace(0, array.size, group.world_size + 1).astype(int)
    own = slice(bounds[group.rank], bounds[group.rank + 1])
    share = np.empty(own.stop - own.start, array.dtype)
    _combine(op, [a.reshape(-1)[own] for a in arrays], share)
    shares = group.exchange(share)
    np.copyto(array, np.concatenate(shares).reshape(array.shape))


def reduce(tensor: Any, dst_rank: int = 0, group_name: str = "default", op: ReduceOp = ReduceOp.SUM) -> None:
    """Replaces the tensor on one rank by the combination of all."""
    group, array = _group(group_name), _array(tensor)
    group.check_peer(dst_rank, "dst_rank")
    arrays = group.exchange(array)
    if group.rank == dst_rank:
        _same(arrays, array)
        _combine(op, [a.copy() if i == group.rank else a for i, a in enumerate(arrays)], array)


def broadcast(tensor: Any, src_rank: int = 0, group_name: str = "default") -> None:
    """Replaces the tensor on every rank by that of one."""
    import numpy as np

    group, array = _group(group_name), _array(tensor)
    group.check_peer(src_rank, "src_rank")
    source = group.exchange(array if group.rank == src_rank else None)[src_rank]
    _same([source], array)
    if group.rank != src_rank:
        np.copyto(array, source)


def allgather(tensor_list: list[Any], tensor: Any, group_name: str = "default") -> None:
    """Writes the tensors of all ranks to the list, in the order of ranks."""
    import numpy as np

    group, array = _group(group_name), _array(tensor)
    if len(tensor_list) != group.world_size:
        raise RuntimeError(f"the list has {len(tensor_list)} tensors, the group {group.world_size} ranks")
    for target, source in zip(tensor_list, group.exchange(array), strict=True):
        into = _array(target)
        _same([source], into)
        np.copyto(into, source)


def reducescatter(tensor: Any, tensor_list: list[Any], group_name: str = "default", op: ReduceOp = ReduceOp.SUM) -> None:
    """Writes to the tensor of rank r the combination of the tensors number r of all ranks' lists."""
    group, array = _group(group_name), _array(tensor)
    if len(tensor_list) != group.world_size:
        raise RuntimeError(f"the list has {len(tensor_list)} tensors, the group {group.world_size} ranks")
    lists = group.exchange([_array(t) for t in tensor_list])
    arrays = [arrays[group.rank] for arrays in lists]
    _same(arrays, array)
    _combine(op, arrays, array)


def barrier(group_name: str = "default") -> None:
    """Waits until all ranks have come."""
    _group(group_name).exchange(None)


def send(tensor: Any, dst_rank: int, group_name: str = "default") -> None:
    """Sends the tensor to another rank; it may be changed when this returns."""
    group, array = _group(group_name), _array(tensor)
    group.check_peer(dst_rank, "dst_rank")
    if dst_rank == group.rank:
        raise RuntimeError(f"rank {dst_rank} cannot send to itself")
    group.send(array, dst_rank)


def recv(tensor: Any, src_rank: int, group_name: str = "default") -> None:
    """Replaces the tensor by the next one that another rank sends."""
    import numpy as np

    group, array = _group(group_name), _array(tensor)
    group.check_peer(src_rank, "src_rank")
    if src_rank == group.rank:
        raise RuntimeError(f"rank {src_rank} cannot receive from itself")
    source = group.receive(src_rank)
    _same([source], array)
    np.copyto(array, source)
