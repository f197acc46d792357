"""The rows of the state interface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["ActorState", "JobState", "NodeState", "ObjectState", "PlacementGroupState", "TaskState", "WorkerState"]


@dataclass
class _Row:
    """A row: its columns are attributes and items. What is not known is None."""

    def __getitem__(self, column: str) -> Any:
        try:
            return getattr(self, column)
        except AttributeError:
            raise KeyError(column) from None

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))

    def get(self, column: str, default: Any = None) -> Any:
        """Returns a column, or the default when there is none of that name."""
        return getattr(self, column, default)

    def keys(self) -> list[str]:
        """Returns the names of the columns."""
        return list(self)

    def asdict(self) -> dict[str, Any]:
        """Returns the row as a dict."""
        return asdict(self)


@dataclass
class ActorState(_Row):
    """An actor. ``state`` is PENDING_CREATION, ALIVE, RESTARTING or DEAD."""

    actor_id: str
    class_name: str
    state: str
    job_id: str
    name: str
    node_id: str
    pid: int
    ray_namespace: str
    is_detached: bool
    num_restarts: int
    pending_calls: int
    death_cause: str | None
    call_site: str
    start_time_ms: int
    end_time_ms: int
    repr_name: str | None = None
    required_resources: dict[str, float] | None = None
    placement_group_id: str | None = None
    serialized_runtime_env: str | None = None


@dataclass
class TaskState(_Row):
    """A task. ``state`` is PENDING_ARGS_AVAIL, PENDING_NODE_ASSIGNMENT, RUNNING, RUNNING_IN_RAY_GET, FINISHED or FAILED."""

    task_id: str
    attempt_number: int
    name: str
    state: str
    job_id: str
    actor_id: str | None
    type: str
    func_or_class_name: str
    worker_id: str | None
    worker_pid: int | None
    missing_args: int
    creation_time_ms: int
    error_message: str | None
    call_site: str
    node_id: str | None = None
    parent_task_id: str | None = None
    error_type: str | None = None
    language: str | None = None
    required_resources: dict[str, float] | None = None
    placement_group_id: str | None = None
    start_time_ms: int | None = None
    end_time_ms: int | None = None


@dataclass
class ObjectState(_Row):
    """An object. ``object_size`` is in bytes, -1 before it is known. ``task_status`` of its task is PENDING, FINISHED or FAILED."""

    object_id: str
    object_size: int
    task_status: str
    reference_type: str
    call_site: str
    type: str
    pid: int
    job_id: str
    holds: int
    pins: int
    ip: str = "127.0.0.1"


@dataclass
class NodeState(_Row):
    """A node. ``resources_total`` maps names to quantities."""

    node_id: str
    node_ip: str
    is_head_node: bool
    state: str
    node_name: str
    resources_total: dict[str, float]
    labels: dict[str, str]
    start_time_ms: int
    end_time_ms: int
    state_message: str | None = None


@dataclass
class WorkerState(_Row):
    """A worker process. ``exit_detail`` says how it ended."""

    worker_id: str
    is_alive: bool
    worker_type: str
    state: str
    job_id: str
    pid: int
    language: str
    exit_detail: str | None
    start_time_ms: int
    end_time_ms: int
    exit_type: str | None = None
    node_id: str | None = None
    ip: str = "127.0.0.1"


@dataclass
class JobState(_Row):
    """A job, which is the work of one driver. ``start_time`` and ``end_time`` are in milliseconds."""

    job_id: str
    status: str
    entrypoint: str
    namespace: str
    language: str
    driver_pid: int
    message: str | None
    start_time: int
    end_time: int
    type: str = "DRIVER"
    submission_id: str | None = None


@dataclass
class PlacementGroupState(_Row):
    """A placement group. ``state`` is PENDING, CREATED or REMOVED."""

    placement_group_id: str
    name: str
    state: str
    strategy: str
    bundles: list[dict[str, float]]
    stats: dict[str, str]
