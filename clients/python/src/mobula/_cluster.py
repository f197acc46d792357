"""What programs may ask about the cluster: its nodes, their resources, and the tasks that they remember."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mobula import _options
from mobula._context import check_running, process, session
from mobula.exceptions import RaySystemError

_UNITS = 10_000.0


def _query(**kind: Any) -> Any:
    from mobula import _errors
    from mobula._gen import session_pb2

    reply = session().query(session_pb2.Query(**kind), timeout=30)
    if reply.HasField("error"):
        raise _errors.from_error_value(reply.error)
    return reply


def state_call(method: str, request: Any, response: Any) -> Any:
    """Calls a method of the node's state service; ``response`` is the class of the message that it answers with."""
    from mobula._gen import session_pb2

    reply = _query(state=session_pb2.StateCall(method=method, request=request.SerializeToString()))
    return response.FromString(reply.state)


def _quantities(units: Mapping[str, int]) -> dict[str, float]:
    return {k: float(v) if k in ("memory", "object_store_memory") else v / _UNITS for k, v in units.items() if v > 0}


def _require_init(name: str, error: type[Exception] = RaySystemError) -> None:
    if process.session is None:
        check_running()
        raise error(f"Ray has not been started yet: ray.{name}() was called before ray.init()")


def cluster_resources() -> dict[str, float]:
    """Returns the resources of the cluster, by name; memory in bytes."""
    from mobula._gen import session_pb2

    _require_init("cluster_resources")
    out = _quantities(_query(resources=session_pb2.ResourcesQuery()).total) | _node_names()
    out["object_store_memory"] = float(session().limits.store_bytes)
    return out


def available_resources() -> dict[str, float]:
    """Returns what of the cluster's resources is free, by name; what is used up is missing."""
    from mobula._gen import session_pb2

    _require_init("available_resources")
    out = _quantities(_query(resources=session_pb2.ResourcesQuery()).available) | _node_names()
    out["object_store_memory"] = float(session().limits.store_bytes)  # what lies there now can be spilled or freed
    return out


def own_address() -> str:
    """Returns the IP address of the node, which is this machine's."""
    from mobula.util.helpers import get_node_ip_address

    return get_node_ip_address()


def _node_names() -> dict[str, float]:
    """Returns the resources by which programs name a node: nothing is taken from them."""
    return {name: 1.0 for name in _options.node_names()}


def nodes() -> list[dict[str, Any]]:
    """Returns what is known of each node, those that are dead too."""
    from mobula._gen import controlplane_pb2, state_pb2

    _require_init("nodes")
    out = []
    for n in state_call("ListNodes", state_pb2.ListNodesRequest(), state_pb2.ListNodesResponse).nodes:
        r = n.record
        alive = r.status == controlplane_pb2.NODE_STATUS_ALIVE
        resources = {u.name: float(u.total) if u.name == "memory" else u.total / _UNITS for u in n.resources if u.total > 0}
        if alive and n.store.capacity_bytes:
            resources["object_store_memory"] = float(n.store.capacity_bytes)
        host = r.hostname or os.uname().nodename
        out.append(
            {
                "NodeID": r.ref.node_id.hex(),
                "Alive": alive,
                "alive": alive,
                "NodeManagerAddress": own_address(),
                "NodeManagerHostname": host,
                "NodeManagerPort": 0,
                "ObjectManagerPort": 0,
                "ObjectStoreSocketName": "",
                "RayletSocketName": r.address,
                "MetricsExportPort": 0,
                "MetricsAgentPort": 0,
                "DashboardAgentListenPort": 0,
                "RuntimeEnvAgentPort": 0,
                "DeathReason": 0,
                "DeathReasonMessage": "",
                "NodeName": host,
                "Resources": resources | _node_names() if alive else {},
                "Labels": {label.name: label.value for label in r.labels} or {"ray.io/node-id": r.ref.node_id.hex()},
            }
        )
    return out


def timeline(filename: str | None = None) -> list[dict[str, Any]] | None:
    """Returns the tasks that the node remembers as events of the Chrome trace viewer, or writes them as JSON.

    A task that ran is a bar (``"ph": "X"``) of its worker: ``ts``, when it began, and ``dur`` are in microseconds, and ``args`` has its ids, state
    and attempt. The node remembers the last 10,000 tasks that have ended.
    """
    from mobula._gen import state_pb2, task_pb2
    from mobula.util.state.query import LIMIT_MAX, Listing

    _require_init("timeline", RuntimeError)
    here = own_address()
    found = []
    for t in Listing(None, None, LIMIT_MAX, 30).ask("ListTasks", "tasks"):
        if not (t.begun_unix_ns and t.ended_unix_ns):
            continue
        names = t.function.split(".")
        if t.kind == task_pb2.TEMPLATE_KIND_FUNCTION:
            name, category = t.function, names[-1]
        elif t.kind == task_pb2.TEMPLATE_KIND_ACTOR:
            name, category = "__init__", f"{names[-1]}.__init__"
        else:
            name, category = names[-1], ".".join(names[-2:])
        found.append({
            "cat": f"task::{category}", "name": name, "ph": "X", "pid": here, "tid": f"worker:{t.worker_id.hex()}",
            "ts": t.begun_unix_ns / 1000, "dur": (t.ended_unix_ns - t.begun_unix_ns) / 1000,
            "cname": "terrible" if t.state == state_pb2.TASK_STATE_FAILED else "generic_work",
            "args": {
                "name": t.name or name, "task_id": t.task_id.hex(), "job_id": t.job_id.hex(), "actor_id": t.actor_id.hex() or None,
                "attempt": t.attempt, "state": state_pb2.TaskState.Name(t.state).removeprefix("TASK_STATE_"), "worker_pid": t.pid,
            },
        })  # fmt: skip
    if filename is None:
        return found
    import json

    with open(filename, "w", encoding="utf-8") as file:
        json.dump(found, file)
    return None
