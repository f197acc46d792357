"""Building blocks on top of tasks and actors."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# The function, not the module of that name: it is imported here, so that whatever imports the module later does not hide it.
from mobula.util.placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

if TYPE_CHECKING:
    from mobula._actor import list_named_actors
    from mobula._inspect import inspect_serializability
    from mobula.util.actor_pool import ActorPool
    from mobula.util.helpers import as_completed, get_node_ip_address, map_unordered
    from mobula.util.serialization import deregister_serializer, register_serializer

__all__ = [
    "ActorPool", "as_completed", "deregister_serializer", "get_current_placement_group", "get_node_ip_address", "get_placement_group",
    "inspect_serializability", "list_named_actors", "map_unordered", "placement_group", "placement_group_table", "register_serializer",
    "remove_placement_group",
]  # fmt: skip

# Where the other names live: they are imported when they are first used, so that a program pays for what it uses.
_HOME = {
    "ActorPool": "mobula.util.actor_pool",
    "as_completed": "mobula.util.helpers",
    "deregister_serializer": "mobula.util.serialization",
    "get_node_ip_address": "mobula.util.helpers",
    "inspect_serializability": "mobula._inspect",
    "list_named_actors": "mobula._actor",
    "map_unordered": "mobula.util.helpers",
    "register_serializer": "mobula.util.serialization",
}
_MODULES = frozenset({
    "actor_pool", "collective", "helpers", "joblib", "metrics", "multiprocessing", "queue", "scheduling_strategies", "serialization", "state",
})  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"mobula.util.{name}")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
