"""The rows of the state interface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = [
    "ActorState",
    "ClusterEventState",
    "DriverInfo",
    "JobState",
    "NodeState",
    "ObjectState",
    "PlacementGroupState",
    "RuntimeEnvState",
    "TaskState",
    "WorkerState",
]


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
    """An actor. ``state`` is PENDING_CREATION, ALIVE, RESTARTING or DEAD.

    ``death_cause`` says in ``["actor_died_error_context"]["error_message"]`` why it is dead.
    """

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
    death_cause: dict[str, Any] | None
    call_site: str
    start_time_ms: int
    end_time_ms: int
    repr_name: str | None = None
    required_resources: dict[str, float] | None = None
    placement_group_id: str | None = None
    serialized_runtime_env: str | None = None
    num_restarts_due_to_lineage_reconstruction: int = 0
    num_restarts_due_to_node_preemption: int = 0
    label_selector: dict[str, str] | None = None
    fallback_strategy: list[Any] | None = None


@dataclass
class TaskState(_Row):
    """A task. ``state`` is PENDING_ARGS_AVAIL, PENDING_NODE_ASSIGNMENT, RUNNING, RUNNING_IN_RAY_GET, FINISHED or FAILED.

    ``events`` are the states that it has been in, each with when that began: ``{"state": …, "created_ms": …}``.
    """

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
    runtime_env_info: dict[str, Any] | None = None
    events: list[dict[str, Any]] | None = None
    profiling_data: dict[str, Any] | None = None
    task_log_info: dict[str, Any] | None = None
    is_debugger_paused: bool | None = None
    label_selector: dict[str, str] | None = None
    fallback_strategy: list[Any] | None = None


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
    attempt_number: int | None = None


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
    """A worker process. ``exit_detail`` says how it ended.

    ``exit_type`` is INTENDED_SYSTEM_EXIT, INTENDED_USER_EXIT, USER_ERROR, SYSTEM_ERROR or NODE_OUT_OF_MEMORY.
    """

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
    worker_launch_time_ms: int | None = None
    worker_launched_time_ms: int | None = None
    debugger_port: int | None = None
    num_paused_threads: int | None = None


@dataclass
class DriverInfo(_Row):
    """The process of a job's driver."""

    id: str
    node_ip_address: str
    pid: str


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
    driver_info: DriverInfo | None = None
    type: str = "DRIVER"
    submission_id: str | None = None
    error_type: str | None = None
    metadata: dict[str, str] | None = None
    runtime_env: dict[str, Any] | None = None
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None


@dataclass
class PlacementGroupState(_Row):
    """A placement group. ``state`` is PENDING, CREATED or REMOVED."""

    placement_group_id: str
    name: str
    state: str
    strategy: str
    bundles: list[dict[str, float]]
    stats: dict[str, str]
    creator_job_id: str | None = None
    is_detached: bool | None = None


@dataclass
class RuntimeEnvState(_Row):
    """A runtime environment of a job that has not ended. ``state`` is IDLE (nothing needed it yet), BUILDING, READY or FAILED.

    ``creation_time_ms`` is how long it took to set it up, None when there was nothing to do; ``ref_cnt`` is how many workers have it.
    """

    runtime_env: dict[str, Any]
    success: bool
    creation_time_ms: float | None
    node_id: str
    ref_cnt: int | None
    error: str | None
    state: str
    job_id: str


@dataclass
class ClusterEventState(_Row):
    """Something that has happened. ``severity`` is INFO or ERROR, ``source_type`` NODE, JOB, WORKER or ACTOR; ``time`` is local."""

    severity: str
    time: str
    source_type: str
    message: str
    event_id: str
    custom_fields: dict[str, Any] | None
