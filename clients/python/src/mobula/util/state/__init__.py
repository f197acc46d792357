"""What a cluster is doing: lists and summaries of actors, tasks, objects, nodes, workers, jobs and placement groups; its events and its logs.

The rows are those that ``mobula list`` prints. Filters are triples ``(column, "=" or "!=", value)`` and are applied before ``limit``.
"""

from mobula.util.state.api import (
    get_actor,
    get_job,
    get_log,
    get_node,
    get_objects,
    get_placement_group,
    get_task,
    get_worker,
    list_actors,
    list_cluster_events,
    list_jobs,
    list_logs,
    list_nodes,
    list_objects,
    list_placement_groups,
    list_runtime_envs,
    list_tasks,
    list_workers,
    summarize_actors,
    summarize_objects,
    summarize_tasks,
)
from mobula.util.state.exception import RayStateApiException, StateApiException

__all__ = [
    "RayStateApiException",
    "StateApiException",
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
