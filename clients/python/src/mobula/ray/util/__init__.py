"""Ray's ``ray.util``: the names of ``mobula.util``."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from mobula.ray import _alias

if TYPE_CHECKING:
    from mobula.util import *  # noqa: F403

_SUBMODULES = frozenset({
    "accelerators", "actor_pool", "annotations", "collective", "debug", "joblib", "metrics", "multiprocessing", "queue", "scheduling_strategies",
    "serialization", "state",
})  # fmt: skip
_ELSEWHERE = {
    "as_completed": "mobula.ray.util.helpers",
    "deregister_serializer": "mobula.util.serialization",
    "get_node_ip_address": "mobula.ray._private.services",
    "log_once": "mobula.ray.util.debug",
    "map_unordered": "mobula.ray.util.helpers",
    "placement_group": "mobula.util.placement_group",
    "register_serializer": "mobula.util.serialization",
}

_lookup = _alias.attributes(__name__, "mobula.util", _SUBMODULES, _ELSEWHERE)


class _Util(ModuleType):
    """The package itself: the name placement_group is the function of the module of that name, as in Ray, however it is imported."""

    def __getattr__(self, name: str) -> object:
        return _lookup(name)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "placement_group" and isinstance(value, ModuleType):
            value = value.placement_group
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Util
