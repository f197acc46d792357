"""The refs inside of values: collected while a value is packed, looked up by their numbers while it is unpacked."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Any

from mobula import _msgpack
from mobula._values.kinds import KINDS, REF, arguments


class Frame:
    """The refs of one pack that is in progress."""

    __slots__ = ("ids", "owners")

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.owners: list[object] = []


class Local(threading.local):
    """What this thread is packing and unpacking, innermost."""

    packing: Frame | None = None
    unpacking: Sequence[bytes] | None = None


local = Local()


def ref_hooks(
    is_ref: type | tuple[type, ...],
    to_wire: Callable[[Any], tuple[bytes, str | None]],
    from_wire: Callable[[bytes, str | None], object],
    argument: type,
) -> None:
    """Say how refs and actor handles enter and leave values; the ref module does so when it is imported.

    `is_ref` are their classes, `argument` the one of them whose top-level arguments are resolved by the node. `to_wire`
    gives the id (20 bytes), and the class name of an actor handle; `from_wire` makes a ref, or the handle of an actor of
    that class.
    """
    hooks = _msgpack.HOOKS
    hooks.is_ref = is_ref if isinstance(is_ref, tuple) else (is_ref,)
    hooks.to_wire = to_wire
    hooks.from_wire = from_wire
    for kind in [k for k, what in KINDS.items() if what is REF]:
        del KINDS[kind]
    arguments.clear()
    arguments.append(argument)
    KINDS[argument] = REF


def many_refs_hook(many_from_wire: Callable[[Sequence[bytes]], list[Any]]) -> None:
    """Say how many refs at once enter a process, where that is cheaper than one by one."""
    _msgpack.HOOKS.many_from_wire = many_from_wire


def collect_ref(object_id: bytes, owner: object) -> int | bytes:
    """Return what a ref writes of itself: its number in the list of the pack in progress in this thread; `owner` lives until it was sent.

    Outside of a pack, as in a user's own pickle, it is the id, and this process keeps `owner` from then on: nobody knows where the
    bytes go. Where RAY_allow_out_of_band_object_ref_serialization is 0, that is refused.
    """
    frame = local.packing
    if frame is None:
        return _keep(object_id, owner)
    frame.ids.append(object_id)
    frame.owners.append(owner)
    return len(frame.ids) - 1


def _keep(object_id: bytes, owner: object) -> bytes:
    if os.environ.get("RAY_allow_out_of_band_object_ref_serialization", "1").lower() in ("0", "false"):
        from mobula.exceptions import OufOfBandObjectRefSerializationException

        raise OufOfBandObjectRefSerializationException(
            f"{type(owner).__name__} {object_id.hex()} cannot be pickled here: outside of arguments, results and put nothing "
            "would keep its object alive. Pass the ref itself to a task or actor, or get its value first."
        )
    from mobula._context import process

    process.kept[object_id] = owner
    return object_id


def ref_at(number: int | bytes) -> bytes:
    """Return the id of a ref by what it wrote of itself: its number in the value that is being unpacked in this thread, or its id."""
    if isinstance(number, bytes):
        return number
    refs = local.unpacking
    if refs is None or not 0 <= number < len(refs):
        raise pickle.UnpicklingError("a ref was unpickled outside of get and of a task's arguments; the bytes of a value are not to be kept")
    return refs[number]


def load_ref(number: int | bytes) -> object:
    """Make the ref with a number of the value that is being unpacked, or with an id; pickles of refs name this function."""
    try:
        object_id = local.unpacking[number]  # type: ignore[index]
    except (TypeError, IndexError):
        object_id = ref_at(number)  # which says what is wrong
    return _msgpack.HOOKS.from_wire(object_id, None)
