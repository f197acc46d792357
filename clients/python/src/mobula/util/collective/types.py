"""The words of the collective interface."""

from __future__ import annotations

from enum import Enum

__all__ = ["Backend", "ReduceOp"]


class ReduceOp(Enum):
    """How arrays are combined, element by element."""

    SUM = 0
    PRODUCT = 1
    MIN = 2
    MAX = 3


class Backend:
    """How ranks reach each other. All names mean the same here: the object store of the cluster."""

    GLOO = "gloo"
    OBJECT_STORE = "object_store"
    NCCL = "nccl"

    def __new__(cls, name: str = OBJECT_STORE) -> str:  # type: ignore[misc]
        """Checks a name. Raises ``ValueError`` for one that is not known, ``RuntimeError`` for NCCL, which needs GPUs."""
        lowered = name.lower()
        if lowered == cls.NCCL:
            raise RuntimeError("NCCL is not supported: this version of Mobula has collectives on the CPU only; use 'gloo'")
        if lowered not in (cls.GLOO, cls.OBJECT_STORE, "torch_gloo"):
            raise ValueError(f"unknown backend {name!r}: use 'gloo' or 'object_store'")
        return lowered
