"""Ray's names on Mobula: ``import mobula.ray as ray``, and nothing else in the program changes.

``python -m mobula.ray script.py`` runs a program whose own imports still say ``ray``. Every name here is Mobula's own, looked up when it
is first used; a name of Ray that Mobula does not have raises an AttributeError (ModuleNotFoundError for a module) that says so.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import mobula
from mobula.ray import _hook

if TYPE_CHECKING:
    from mobula import *  # noqa: F403

# The version of Ray whose API this is: programs compare it. Mobula's own version is mobula.__version__.
__version__ = "2.60.0"
__commit__ = "mobula"

# What mode of a process is, by Ray's numbers.
SCRIPT_MODE = 0
WORKER_MODE = 1
LOCAL_MODE = 2

# Where the names live that are not on mobula's own top level.
_HOMES = {
    "ActorClassID": "mobula._refs",
    "ActorID": "mobula._refs",
    "DynamicObjectRefGenerator": "mobula._refs",
    "FunctionID": "mobula._refs",
    "JobID": "mobula._refs",
    "NodeID": "mobula._refs",
    "ObjectID": "mobula.ray._raylet",
    "ObjectRef": "mobula._refs",
    "ObjectRefGenerator": "mobula._refs",
    "PlacementGroupID": "mobula._refs",
    "TaskID": "mobula._refs",
    "UniqueID": "mobula._refs",
    "WorkerID": "mobula._refs",
    "Language": "mobula.ray._raylet",
    "LoggingConfig": "mobula.ray.job_config",
    "java_actor_class": "mobula.ray.cross_language",
    "java_function": "mobula.ray.cross_language",
    "cpp_function": "mobula.ray.cross_language",
}
_MODULES = frozenset({
    "_common", "_private", "_raylet", "actor", "cloudpickle", "cluster_utils", "cross_language", "dag", "data", "exceptions", "experimental",
    "job_config", "remote_function", "runtime_context", "runtime_env", "types", "util",
})  # fmt: skip

_hook.explain_missing()


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted({*mobula.__all__, *_HOMES, "SCRIPT_MODE", "WORKER_MODE", "__version__", "actor", "util"})
    if name == "logger":
        import logging

        return logging.getLogger("ray")
    if name == "worker":
        return importlib.import_module("mobula.ray._private.worker")
    if name in _MODULES:
        return importlib.import_module(f"mobula.ray.{name}")
    home = _HOMES.get(name)
    if home is not None:
        value = getattr(importlib.import_module(home), name)
    elif name.startswith("_") or not hasattr(mobula, name):
        raise AttributeError(_hook.missing(f"ray.{name}"), name=name)
    else:
        value = getattr(mobula, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_HOMES, *getattr(mobula, "__all__", ())})
