"""The lists and summaries, read from the node through the session."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mobula import _context
from mobula._gen import controlplane_pb2, session_pb2, state_pb2, task_pb2
from mobula._session import GetTimeout
from mobula.util.state.common import (
    ActorState,
    JobState,
    NodeState,
    ObjectState,
    PlacementGroupState,
    TaskState,
    WorkerState,
    _Row,
)
from mobula.util.state.exception import StateApiException

__all__ = [
    "get_actor",
    "get_job",
    "get_node",
    "get_objects",
    "get_placement_group",
    "get_task",
    "get_worker",
    "list_actors",
    "list_jobs",
    "list_nodes",
    "list_objects",
    "list_placement_groups",
    "list_tasks",
    "list_workers",
    "summarize_actors",
    "summarize_objects",
    "summarize_tasks",
]

R = TypeVar("R", bound=_Row)
Filter = tuple[str, str, Any]

_LIMIT = 100
_LIMIT_MAX = 10_000
_MS = 1_000_000  # nanoseconds
_UNIT = 10_000
_ACTOR_STATES = {1: "PENDING_CREATION", 2: "ALIVE", 3: "RESTARTING", 4: "DEAD"}
_TASK_STATES = {
    1: "PENDING_ARGS_AVAIL", 2: "PENDING_NODE_ASSIGNMENT", 3: "RUNNING", 4: "RUNNING_IN_RAY_GET", 5: "FINISHED", 6: "FAILED",
}  # fmt: skip
_OBJECT_STATES = {1: "PENDING", 2: "FINISHED", 3: "FAILED"}
_TASK_TYPES = {1: "NORMAL_TASK", 2: "ACTOR_CREATION_TASK", 3: "ACTOR_TASK"}


def _call(method: str, request: Any, response: Any, timeout: float) -> Any:
    query = session_pb2.Query(state=session_pb2.StateCall(method=method, request=request.SerializeToString()))
    try:
        reply = _context.session().query(query, timeout=timeout)
    except GetTimeout:
        raise StateApiException(f"the node did not answer {method} within {timeout:g} s") from None
    if reply.HasField("error"):
        raise StateApiException(reply.error.message)
    response.ParseFromString(reply.state)
    return response


def _ask_for(filters: Sequence[Filter] | None, limit: int) -> int:
    """Returns how many rows to ask the node for: filters are applied here, to all that there is."""
    return _LIMIT_MAX if filters else limit


def _keep(rows: list[R], kind: type[R], filters: Sequence[Filter] | None, limit: int) -> list[R]:
    for name, operator, value in filters or ():
        if name not in kind.__dataclass_fields__:
            raise ValueError(f"{kind.__name__} has no column {name!r}: it has {', '.join(kind.__dataclass_fields__)}")
        if operator not in ("=", "!="):
            raise ValueError(f"a filter compares with '=' or '!=', not {operator!r}")
        rows = [row for row in rows if _equal(row[name], value) == (operator == "=")]
    return rows[:limit]


def _equal(have: Any, want: Any) -> bool:
    if isinstance(have, str) and isinstance(want, str):
        return have.lower() == want.lower()
    return bool(have == want) or str(have).lower() == str(want).lower()


def _check(address: str | None, limit: int) -> None:
    if address not in (None, "auto"):
        raise ValueError("the state is that of the cluster to which this program is connected: leave address out")
    if not 0 < limit <= _LIMIT_MAX:
        raise ValueError(f"limit is between 1 and {_LIMIT_MAX}, not {limit}")


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _task_name(t: state_pb2.TaskInfo) -> str:
    """Returns ``f`` of a function, ``C.__init__`` of the creation of an actor, ``C.m`` of a call of a method."""
    if t.kind == task_pb2.TEMPLATE_KIND_ACTOR:
        return f"{_short(t.function)}.__init__"
    if t.kind == task_pb2.TEMPLATE_KIND_METHOD:
        return f"{_short(t.function.rpartition('.')[0])}.{_short(t.function)}"
    return _short(t.function)


def _language(number: int) -> str:
    return task_pb2.Language.Name(number).removeprefix("LANGUAGE_")


def list_actors(
    address: str | None = None, filters: Sequence[Filter] | None = None, limit: int = _LIMIT, timeout: float = 30, **_: Any
) -> list[ActorState]:
    """Lists actors, also those that ended not long ago."""
    _check(address, limit)
    found = _call("ListActors", state_pb2.ListActorsRequest(limit=_ask_for(filters, limit)), state_pb2.ListActorsResponse(), timeout)
    rows = []
    for a in found.actors:
        r = a.record
        rows.append(ActorState(
            actor_id=r.actor_id.hex(), class_name=_short(getattr(r, "class")),
            state=_ACTOR_STATES.get(r.status, "DEAD"), job_id=r.job_id.hex(), name=r.name, node_id=r.node.node_id.hex(), pid=r.pid,
            ray_namespace=r.namespace, is_detached=r.detached, num_restarts=r.restarts, pending_calls=a.waiting_calls + a.running_calls,
            death_cause=r.cause.message or None, call_site=a.call_site, start_time_ms=r.created_unix_ns // _MS,
            end_time_ms=r.ended_unix_ns // _MS,
        ))  # fmt: skip
    return _keep(rows, ActorState, filters, limit)


def list_tasks(
    address: str | None = None, filters: Sequence[Filter] | None = None, limit: int = _LIMIT, timeout: float = 30, **_: Any
) -> list[TaskState]:
    """Lists tasks that have not ended, and the last 10,000 that have."""
    _check(address, limit)
    found = _call("ListTasks", state_pb2.ListTasksRequest(limit=_ask_for(filters, limit)), state_pb2.ListTasksResponse(), timeout)
    here = _context.session().node_id.hex()
    rows = [
        TaskState(
            task_id=t.task_id.hex(), attempt_number=max(0, t.attempt - 1), name=t.name or _task_name(t),
            state=_TASK_STATES.get(t.state, "NIL"), job_id=t.job_id.hex(), actor_id=t.actor_id.hex() or None,
            type=_TASK_TYPES.get(t.kind, "NORMAL_TASK"), func_or_class_name=_task_name(t), worker_id=t.worker_id.hex() or None,
            worker_pid=t.pid or None, missing_args=t.missing_args, creation_time_ms=t.submitted_unix_ns // _MS,
            start_time_ms=t.begun_unix_ns // _MS or None, end_time_ms=t.ended_unix_ns // _MS or None,
            error_message=t.error or None, call_site=t.call_site,
            node_id=here if t.worker_id else None,
        )
        for t in found.tasks
    ]  # fmt: skip
    return _keep(rows, TaskState, filters, limit)


def list_objects(
    address: str | None = None, filters: Sequence[Filter] | None = None, limit: int = _LIMIT, timeout: float = 30, **_: Any
) -> list[ObjectState]:
    """Lists objects, the largest first."""
    _check(address, limit)
    found = _call("ListObjects", state_pb2.ListObjectsRequest(limit=_ask_for(filters, limit)), state_pb2.ListObjectsResponse(), timeout)
    rows = [
        ObjectState(
            object_id=o.object_id.hex(), object_size=o.size_bytes if o.state != state_pb2.OBJECT_STATE_PENDING else -1,
            task_status=_OBJECT_STATES.get(o.state, "NIL"),
            reference_type="PINNED_IN_MEMORY" if o.pins else "LOCAL_REFERENCE", call_site=o.call_site,
            type="WORKER" if o.holders and o.holders[0].worker else "DRIVER", pid=o.holders[0].pid if o.holders else 0,
            job_id=o.job_id.hex(), holds=sum(h.holds for h in o.holders) + o.internal_holds, pins=o.pins,
        )
        for o in found.objects
    ]  # fmt: skip
    return _keep(rows, ObjectState, filters, limit)


def list_nodes(
    address: str | None = None, filters: Sequence[Filter] | None = None, limit: int = _LIMIT, timeout: float = 30, **_: Any
) -> list[NodeState]:
    """Lists nodes, also those that have ended."""
    _check(address, limit)
    found = _call("ListNodes", state_pb2.ListNodesRequest(limit=_ask_for(filters, limit)), state_pb2.ListNodesResponse(), timeout)
    rows = []
    for n in found.nodes:
        r = n.record
        ended = r.status not in (controlplane_pb2.NODE_STATUS_ALIVE, controlplane_pb2.NODE_STATUS_DRAINING)
        rows.append(NodeState(
            node_id=r.ref.node_id.hex(), node_ip="127.0.0.1", is_head_node=True, state="DEAD" if ended else "ALIVE", node_name=r.hostname,
            resources_total={u.name: float(u.total) if u.name == "memory" else u.total / _UNIT for u in n.resources if u.total},
            labels={label.name: label.value for label in r.labels}, start_time_ms=r.registered_unix_ns // _MS,
            end_time_ms=r.ended_unix_ns // _MS,
        ))  # fmt: skip
    return _keep(rows, NodeState, filters, limit)


def list_workers(
    address: str | None = None, filters: Sequence[Filter] | None = None, limit: int = _LIMIT, timeout: float = 30, **_: Any
) -> list[WorkerState]:
    """Lists worker processes, also those that ended not long ago."""
    _check(address, limit)
    found = _call("ListWorkers", state_pb2.ListWorkersRequest(limit=_ask_for(filters, limit)), state_pb2.ListWorkersResponse(), timeout)
    here = _context.session().node_id.hex()
    rows = [
        WorkerState(
            worker_id=w.worker_id.hex(), is_alive=w.state != state_pb2.WORKER_STATE_ENDED, worker_type="WORKER",
            state=state_pb2.WorkerState.Name(w.state).removeprefix("WORKER_STATE_"), job_id=w.job_id.hex(), pid=w.pid,
            language=_language(w.language), exit_detail=w.exit or None, start_time_ms=w.started_unix_ns // _MS,
            end_time_ms=w.ended_unix_ns // _MS, node_id=here,
        )
        for w in found.workers
    ]  # fmt: skip
    return _keep(rows, WorkerState, filters, limit)


def list_jobs(
    address: str | None = None, filters: Sequence[Filter] | None = None, limit: int = _LIMIT, timeout: float = 30, **_: Any
) -> list[JobState]:
    """Lists jobs, also those that have ended."""
    _check(address, limit)
    found = _call("ListJobs", state_pb2.ListJobsRequest(limit=_ask_for(filters, limit)), state_pb2.ListJobsResponse(), timeout)
    rows = [
        JobState(
            job_id=j.record.job_id.hex(), status=controlplane_pb2.JobStatus.Name(j.record.status).removeprefix("JOB_STATUS_"),
            entrypoint=j.record.program, namespace=j.record.namespace, language=_language(j.record.language), driver_pid=j.record.pid,
            message=j.record.cause.message or None, start_time=j.record.started_unix_ns // _MS, end_time=j.record.ended_unix_ns // _MS,
        )
        for j in found.jobs
    ]  # fmt: skip
    return _keep(rows, JobState, filters, limit)


def list_placement_groups(
    address: str | None = None, filters: Sequence[Filter] | None = None, limit: int = _LIMIT, timeout: float = 30, **_: Any
) -> list[PlacementGroupState]:
    """Lists the placement groups of this job."""
    from mobula.util.placement_group import placement_group_table

    del timeout
    _check(address, limit)
    rows = [
        PlacementGroupState(
            placement_group_id=table["placement_group_id"], name=table["name"], state=table["state"], strategy=table["strategy"],
            bundles=list(table["bundles"].values()), stats=table["stats"],
        )
        for table in placement_group_table().values()
    ]  # fmt: skip
    return _keep(rows, PlacementGroupState, filters, limit)


def _one(rows: Callable[..., list[R]], column: str, id: str, address: str | None, timeout: float) -> R | None:
    found = rows(address=address, filters=[(column, "=", id)], limit=_LIMIT_MAX, timeout=timeout)
    return found[0] if found else None


def get_actor(id: str, address: str | None = None, timeout: float = 30, **_: Any) -> ActorState | None:
    """Returns the actor of that id, or None."""
    return _one(list_actors, "actor_id", id, address, timeout)


def get_task(id: Any, address: str | None = None, timeout: float = 30, **_: Any) -> TaskState | None:
    """Returns the task of that id, or that makes the object of a ref; or None."""
    text = id if isinstance(id, str) else id.task_id().hex()
    return _one(list_tasks, "task_id", text, address, timeout)


def get_node(id: str, address: str | None = None, timeout: float = 30, **_: Any) -> NodeState | None:
    """Returns the node of that id, or None."""
    return _one(list_nodes, "node_id", id, address, timeout)


def get_worker(id: str, address: str | None = None, timeout: float = 30, **_: Any) -> WorkerState | None:
    """Returns the worker of that id, or None."""
    return _one(list_workers, "worker_id", id, address, timeout)


def get_job(id: str, address: str | None = None, timeout: float = 30, **_: Any) -> JobState | None:
    """Returns the job of that id, or None."""
    return _one(list_jobs, "job_id", id, address, timeout)


def get_placement_group(id: str, address: str | None = None, timeout: float = 30, **_: Any) -> PlacementGroupState | None:
    """Returns the placement group of that id, or None."""
    return _one(list_placement_groups, "placement_group_id", id, address, timeout)


def get_objects(id: str, address: str | None = None, timeout: float = 30, **_: Any) -> list[ObjectState]:
    """Returns the object of that id, as a list of at most one row."""
    return list_objects(address=address, filters=[("object_id", "=", id)], limit=_LIMIT_MAX, timeout=timeout)


def summarize_tasks(address: str | None = None, timeout: float = 30, **_: Any) -> dict[str, Any]:
    """Counts tasks by function and state."""
    rows = list_tasks(address=address, limit=_LIMIT_MAX, timeout=timeout)
    summary: dict[str, Any] = {}
    for row in rows:
        entry = summary.setdefault(
            row.func_or_class_name, {"func_or_class_name": row.func_or_class_name, "type": row.type, "state_counts": Counter()}
        )
        entry["state_counts"][row.state] += 1
    kinds = Counter(row.type for row in rows)
    return {"cluster": {
        "summary": summary, "total_tasks": kinds["NORMAL_TASK"], "total_actor_tasks": kinds["ACTOR_TASK"],
        "total_actor_scheduled": kinds["ACTOR_CREATION_TASK"], "summary_by": "func_name",
    }}  # fmt: skip


def summarize_actors(address: str | None = None, timeout: float = 30, **_: Any) -> dict[str, Any]:
    """Counts actors by class and state."""
    rows = list_actors(address=address, limit=_LIMIT_MAX, timeout=timeout)
    summary: dict[str, Any] = {}
    for row in rows:
        summary.setdefault(row.class_name, {"class_name": row.class_name, "state_counts": Counter()})["state_counts"][row.state] += 1
    return {"cluster": {"summary": summary, "total_actors": len(rows), "summary_by": "class"}}


def summarize_objects(address: str | None = None, timeout: float = 30, **_: Any) -> dict[str, Any]:
    """Counts objects and their bytes by the place in the source that made them."""
    rows = list_objects(address=address, limit=_LIMIT_MAX, timeout=timeout)
    by_site: dict[str, list[ObjectState]] = defaultdict(list)
    for row in rows:
        by_site[row.call_site or "unknown"].append(row)
    summary = {
        site: {
            "total_objects": len(some), "total_size_mb": sum(max(0, o.object_size) for o in some) / 1e6,
            "task_state_counts": Counter(o.task_status for o in some), "ref_type_counts": Counter(o.reference_type for o in some),
        }
        for site, some in by_site.items()
    }  # fmt: skip
    return {"cluster": {
        "summary": summary, "total_objects": len(rows), "total_size_mb": sum(max(0, o.object_size) for o in rows) / 1e6,
        "callsite_enabled": True, "summary_by": "callsite",
    }}  # fmt: skip
