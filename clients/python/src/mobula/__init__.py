"""Mobula: distributed tasks, actors and objects, with the API of Ray's core.

```python
import mobula


@mobula.remote
def f(x):
    return x * x


mobula.get([f.remote(i) for i in range(4)])
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mobula._actor import ActorClass, ActorHandle, ActorMethod, exit_actor, get_actor, list_named_actors
from mobula._api import cancel, get, kill, put, wait
from mobula._cluster import available_resources, cluster_resources, nodes, timeline
from mobula._context import get_gpu_ids, get_runtime_context
from mobula._decorator import go_actor, go_function, remote
from mobula._init import Context, init, is_initialized, shutdown
from mobula._method import Actor, method
from mobula._refs import (
    ActorID,
    DynamicObjectRefGenerator,
    JobID,
    NodeID,
    ObjectRef,
    ObjectRefGenerator,
    PlacementGroupID,
    TaskID,
    UniqueID,
    WorkerID,
)
from mobula._version import __version__

if TYPE_CHECKING:
    from mobula import dag as dag
    from mobula import exceptions as exceptions
    from mobula import util as util
    from mobula._typing import RemoteFunction
else:
    from mobula._remote import RemoteFunction

__all__ = [
    "Actor",
    "ActorClass",
    "ActorHandle",
    "ActorID",
    "ActorMethod",
    "Context",
    "DynamicObjectRefGenerator",
    "JobID",
    "NodeID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "RemoteFunction",
    "TaskID",
    "UniqueID",
    "WorkerID",
    "__version__",
    "available_resources",
    "cancel",
    "cluster_resources",
    "dag",
    "exceptions",
    "exit_actor",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "go_actor",
    "go_function",
    "init",
    "is_initialized",
    "kill",
    "list_named_actors",
    "method",
    "nodes",
    "put",
    "remote",
    "shutdown",
    "timeline",
    "util",
    "wait",
]


def __getattr__(name: str) -> Any:
    if name in ("dag", "exceptions", "util"):  # imported when they are first used
        import importlib

        return importlib.import_module(f"mobula.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
