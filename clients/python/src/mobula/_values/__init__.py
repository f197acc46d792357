"""Values to bytes and back: what put, results and arguments are made of.

Between Python processes a value is a pickle of protocol 5 whose large parts (arrays, bytes, data frames) stay out of band,
so that they are copied once into shared memory and read there without a copy. Single plain values and numeric arrays are
written in the portable form of docs/values.md instead, which every language reads, and so is everything that is asked to
be portable. Reading takes both.

Refs inside a value are collected while it is pickled: the ref writes its number in the list of the pack that is in
progress in this thread, and looks its id up under that number when it is unpickled.

What a worker cannot import is pickled by value as cloudpickle does: lambdas, local functions and classes, all of
``__main__``, modules given to ``register_pickle_by_value``, and modules that were made without a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobula._values.kinds import deregister_serializer, is_plain_array, register_serializer
from mobula._values.packed import ERROR, ID_BYTES, MSGPACK, PICKLE5, Packed
from mobula._values.pickling import dumps, try_dumps
from mobula._values.read import split_refs, unpack, unpack_args
from mobula._values.refs import collect_ref, load_ref, many_refs_hook, ref_at, ref_hooks
from mobula._values.write import pack, pack_args, pack_definition

if TYPE_CHECKING:
    from mobula._inspect import FailureTuple as FailureTuple
    from mobula._inspect import inspect_serializability as inspect_serializability

__all__ = [
    "ERROR",
    "ID_BYTES",
    "MSGPACK",
    "PICKLE5",
    "Packed",
    "collect_ref",
    "deregister_serializer",
    "dumps",
    "is_plain_array",
    "load_ref",
    "many_refs_hook",
    "pack",
    "pack_args",
    "pack_definition",
    "ref_at",
    "ref_hooks",
    "register_serializer",
    "split_refs",
    "try_dumps",
    "unpack",
    "unpack_args",
]


def __getattr__(name: str) -> object:
    """Give what is rarely used, and imported then."""
    if name in ("FailureTuple", "inspect_serializability"):
        from mobula import _inspect

        return getattr(_inspect, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
