"""Ray's ``ray._raylet``, as far as programs import it: ids, refs and generators, which in Ray are made in C++."""

from __future__ import annotations

import enum

from mobula._refs import (
    ActorClassID,
    ActorID,
    BaseID,
    DynamicObjectRefGenerator,
    FunctionID,
    JobID,
    NodeID,
    ObjectRef,
    ObjectRefGenerator,
    PlacementGroupID,
    TaskID,
    UniqueID,
    WorkerID,
)

__all__ = [
    "ActorClassID",
    "ActorID",
    "BaseID",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "JobID",
    "Language",
    "NodeID",
    "OPTIMIZED",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "StreamingObjectRefGenerator",
    "TaskID",
    "UniqueID",
    "WorkerID",
]

ObjectID = ObjectRef
StreamingObjectRefGenerator = ObjectRefGenerator
# `ray microbenchmark` warns when it runs on a debug build.
OPTIMIZED = True


class Language(enum.Enum):
    """The languages that tasks are written in."""

    PYTHON = 0
    JAVA = 1
    CPP = 2
