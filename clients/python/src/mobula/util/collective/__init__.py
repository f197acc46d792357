"""Collective communication between actors and tasks: allreduce, broadcast, allgather, reducescatter, send, recv, barrier.

Arrays are numpy arrays or torch tensors on the CPU, of the same shape and type on all ranks; results are written into the
arrays that are passed. A call returns when this rank has its result. All ranks of a group make the same calls in the same
order; a rank that does not come makes the others raise ``TimeoutError``, which names it.
"""

from mobula.util.collective.collective import (
    allgather,
    allreduce,
    barrier,
    broadcast,
    create_collective_group,
    destroy_collective_group,
    get_collective_group_size,
    get_rank,
    gloo_available,
    init_collective_group,
    is_backend_available,
    is_group_initialized,
    nccl_available,
    recv,
    reduce,
    reducescatter,
    send,
)
from mobula.util.collective.types import Backend, ReduceOp

__all__ = [
    "Backend",
    "ReduceOp",
    "allgather",
    "allreduce",
    "barrier",
    "broadcast",
    "create_collective_group",
    "destroy_collective_group",
    "get_collective_group_size",
    "get_rank",
    "gloo_available",
    "init_collective_group",
    "is_backend_available",
    "is_group_initialized",
    "nccl_available",
    "recv",
    "reduce",
    "reducescatter",
    "send",
]
