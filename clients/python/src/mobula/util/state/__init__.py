"""What a cluster is doing: lists and summaries of actors, tasks, objects, nodes, workers, jobs and placement groups.

The rows are those that ``mobula list`` prints. Filters are triples ``(column, "=" or "!=", value)``; a list has at most ``limit``
rows (the oldest first), of which the filters keep some.
"""

from mobula.util.state.api import (
    get_actor,
    get_job,
    get_node,
    get_objects,
    get_placement_group,
    get_task,
    get_worker,
    list_actors,
    list_jobs,
    list_nodes,
    list_objects,
    list_placement_groups,
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
