"""The lists and summaries, read from the node through the session."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from mobula import _context
from mobula._cluster import own_address
from mobula._gen import controlplane_pb2, state_pb2
from mobula.util.state.common import (
    ActorState,
    ClusterEventState,
    DriverInfo,
    JobState,
    NodeState,
    ObjectState,
    PlacementGroupState,
    RuntimeEnvState,
    TaskState,
    WorkerState,
)
from mobula.util.state.exception import StateApiException
from mobula.util.state.logs import get_log, list_logs
from mobula.util.state.query import LIMIT, LIMIT_MAX, Filter, Listing, R, call, check_address, parse_id
from mobula.util.state.rows import (
    ACTOR_STATES,
    MS,
    OBJECT_STATES,
    TASK_STATES,
    TASK_TYPES,
    actor_row,
    language_name,
    quantities,
    task_name,
    task_row,
)

__all__ = [
    "get_actor",
    "get_job",
    "get_log",
    "get_node",
    "get_objects",
    "get_placement_group",
    "get_task",
    "get_worker",
    "list_actors",
    "list_cluster_events",
    "list_jobs",
    "list_logs",
    "list_nodes",
    "list_objects",
    "list_placement_groups",
    "list_runtime_envs",
    "list_tasks",
    "list_workers",
    "summarize_actors",
    "summarize_objects",
    "summarize_tasks",
]


def list_actors(
    address: str | None = None,
    filters: Sequence[Filter] | None = None,
    limit: int = LIMIT,
    timeout: float = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ActorState]:
    """Lists actors, also those that ended not long ago."""
    listing = Listing(address, filters, limit, timeout, raise_on_missing_output)
    found = listing.ask("ListActors", "actors", ("actor_id", "job_id"), ("status", ACTOR_STATES))
    return listing.keep([actor_row(a) for a in found], ActorState)


def list_tasks(
    address: str | None = None,
    filters: Sequence[Filter] | None = None,
    limit: int = LIMIT,
    timeout: float = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[TaskState]:
    """Lists tasks that have not ended, and the last 10,000 that have. All columns are there, also without ``detail``."""
    listing = Listing(address, filters, limit, timeout, raise_on_missing_output)
    here = _context.session().node_id.hex()
    found = listing.ask("ListTasks", "tasks", ("task_id", "job_id"), ("state", TASK_STATES))
    return listing.keep([task_row(t, here) for t in found], TaskState)


def list_objects(
    address: str | None = None,
    filters: Sequence[Filter] | None = None,
    limit: int = LIMIT,
    timeout: float = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ObjectState]:
    """Lists objects, the largest first."""
    listing = Listing(address, filters, limit, timeout, raise_on_missing_output)
    ip = own_address()
    rows = [
        ObjectState(
            object_id=o.object_id.hex(), object_size=o.size_bytes if o.state != state_pb2.OBJECT_STATE_PENDING else -1,
            task_status=OBJECT_STATES.get(o.state, "NIL"),
            reference_type="PINNED_IN_MEMORY" if o.pins else "LOCAL_REFERENCE", call_site=o.call_site,
            type="WORKER" if o.holders and o.holders[0].worker else "DRIVER", pid=o.holders[0].pid if o.holders else 0,
            job_id=o.job_id.hex(), holds=sum(h.holds for h in o.holders) + o.internal_holds, pins=o.pins, ip=ip,
        )
        for o in listing.ask("ListObjects", "objects", ("object_id", "job_id"))
    ]  # fmt: skip
    return listing.keep(rows, ObjectState)


def list_nodes(
    address: str | None = None,
    filters: Sequence[Filter] | None = None,
    limit: int = LIMIT,
    timeout: float = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[NodeState]:
    """Lists nodes, also those that have ended."""
    listing = Listing(address, filters, limit, timeout, raise_on_missing_output)
    rows = []
    for n in listing.ask("ListNodes", "nodes"):
        r = n.record
        ended = r.status not in (controlplane_pb2.NODE_STATUS_ALIVE, controlplane_pb2.NODE_STATUS_DRAINING)
        rows.append(NodeState(
            node_id=r.ref.node_id.hex(), node_ip=own_address(), is_head_node=True, state="DEAD" if ended else "ALIVE", node_name=r.hostname,
            resources_total=quantities({u.name: u.total for u in n.resources if u.total}),
            labels={label.name: label.value for label in r.labels}, start_time_ms=r.registered_unix_ns // MS,
            end_time_ms=r.ended_unix_ns // MS, state_message=r.cause.message or r.drain_reason or None,
        ))  # fmt: skip
    return listing.keep(rows, NodeState)


def list_workers(
    address: str | None = None,
    filters: Sequence[Filter] | None = None,
    limit: int = LIMIT,
    timeout: float = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[WorkerState]:
    """Lists worker processes, also those that ended not long ago."""
    listing = Listing(address, filters, limit, timeout, raise_on_missing_output)
    here = _context.session().node_id.hex()
    ip = own_address()
    rows = [
        WorkerState(
            worker_id=w.worker_id.hex(), is_alive=w.state != state_pb2.WORKER_STATE_ENDED, worker_type="WORKER",
            state=state_pb2.WorkerState.Name(w.state).removeprefix("WORKER_STATE_"), job_id=w.job_id.hex(), pid=w.pid,
            language=language_name(w.language), exit_detail=w.exit or None, start_time_ms=w.started_unix_ns // MS,
            end_time_ms=w.ended_unix_ns // MS, node_id=here, ip=ip,
            exit_type=state_pb2.ExitType.Name(w.exit_type).removeprefix("EXIT_TYPE_") if w.exit_type else None,
        )
        for w in listing.ask("ListWorkers", "workers", ("worker_id", "job_id"))
    ]  # fmt: skip
    return listing.keep(rows, WorkerState)


def list_jobs(
    address: str | None = None,
    filters: Sequence[Filter] | None = None,
    limit: int = LIMIT,
    timeout: float = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[JobState]:
    """Lists jobs, also those that have ended."""
    listing = Listing(address, filters, limit, timeout, raise_on_missing_output)
    rows = [
        JobState(
            job_id=j.record.job_id.hex(), status=controlplane_pb2.JobStatus.Name(j.record.status).removeprefix("JOB_STATUS_"),
            entrypoint=j.record.program, namespace=j.record.namespace, language=language_name(j.record.language), driver_pid=j.record.pid,
            message=j.record.cause.message or None, start_time=j.record.started_unix_ns // MS, end_time=j.record.ended_unix_ns // MS,
            driver_info=DriverInfo(id=j.record.job_id.hex(), node_ip_address=own_address(), pid=str(j.record.pid)),
            driver_node_id=j.record.node.node_id.hex() or None,
        )
        for j in listing.ask("ListJobs", "jobs")
    ]  # fmt: skip
    return listing.keep(rows, JobState)


def list_placement_groups(
    address: str | None = None,
    filters: Sequence[Filter] | None = None,
    limit: int = LIMIT,
    timeout: float = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[PlacementGroupState]:
    """Lists the placement groups of this job."""
    from mobula.util.placement_group import placement_group_table

    listing = Listing(address, filters, limit, timeout, raise_on_missing_output)
    rows = [
        PlacementGroupState(
            placement_group_id=table["placement_group_id"], name=table["name"], state=table["state"], strategy=table["strategy"],
            bundles=list(table["bundles"].values()), stats=table["stats"],
        )
        for table in placement_group_table().values()
    ]  # fmt: skip
    return listing.keep(rows, PlacementGroupState)


def list_runtime_envs(
    address: str | None = None,
    filters: Sequence[Filter] | None = None,
    limit: int = LIMIT,
    timeout: float = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[RuntimeEnvState]:
    """Lists the runtime environments of jobs that have not ended: whether they could be set up, or why not, and how many workers have them."""
    listing = Listing(address, filters, limit, timeout, raise_on_missing_output)
    here = _context.session().node_id.hex()
    rows = [
        RuntimeEnvState(
            runtime_env=json.loads(e.runtime_env), success=e.state == state_pb2.RUNTIME_ENV_STATE_READY,
            creation_time_ms=e.setup_ns / MS if e.setup_ns else None, node_id=here, ref_cnt=e.workers, error=e.error or None,
            state=state_pb2.RuntimeEnvState.Name(e.state).removeprefix("RUNTIME_ENV_STATE_"), job_id=e.job_id.hex(),
        )
        for e in call("ListRuntimeEnvs", state_pb2.ListRuntimeEnvsRequest(limit=LIMIT_MAX), timeout).runtime_envs
    ]  # fmt: skip
    return listing.keep(rows, RuntimeEnvState)


def list_cluster_events(
    address: str | None = None,
    filters: Sequence[Filter] | None = None,
    limit: int = LIMIT,
    timeout: float = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ClusterEventState]:
    """Lists what has happened, newest first: beginnings and ends of nodes and jobs, ends of workers and actors (the last thousand of each)."""
    from datetime import datetime

    listing = Listing(address, filters, limit, timeout, raise_on_missing_output)
    rows = [
        ClusterEventState(
            severity=state_pb2.EventSeverity.Name(e.severity).removeprefix("EVENT_SEVERITY_"),
            time=datetime.fromtimestamp(e.unix_ns / 1e9).isoformat(sep=" ", timespec="milliseconds"),
            source_type=state_pb2.EventSource.Name(e.source).removeprefix("EVENT_SOURCE_"), message=e.message,
            event_id=f"{e.unix_ns:016x}{e.id.hex()}",
            custom_fields={"id": e.id.hex(), "job_id": e.job_id.hex() or None, "pid": e.pid or None},
        )
        for e in call("ListEvents", state_pb2.ListEventsRequest(limit=LIMIT_MAX), timeout).events
    ]  # fmt: skip
    return listing.keep(rows, ClusterEventState)


def _one(rows: Callable[..., list[R]], column: str, id: str, address: str | None, timeout: float) -> R | None:
    found = rows(address=address, filters=[(column, "=", parse_id(column.removesuffix("_id"), id))], limit=LIMIT_MAX, timeout=timeout)
    return found[0] if found else None


def get_actor(id: str, address: str | None = None, timeout: float = 30, _explain: bool = False) -> ActorState | None:
    """Returns the actor of that id, or None."""
    return _one(list_actors, "actor_id", id, address, timeout)


def get_task(id: Any, address: str | None = None, timeout: float = 30, _explain: bool = False) -> TaskState | None:
    """Returns the task of that id, or that makes the object of a ref; or None."""
    text = id if isinstance(id, str) else id.task_id().hex()
    return _one(list_tasks, "task_id", text, address, timeout)


def get_node(id: str, address: str | None = None, timeout: float = 30, _explain: bool = False) -> NodeState | None:
    """Returns the node of that id, or None."""
    return _one(list_nodes, "node_id", id, address, timeout)


def get_worker(id: str, address: str | None = None, timeout: float = 30, _explain: bool = False) -> WorkerState | None:
    """Returns the worker of that id, or None."""
    return _one(list_workers, "worker_id", id, address, timeout)


def get_job(id: str, address: str | None = None, timeout: float = 30, _explain: bool = False) -> JobState | None:
    """Returns the job of that id, or None."""
    return _one(list_jobs, "job_id", id, address, timeout)


def get_placement_group(id: str, address: str | None = None, timeout: float = 30, _explain: bool = False) -> PlacementGroupState | None:
    """Returns the placement group of that id, or None."""
    return _one(list_placement_groups, "placement_group_id", id, address, timeout)


def get_objects(id: str, address: str | None = None, timeout: float = 30, _explain: bool = False) -> list[ObjectState]:
    """Returns the object of that id, as a list of at most one row."""
    return list_objects(address=address, filters=[("object_id", "=", parse_id("object", id))], limit=LIMIT_MAX, timeout=timeout)


def summarize_tasks(address: str | None = None, timeout: float = 30, raise_on_missing_output: bool = True, _explain: bool = False) -> dict[str, Any]:
    """Counts tasks by function and state: all that have not ended, and the last 10,000 that have."""
    check_address(address)
    summary: dict[str, Any] = {}
    kinds: Counter[str] = Counter()
    for row in call("SummarizeTasks", state_pb2.SummarizeTasksRequest(), timeout).rows:
        name, kind = task_name(row), TASK_TYPES.get(row.kind, "NORMAL_TASK")
        entry = summary.setdefault(name, {"func_or_class_name": name, "type": kind, "state_counts": Counter()})
        entry["state_counts"][TASK_STATES.get(row.state, "NIL")] += row.count
        kinds[kind] += row.count
    return {"cluster": {
        "summary": summary, "total_tasks": kinds["NORMAL_TASK"], "total_actor_tasks": kinds["ACTOR_TASK"],
        "total_actor_scheduled": kinds["ACTOR_CREATION_TASK"], "summary_by": "func_name",
    }}  # fmt: skip


def summarize_actors(address: str | None = None, timeout: float = 30, raise_on_missing_output: bool = True, _explain: bool = False) -> dict[str, Any]:
    """Counts actors by class and state."""
    rows = _all(list_actors, address, timeout, raise_on_missing_output)
    summary: dict[str, Any] = {}
    for row in rows:
        summary.setdefault(row.class_name, {"class_name": row.class_name, "state_counts": Counter()})["state_counts"][row.state] += 1
    return {"cluster": {"summary": summary, "total_actors": len(rows), "summary_by": "class"}}


def summarize_objects(
    address: str | None = None, timeout: float = 30, raise_on_missing_output: bool = True, _explain: bool = False
) -> dict[str, Any]:
    """Counts objects and their bytes by the place in the source that made them."""
    rows = _all(list_objects, address, timeout, raise_on_missing_output)
    by_site: dict[str, list[ObjectState]] = defaultdict(list)
    for row in rows:
        by_site[row.call_site or "unknown"].append(row)
    summary = {
        site: {
            "total_objects": len(some), "total_size_mb": sum(max(0, o.object_size) for o in some) / 1e6,
            "total_num_workers": len({o.pid for o in some}), "total_num_nodes": 1,
            "task_state_counts": Counter(o.task_status for o in some), "ref_type_counts": Counter(o.reference_type for o in some),
        }
        for site, some in by_site.items()
    }  # fmt: skip
    return {"cluster": {
        "summary": summary, "total_objects": len(rows), "total_size_mb": sum(max(0, o.object_size) for o in rows) / 1e6,
        "callsite_enabled": True, "summary_by": "callsite",
    }}  # fmt: skip


def _all(rows: Callable[..., list[R]], address: str | None, timeout: float, strict: bool) -> list[R]:
    """Returns all rows of a list, for a summary."""
    found = rows(address=address, limit=LIMIT_MAX, timeout=timeout)
    if strict and len(found) == LIMIT_MAX:
        raise StateApiException(f"there are more than {LIMIT_MAX} rows to sum up; raise_on_missing_output=False sums up the first ones")
    return found
