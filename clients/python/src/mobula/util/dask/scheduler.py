"""A scheduler that runs the graphs of Dask's collections as tasks: ``x.compute(scheduler=dask_get)``, or `enable_dask` for all.

Every node of a graph becomes one task, submitted at once with the refs of what it needs: the node manager does the waiting and the
moving, and one `get` brings what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask as typed_dask
from dask._task_spec import Alias, DataNode, Task, convert_legacy_graph
from dask.base import DaskMethodsMixin
from dask.core import flatten
from dask.order import order
from dask.utils import key_split

import mobula

dask: Any = typed_dask  # not all that it exports has types

__all__ = ["dask_get", "dask_persist", "disable_dask", "enable_dask"]

_OPTIONS = "ray_remote_args"
"""The annotation, and the argument of compute, with options for tasks: ``dask.annotate(ray_remote_args={"num_cpus": 2})``."""

_SHUFFLE = "dataframe.shuffle.method"
_persist, _persist_mixin = dask.persist, DaskMethodsMixin.persist


@mobula.remote
def _run(node: Any, keys: tuple[Any, ...], *values: Any) -> Any:
    """Computes one node of a graph from the values of those that it depends on."""
    return node(dict(zip(keys, values, strict=True)))


def dask_get(dsk: Any, keys: Any, *, ray_persist: bool = False, ray_remote_args: Mapping[str, Any] | None = None, **_: Any) -> Any:
    """Computes keys of a graph, as every scheduler of Dask does.

    Args:
        dsk: a graph or an expression of Dask.
        keys: a key, or a list of keys and lists.
        ray_persist: to return refs instead of values.
        ray_remote_args: options for all tasks; those of ``dask.annotate`` come before them.

    Returns:
        The values, in the shape of keys.

    Raises:
        Exception: that of the first task that failed, a RayTaskError as well.
    """
    annotated = _annotated(dsk)
    graph = convert_legacy_graph(dsk if isinstance(dsk, Mapping) else dsk.__dask_graph__())
    refs: dict[Any, Any] = {}
    runs: dict[str, Any] = {}
    rank: dict[Any, Any] = order(graph)
    for key in sorted(graph, key=rank.__getitem__):
        node = graph[key]
        if isinstance(node, Alias):
            refs[key] = refs[node.target]
        elif isinstance(node, DataNode):
            value = node.value
            refs[key] = value if isinstance(value, mobula.ObjectRef) else mobula.put(value)
        elif getattr(node, "func", None) is _kept:
            refs[key] = node.args[0]
        else:
            # The name is that of the operation, not of the key: every name is made known to the node once.
            options = {"name": f"dask:{key_split(key)}", **(ray_remote_args or {}), **annotated.get(key, {})}
            run = runs.get(repr(options))
            if run is None:
                run = runs[repr(options)] = _run.options(**options)
            needs = tuple(node.dependencies)
            refs[key] = run.remote(node, needs, *(refs[k] for k in needs))
    if ray_persist:
        return _shaped(keys, refs)
    wanted = list(dict.fromkeys(flatten(keys))) if isinstance(keys, list) else [keys]
    return _shaped(keys, dict(zip(wanted, mobula.get([refs[k] for k in wanted]), strict=True)))


def dask_persist(*collections: Any, **options: Any) -> Any:
    """Starts the computation of collections and returns them at once, with their data in the object store. For ``dask.persist``."""
    return _persist(*collections, **{"scheduler": _keep, **options})


def _keep(dsk: Any, keys: Any, **options: Any) -> Any:
    """Computes keys as `dask_get` does, into nodes of graphs that stand for the values."""
    nodes = {key: Task(key, _kept, ref) for key, ref in zip(keys, dask_get(dsk, keys, ray_persist=True, **options), strict=True)}
    return _shaped(keys, nodes)


def _kept(ref: Any) -> Any:
    """Is the function of those nodes. It runs only where Dask has made a node part of another one's task."""
    return mobula.get(ref)


def enable_dask(shuffle: str | None = "tasks", use_shuffle_optimization: bool = True) -> Any:
    """Makes this Dask's scheduler, and persist keep data in the object store. The result ends it when used in a with statement.

    ``shuffle`` is Dask's setting of that name. ``use_shuffle_optimization`` changes nothing: Dask's own optimizer does that now.
    """

    def persist(self: Any, **options: Any) -> Any:
        (out,) = dask_persist(self, traverse=False, **options)
        return out

    dask.persist, DaskMethodsMixin.persist = dask_persist, persist
    return _Setting({"scheduler": dask_get, _SHUFFLE: shuffle})


def disable_dask() -> Any:
    """Gives Dask its own schedulers back."""
    dask.persist, DaskMethodsMixin.persist = _persist, _persist_mixin
    return dask.config.set({"scheduler": None, _SHUFFLE: None})


class _Setting(dask.config.set):  # type: ignore[misc]  # dask has no types
    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        dask.persist, DaskMethodsMixin.persist = _persist, _persist_mixin


def _annotated(dsk: Any) -> dict[Any, Mapping[str, Any]]:
    """Returns the options that keys of a graph were annotated with."""
    annotations = getattr(dsk, "__dask_annotations__", None)
    if annotations is not None:
        return dict(annotations().get(_OPTIONS, {}))
    found: dict[Any, Mapping[str, Any]] = {}
    for layer in getattr(dsk, "layers", {}).values():  # a HighLevelGraph
        options = (layer.annotations or {}).get(_OPTIONS)
        if options:
            found.update(dict.fromkeys(layer, options))
    return found


def _shaped(keys: Any, values: Mapping[Any, Any]) -> Any:
    """Returns the values of keys; lists of keys become lists."""
    return [_shaped(k, values) for k in keys] if isinstance(keys, list) else values[keys]
