"""Ray's ``ray._private.state``: what the node knows, in the tables that programs and tests written for Ray read."""

from __future__ import annotations

from typing import Any

import mobula
from mobula import available_resources, cluster_resources, nodes, timeline

__all__ = [
    "GlobalState", "actors", "available_resources", "available_resources_per_node", "cluster_resources", "jobs", "node_ids", "nodes",
    "placement_group_table", "state", "timeline", "total_resources_per_node", "workers",
]  # fmt: skip

_STATES = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD")
_LIMIT = 10_000  # rows of a listing, and as many actors as one node remembers


def actors(actor_id: str | None = None, job_id: Any = None, actor_state_name: str | None = None) -> dict[str, Any]:
    """Returns the actors by id, or one of them; of a job, or in a state, if one is given. Raises ValueError for a state that there is not."""
    from mobula.util.state import list_actors

    if actor_state_name is not None and actor_state_name not in _STATES:
        names = ", ".join(f'"{name}"' for name in _STATES[:-1])
        raise ValueError(f'"{actor_state_name}" is not a valid actor state name, it must be one of the following: {names}, or "{_STATES[-1]}"')
    address = {"IPAddress": mobula.util.get_node_ip_address(), "Port": 0}
    found = {
        a.actor_id: {
            "ActorID": a.actor_id,
            "ActorClassName": a.class_name,
            "IsDetached": a.is_detached,
            "Name": a.name,
            "JobID": a.job_id,
            "Address": {**address, "NodeID": a.node_id},
            "OwnerAddress": {**address, "NodeID": a.node_id},
            "State": a.state,
            "NumRestarts": a.num_restarts,
            "Timestamp": float(a.start_time_ms or 0),
            "StartTime": a.start_time_ms or 0,
            "EndTime": a.end_time_ms or 0,
            "DeathCause": a.death_cause,
            "Pid": a.pid,
        }
        for a in list_actors(limit=_LIMIT, detail=True)
        if (job_id is None or a.job_id == job_id.hex()) and actor_state_name in (None, a.state)
    }
    return found.get(actor_id, {}) if actor_id is not None else found


def jobs() -> list[dict[str, Any]]:
    """Returns the jobs: id, driver, and whether they have ended."""
    from mobula.util.state import list_jobs

    return [
        {
            "JobID": j.job_id,
            "DriverIPAddress": mobula.util.get_node_ip_address(),
            "DriverPid": j.driver_pid,
            "Entrypoint": j.entrypoint,
            "IsDead": j.status != "RUNNING",
            "StartTime": j.start_time,
            "EndTime": j.end_time,
        }
        for j in list_jobs(limit=_LIMIT, detail=True)
    ]


def node_ids() -> list[str]:
    """Returns the resources by which nodes are named: ``node:`` and the address of each."""
    return [f"node:{node['NodeManagerAddress']}" for node in nodes() if node["Alive"]]


def workers() -> dict[str, dict[str, str]]:
    """Returns the processes of drivers and workers by id."""
    from mobula.util.state import list_workers

    address = mobula.util.get_node_ip_address()
    return {w.worker_id: {"node_ip_address": address, "plasma_store_socket": ""} for w in list_workers(limit=_LIMIT) if w.is_alive}


def available_resources_per_node() -> dict[str, dict[str, float]]:
    """Returns the free resources of each node by its id."""
    return {mobula.get_runtime_context().get_node_id(): available_resources()}


def total_resources_per_node() -> dict[str, dict[str, float]]:
    """Returns the resources of each node by its id."""
    return {node["NodeID"]: node["Resources"] for node in nodes() if node["Alive"]}


def placement_group_table(placement_group_id: mobula.PlacementGroupID | None = None) -> dict[str, Any]:
    """Returns what is known of the placement group of that id, or of all by their ids."""
    from mobula.util.placement_group import PlacementGroup
    from mobula.util.placement_group import placement_group_table as table

    return table(None if placement_group_id is None else PlacementGroup(placement_group_id))


class GlobalState:
    """The same as methods, under the names that they have in Ray."""

    actor_table = staticmethod(actors)
    available_resources = staticmethod(available_resources)
    available_resources_per_node = staticmethod(available_resources_per_node)
    chrome_tracing_dump = staticmethod(timeline)
    cluster_resources = staticmethod(cluster_resources)
    job_table = staticmethod(jobs)
    node_table = staticmethod(nodes)
    placement_group_table = staticmethod(placement_group_table)
    total_resources_per_node = staticmethod(total_resources_per_node)
    workers = staticmethod(workers)


state = GlobalState()
