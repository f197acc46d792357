"""How what a node says becomes rows: names of states, units, and the rows of actors and tasks."""

from __future__ import annotations

from typing import Any

from mobula._gen import state_pb2, task_pb2, value_pb2
from mobula.util.state.common import ActorState, TaskState

__all__: list[str] = []

MS = 1_000_000  # nanoseconds
_UNIT = 10_000
ACTOR_STATES = {1: "PENDING_CREATION", 2: "ALIVE", 3: "RESTARTING", 4: "DEAD"}
TASK_STATES = {
    1: "PENDING_ARGS_AVAIL", 2: "PENDING_NODE_ASSIGNMENT", 3: "RUNNING", 4: "RUNNING_IN_RAY_GET", 5: "FINISHED", 6: "FAILED",
}  # fmt: skip
OBJECT_STATES = {1: "PENDING", 2: "FINISHED", 3: "FAILED"}
TASK_TYPES = {1: "NORMAL_TASK", 2: "ACTOR_CREATION_TASK", 3: "ACTOR_TASK"}
_ERROR_TYPES = {
    value_pb2.ERROR_KIND_TASK_FAILED: "TASK_EXECUTION_EXCEPTION",
    value_pb2.ERROR_KIND_WORKER_CRASHED: "WORKER_DIED",
    value_pb2.ERROR_KIND_ACTOR_DIED: "ACTOR_DIED",
    value_pb2.ERROR_KIND_ACTOR_UNAVAILABLE: "ACTOR_UNAVAILABLE",
    value_pb2.ERROR_KIND_CANCELLED: "TASK_CANCELLED",
    value_pb2.ERROR_KIND_UNSCHEDULABLE: "TASK_UNSCHEDULABLE_ERROR",
    value_pb2.ERROR_KIND_OBJECT_LOST: "OBJECT_LOST",
    value_pb2.ERROR_KIND_NODE_LOST: "NODE_DIED",
    value_pb2.ERROR_KIND_OUT_OF_DISK: "OUT_OF_DISK_ERROR",
    value_pb2.ERROR_KIND_OUT_OF_MEMORY: "OUT_OF_MEMORY",
    value_pb2.ERROR_KIND_RUNTIME_ENV: "RUNTIME_ENV_SETUP_FAILED",
    value_pb2.ERROR_KIND_PLACEMENT_GROUP_REMOVED: "TASK_PLACEMENT_GROUP_REMOVED",
}


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def task_name(t: state_pb2.TaskInfo | state_pb2.TaskSummary) -> str:
    """Returns ``f`` of a function, ``C.__init__`` of the creation of an actor, ``C.m`` of a call of a method."""
    if t.kind == task_pb2.TEMPLATE_KIND_ACTOR:
        return f"{_short(t.function)}.__init__"
    if t.kind == task_pb2.TEMPLATE_KIND_METHOD:
        return f"{_short(t.function.rpartition('.')[0])}.{_short(t.function)}"
    return _short(t.function)


def language_name(number: int) -> str:
    """Returns the name of a language in capitals."""
    return task_pb2.Language.Name(number).removeprefix("LANGUAGE_")


def quantities(units: Any) -> dict[str, float]:
    """Returns resources by name; memory is in bytes."""
    return {name: float(amount) if name == "memory" else amount / _UNIT for name, amount in units.items()}


def actor_row(a: state_pb2.ActorInfo) -> ActorState:
    """Returns the row of an actor."""
    r = a.record
    name = _short(getattr(r, "class"))
    death = None
    if r.cause.message:
        death = {"actor_died_error_context": {
            "error_message": r.cause.message, "actor_id": r.actor_id.hex(), "class_name": name, "name": r.name, "ray_namespace": r.namespace,
            "pid": r.pid,
        }}  # fmt: skip
    return ActorState(
        actor_id=r.actor_id.hex(), class_name=name, state=ACTOR_STATES.get(r.status, "DEAD"), job_id=r.job_id.hex(), name=r.name,
        node_id=r.node.node_id.hex(), pid=r.pid, ray_namespace=r.namespace, is_detached=r.detached, num_restarts=r.restarts,
        pending_calls=a.waiting_calls + a.running_calls, death_cause=death, call_site=a.call_site,
        start_time_ms=r.created_unix_ns // MS, end_time_ms=r.ended_unix_ns // MS, required_resources=quantities(a.resources),
        placement_group_id=a.placement_group_id.hex() or None, serialized_runtime_env=a.runtime_env or "{}",
    )  # fmt: skip


def task_row(t: state_pb2.TaskInfo, here: str) -> TaskState:
    """Returns the row of a task of the node ``here``."""
    state = TASK_STATES.get(t.state, "NIL")
    events = [("PENDING_ARGS_AVAIL", t.submitted_unix_ns), ("PENDING_NODE_ASSIGNMENT", t.args_ready_unix_ns), ("RUNNING", t.begun_unix_ns)]
    events.append((state, t.ended_unix_ns))
    return TaskState(
        task_id=t.task_id.hex(), attempt_number=max(0, t.attempt - 1), name=t.name or task_name(t), state=state, job_id=t.job_id.hex(),
        actor_id=t.actor_id.hex() or None, type=TASK_TYPES.get(t.kind, "NORMAL_TASK"), func_or_class_name=task_name(t),
        worker_id=t.worker_id.hex() or None, worker_pid=t.pid or None, missing_args=t.missing_args,
        creation_time_ms=t.submitted_unix_ns // MS, start_time_ms=t.begun_unix_ns // MS or None, end_time_ms=t.ended_unix_ns // MS or None,
        error_message=t.error or None, error_type=_error_type(t), call_site=t.call_site, node_id=here if t.worker_id else None,
        parent_task_id=t.parent_task_id.hex() or None, language=language_name(t.language), required_resources=quantities(t.resources),
        placement_group_id=t.placement_group_id.hex() or None, runtime_env_info={"serialized_runtime_env": t.runtime_env or "{}"},
        events=[{"state": name, "created_ms": at / MS} for name, at in events if at],
    )  # fmt: skip


def _error_type(t: state_pb2.TaskInfo) -> str | None:
    if t.state != state_pb2.TASK_STATE_FAILED:
        return None
    return _ERROR_TYPES.get(t.error_kind) or value_pb2.ErrorKind.Name(t.error_kind).removeprefix("ERROR_KIND_")
