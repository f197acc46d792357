"""Ray's ``ray.util``: the names of ``mobula.util``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

from mobula.ray import _alias

if TYPE_CHECKING:
    from mobula.util import *  # noqa: F403

_SUBMODULES = frozenset({
    "accelerators", "actor_pool", "annotations", "check_serialize", "collective", "dask", "debug", "joblib", "metrics", "multiprocessing",
    "pdb", "queue", "rpdb", "scheduling_strategies", "serialization", "state",
})  # fmt: skip
_ELSEWHERE = {
    "as_completed": "mobula.ray.util.helpers",
    "deregister_serializer": "mobula.util.serialization",
    "disable_log_once_globally": "mobula.ray.util.debug",
    "enable_periodic_logging": "mobula.ray.util.debug",
    "get_node_instance_id": "mobula.ray._private.services",
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

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        # A function that is sent by value may have the package among its globals, and cloudpickle only knows plain modules.
        return importlib.import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Util
