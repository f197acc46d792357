"""The options of tasks, actors and methods: which there are, what they may be, and how they go into a template.

The tables follow Ray's, and so do the types of the errors: an unknown keyword or an impossible value is a ValueError, a value of the
wrong type a TypeError. What this client accepts and the node cannot honour is refused by the node, never ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mobula._context import Capture, process

_NODE_ID_BYTES = 16

UNITS = 10_000
"""Units of one CPU, one GPU or one of a custom resource, as they go to the node."""

MAX_CONCURRENCY_ASYNC = 1000
"""Calls that an actor with async methods runs at the same time when ``max_concurrency`` does not say otherwise."""

_INT32_MAX = (1 << 31) - 1
_NONE = type(None)

Check = Callable[[Any], str | None]
Types = type | tuple[type, ...] | None


class Option:
    """One keyword: the types that it takes, what else must hold, and its default."""

    __slots__ = ("check", "default", "types")

    def __init__(self, types: Types, check: Check | None = None, default: Any = None) -> None:
        self.types = types
        self.check = check
        self.default = default

    def validate(self, keyword: str, value: Any) -> None:
        """Raises TypeError or ValueError when the value cannot be."""
        if self.types is not None and not isinstance(value, self.types):
            raise TypeError(f"The type of keyword '{keyword}' must be {self.types}, but received type {type(value)}")
        if self.check is not None:
            wrong = self.check(value)
            if wrong:
                raise ValueError(wrong)


def _count(name: str, *, infinite: bool = True, default: int | None = None) -> Option:
    """An integer that is not negative; -1 is without limit if ``infinite``."""
    low, words = (-1, "0, -1 or a positive integer, where -1 represents infinity") if infinite else (0, "0 or a positive integer")
    return Option((int, _NONE), lambda x: None if x is None or x >= low else f"The keyword '{name}' only accepts None, {words}.", default)


def _bad_quantity(name: str, quantity: float) -> str | None:
    if quantity < 0:
        return f"The quantity of resource {name} cannot be negative"
    if isinstance(quantity, float) and quantity != 0 and int(quantity * UNITS) == 0:
        return f"The precision of the fractional quantity of resource {name} cannot go beyond 0.0001"
    return None


def _quantity(name: str, default: float | None = None) -> Option:
    return Option((float, int, _NONE), lambda x: None if x is None else _bad_quantity(name, x), default)


def _bad_resources(resources: Mapping[str, float] | None) -> str | None:
    if resources is None:
        return None
    if "CPU" in resources or "GPU" in resources:
        return "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' keyword"
    for name, quantity in resources.items():
        if isinstance(quantity, bool) or not isinstance(quantity, (int, float)):
            return f"The quantity of resource {name} must be a number, but is of type {type(quantity)}"
        wrong = _bad_quantity(name, quantity)
        if wrong:
            return wrong
    return None


_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = rf"(?:[A-Za-z0-9.-]{{1,253}}/)?{_WORD}"
_SELECTOR = rf"!?(?:{_WORD}|in\({_WORD}(?:, *{_WORD})*\))"


def _bad_selector(selector: Mapping[str, str] | None) -> str | None:
    for key, value in (selector or {}).items():
        if not isinstance(key, str) or re.fullmatch(_LABEL_KEY, key) is None:
            return (
                f"Invalid label key name `{key}`. Name must be 63 chars or less beginning and ending with an alphanumeric character "
                "([a-z0-9A-Z]) with dashes (-), underscores (_), dots (.), and alphanumerics between."
            )
        if value is not None and not isinstance(value, str):
            return f"The selector of label {key} must be a string, but is of type {type(value)}"
        if value and re.fullmatch(_SELECTOR, value) is None:
            return (
                f"Invalid label selector value `{value}`. The label selector value should contain optional operators and a label value. "
                "Supported operators are: ! and {'in'}."
            )
    return None


def _bad_fallback(strategies: Sequence[Any] | None) -> str | None:
    for strategy in strategies or ():
        if not isinstance(strategy, dict) or set(strategy) != {"label_selector"}:
            return "fallback_strategy must be a list of dicts with the one key 'label_selector'"
        wrong = _bad_selector(strategy["label_selector"])
        if wrong:
            return wrong
    return None


def _bad_num_returns(value: Any) -> str | None:
    if value is None or value in ("dynamic", "streaming") or (isinstance(value, int) and value >= 0):
        return None
    return (
        "Default None. When None is passed, the default value is 1 for a task and actor task, and 'streaming' for generator tasks and "
        "generator actor tasks. The keyword 'num_returns' only accepts None, a non-negative integer, 'streaming' (for generators), or "
        "'dynamic'."
    )


def _is_exception(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _bad_retry_exceptions(value: Any) -> str | None:
    if isinstance(value, bool) or (isinstance(value, (list, tuple)) and all(map(_is_exception, value))):
        return None
    return "retry_exceptions must be either a boolean or a list of exceptions"


def _bad_backpressure(value: int | None) -> str | None:
    if value == 0:
        return (
            "_generator_backpressure_num_objects=0 is not allowed. Use a value > 0. If the value is equal to 1, the behavior is identical "
            "to Python generator (generator 1 object whenever `next` is called). Use -1 to disable this feature."
        )
    return None


def _strategy_types(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        if value not in (None, "DEFAULT", "SPREAD"):
            return f"scheduling_strategy is 'DEFAULT', 'SPREAD' or a strategy object, not {value!r}"
        return None
    if type(value).__name__ not in _STRATEGIES:
        raise TypeError(f"The type of keyword 'scheduling_strategy' must be one of {sorted(_STRATEGIES)}, but received type {type(value)}")
    return None


def _placement_group_types(value: Any) -> str | None:
    if value is not None and not isinstance(value, str) and type(value).__name__ != "PlacementGroup":
        raise TypeError(f"The type of keyword 'placement_group' must be PlacementGroup or None, but received type {type(value)}")
    return None


_STRATEGIES = frozenset({"NodeAffinitySchedulingStrategy", "NodeLabelSchedulingStrategy", "PlacementGroupSchedulingStrategy"})

_COMMON = {
    "label_selector": Option((dict, _NONE), _bad_selector),
    "fallback_strategy": Option((list, _NONE), _bad_fallback),
    "accelerator_type": Option((str, _NONE)),
    "memory": _quantity("memory"),
    "name": Option((str, _NONE)),
    "num_cpus": _quantity("num_cpus"),
    "num_gpus": _quantity("num_gpus"),
    "object_store_memory": _count("object_store_memory", infinite=False),
    "placement_group": Option(None, _placement_group_types, "default"),
    "placement_group_bundle_index": Option(int, default=-1),
    "placement_group_capture_child_tasks": Option((bool, _NONE)),
    "resources": Option((dict, _NONE), _bad_resources),
    "runtime_env": Option((dict, _NONE), lambda x: _bad_runtime_env(x)),
    "scheduling_strategy": Option(None, _strategy_types),
    "enable_task_events": Option(bool, default=True),
    "_labels": Option((dict, _NONE)),
}

TASK = {
    **_COMMON,
    "max_calls": _count("max_calls", infinite=False, default=0),
    "max_retries": _count("max_retries", default=3),
    "num_cpus": _quantity("num_cpus", 1),
    "num_returns": Option((int, str, _NONE), _bad_num_returns),
    "portable": Option(bool, default=False),
    "object_store_memory": Option((int, _NONE), lambda x: None if x is None else "Setting 'object_store_memory' is not implemented for tasks"),
    "retry_exceptions": Option((bool, list, tuple), _bad_retry_exceptions, False),
    "_generator_backpressure_num_objects": Option((int, _NONE), _bad_backpressure),
    "_num_objects_per_yield": Option(
        (int, _NONE),
        lambda x: None if x in (None, 1) else "Mobula makes one object per yield: _num_objects_per_yield can only be 1",
        1,
    ),
}
"""Options of tasks."""

ACTOR = {
    **_COMMON,
    "concurrency_groups": Option((list, dict, _NONE)),
    "enable_tensor_transport": Option(
        (bool, _NONE), lambda x: "Mobula has no tensor transport: enable_tensor_transport can only be False" if x else None
    ),
    "lifetime": Option(
        (str, _NONE),
        lambda x: (
            None if x in (None, "detached", "non_detached") else "actor `lifetime` argument must be one of 'detached', 'non_detached' and 'None'."
        ),
    ),
    "max_concurrency": _count("max_concurrency", infinite=False),
    "max_restarts": _count("max_restarts", default=0),
    "max_task_retries": _count("max_task_retries", default=0),
    "max_pending_calls": _count("max_pending_calls", default=-1),
    "namespace": Option((str, _NONE)),
    "get_if_exists": Option(bool, default=False),
    "allow_out_of_order_execution": Option((bool, _NONE)),
    "_actor_generator_backpressure_num_objects": Option(
        (int, _NONE),
        lambda x: None if x in (None, -1) else "Mobula has no backpressure per actor: use _generator_backpressure_num_objects of its methods",
    ),
}
"""Options of actors."""

METHOD = {
    "num_returns": TASK["num_returns"],
    "portable": TASK["portable"],
    "concurrency_group": Option((str, _NONE)),
    "max_task_retries": _count("max_task_retries"),
    "retry_exceptions": Option((bool, list, tuple, _NONE), lambda x: None if x is None else _bad_retry_exceptions(x)),
    "_generator_backpressure_num_objects": TASK["_generator_backpressure_num_objects"],
    "_num_objects_per_yield": TASK["_num_objects_per_yield"],
    "enable_task_events": Option((bool, _NONE)),
    "tensor_transport": Option(
        (str, _NONE), lambda x: None if x in (None, "object_store", "OBJECT_STORE") else f"Mobula has no tensor transport {x!r}"
    ),
}
"""Options of methods, for ``@method``."""

METHOD_CALL = {**METHOD, "name": Option((str, _NONE)), "_labels": Option((dict, _NONE))}
"""Options of one call of a method, for ``.options``."""


def check_num_returns(value: Any, is_generator: bool) -> None:
    """Raises ValueError for a count that cannot be, or a stream that the function does not make."""
    if isinstance(value, int) and value < 0:
        raise ValueError(f"num_returns must be >= 0, but got {value}.")
    if value in ("streaming", "dynamic") and not is_generator:
        raise ValueError(
            f"num_returns='{value}' can only be used with generator functions (functions that use 'yield'). "
            "The decorated function is not a generator function."
        )


def _check(options: Mapping[str, Any], table: Mapping[str, Option], what: str) -> None:
    for keyword, value in options.items():
        option = table.get(keyword)
        if option is None:
            raise ValueError(f"Invalid option keyword {keyword} for {what}. Valid ones are {list(table)}.")
        option.validate(keyword, value)
    if options.get("placement_group", "default") not in ("default", None) and options.get("scheduling_strategy") is not None:
        raise ValueError("Placement groups should be specified via the scheduling_strategy option. The placement_group option is deprecated.")


def check_task(options: Mapping[str, Any], *, in_options: bool, is_generator: bool) -> None:
    """Raises ValueError or TypeError for options that a task cannot have; ``in_options`` for those of ``.options()``."""
    _check(options, TASK, "remote functions")
    if in_options and "max_calls" in options:
        raise ValueError("Setting 'max_calls' is not supported in '.options()'.")
    check_num_returns(options.get("num_returns"), is_generator)


def check_actor(options: Mapping[str, Any], *, in_options: bool) -> None:
    """Raises ValueError or TypeError for options that an actor cannot have; ``in_options`` for those of ``.options()``."""
    _check(options, ACTOR, "actors")
    if in_options and "concurrency_groups" in options:
        raise ValueError("Setting 'concurrency_groups' is not supported in '.options()'.")
    if options.get("get_if_exists") and not options.get("name"):
        raise ValueError("The actor name must be specified to use `get_if_exists`.")
    if options.get("object_store_memory") is not None:
        import warnings

        warnings.warn("Setting 'object_store_memory' for actors is deprecated: it reserves nothing.", DeprecationWarning, stacklevel=4)


def check_method_call(options: Mapping[str, Any], *, is_generator: bool) -> None:
    """Raises ValueError or TypeError for options that one call of a method cannot have."""
    if "_num_objects_per_yield" in options:
        raise ValueError("_num_objects_per_yield cannot be overridden per actor method call. Use @ray.method(_num_objects_per_yield=...) instead.")
    for keyword, value in options.items():
        option = METHOD_CALL.get(keyword)
        if option is None:
            raise ValueError(f"Invalid option keyword {keyword} for actor methods. Valid ones are {list(METHOD_CALL)}.")
        option.validate(keyword, value)
    check_num_returns(options.get("num_returns"), is_generator)


def num_returns(value: Any, is_generator: bool) -> int | str:
    """Returns what a call returns: a number of results, ``"streaming"`` or ``"dynamic"``."""
    if value is None:
        return "streaming" if is_generator else 1
    return value  # type: ignore[no-any-return]


def units(quantity: float) -> int:
    """Returns a quantity of a resource in the node's units."""
    return round(quantity * UNITS)


def _gpu_units(quantity: float) -> int:
    if quantity > 1 and quantity != int(quantity):
        raise ValueError(f"Resource quantities >1 must be whole numbers. The specified quantity of GPU is {quantity}.")
    return units(quantity)


def max_retries_default() -> int:
    """Returns how often a task is tried again when nothing says otherwise."""
    return int(os.environ.get("MOBULA_TASK_MAX_RETRIES") or os.environ.get("RAY_TASK_MAX_RETRIES") or 3)


def fill_common(out: Any, options: Mapping[str, Any]) -> None:
    """Writes the options that tasks and actors share into a ``task_pb2.Options``.

    Raises ValueError for quantities that the checks of single options cannot see.
    """
    resources = options.get("resources") or {}
    reserved = {"CPU", "GPU", "memory", "object_store_memory"} & set(resources)
    if reserved:
        raise ValueError(f"The resources dictionary must not contain the key {' or '.join(map(repr, sorted(reserved)))}")
    if options.get("num_cpus") is not None:
        out.num_cpus = units(options["num_cpus"])
    if options.get("num_gpus"):
        out.num_gpus = _gpu_units(options["num_gpus"])
    if options.get("memory"):
        out.memory = int(options["memory"])
    for name, quantity in resources.items():
        if quantity and not (name.startswith("node:") and quantity <= 1 and name in node_names()):
            out.resources[name] = units(quantity)
    if options.get("accelerator_type"):
        out.accelerator_type = options["accelerator_type"]
    for label, selector in (options.get("label_selector") or {}).items():
        out.label_selector[label] = "" if selector is None else selector
    for fallback in options.get("fallback_strategy") or ():
        out.fallback_strategy.append(",".join(f"{k}={v}" for k, v in sorted(fallback["label_selector"].items())))
    for label, value in (options.get("_labels") or {}).items():
        out.labels[str(label)] = str(value)
    if options.get("enable_task_events") is False:
        out.no_task_events = True
    if options.get("name"):
        out.name = options["name"]
    _fill_strategy(out, options)
    _fill_runtime_env(out, options.get("runtime_env"))


def node_names() -> tuple[str, str]:
    """Returns the resources by which programs ask for this node, as ``resources={"node:10.0.0.1": 0.01}``: there is no other to run on."""
    from mobula.util.helpers import get_node_ip_address

    return f"node:{get_node_ip_address()}", "node:__internal_head__"


def captured(options: Mapping[str, Any], capture: Capture) -> Mapping[str, Any]:
    """Returns the options of what is submitted in a group that captures: into the group, unless they say where."""
    if options.get("scheduling_strategy") is not None or options.get("placement_group", "default") != "default":
        return options
    return {**options, "scheduling_strategy": capture}


def check_fits(options: Mapping[str, Any], name: str, out: Any, cpus: int) -> None:
    """Raises ValueError for a task that no bundle, or not the one named, of its placement group has room for; ``cpus`` are what it has by default."""
    strategy: Any = options.get("scheduling_strategy")
    group, index = options.get("placement_group", "default"), options.get("placement_group_bundle_index", -1)
    if type(strategy).__name__ == "PlacementGroupSchedulingStrategy":
        group, index = strategy.placement_group, strategy.placement_group_bundle_index
    bundles = getattr(group, "bundle_cache", None)
    if not bundles:
        return
    wants = {k: v / UNITS for k, v in out.resources.items()}
    wants |= {"CPU": (out.num_cpus if out.HasField("num_cpus") else cpus) / UNITS, "GPU": out.num_gpus / UNITS, "memory": float(out.memory)}
    wants = {k: v for k, v in wants.items() if v > 0}
    if not any(all(bundle.get(k, 0) >= v for k, v in wants.items()) for bundle in (bundles if index < 0 else [bundles[index]])):
        where = "any bundles for the placement group" if index < 0 else f"bundle {index} of the placement group"
        raise ValueError(f"Cannot schedule {name} with the placement group because the resource request {wants} cannot fit into {where}, {bundles}.")


def _fill_strategy(out: Any, options: Mapping[str, Any]) -> None:
    strategy: Any = options.get("scheduling_strategy")
    group: Any = options.get("placement_group", "default")
    if strategy is None and group not in ("default", None):
        index, capture = options.get("placement_group_bundle_index", -1), options.get("placement_group_capture_child_tasks")
        _fill_group(out, group, index, capture)
    elif strategy == "SPREAD":
        out.scheduling_strategy.spread = True
    elif strategy is None or strategy == "DEFAULT":
        pass
    elif type(strategy) is Capture:
        _fill_group(out, strategy, -1, True)
    elif type(strategy).__name__ == "NodeAffinitySchedulingStrategy":
        try:
            node_id = bytes.fromhex(strategy.node_id)
        except ValueError:
            raise ValueError(f"{strategy.node_id!r} is not the id of a node") from None
        # An id of another length is that of no node here, which the node finds out.
        out.scheduling_strategy.node_affinity.node_id = node_id.ljust(_NODE_ID_BYTES, b"\0")[:_NODE_ID_BYTES]
        out.scheduling_strategy.node_affinity.soft = bool(strategy.soft)
    elif type(strategy).__name__ == "PlacementGroupSchedulingStrategy":
        _fill_group(
            out,
            strategy.placement_group,
            strategy.placement_group_bundle_index,
            strategy.placement_group_capture_child_tasks,
        )
    else:
        for where in ("hard", "soft"):
            conditions = getattr(out.scheduling_strategy.node_labels, where)
            for label, condition in getattr(strategy, where).items():
                conditions[label] = condition.expression()


def _fill_group(out: Any, group: Any, index: int, capture: bool | None) -> None:
    if group is None or getattr(group, "is_empty", False):
        if index != -1:
            raise ValueError("If placement group is not set, the value of bundle index must be -1.")
        return
    if type(group) is not Capture and type(group).__name__ != "PlacementGroup":
        raise TypeError(f"a placement group is wanted, not a {type(group).__name__}")
    count = getattr(group, "bundle_count", None)
    if count is not None and not -1 <= index < count:
        raise ValueError(f"placement group bundle index {index} is invalid. Valid placement group indexes: 0-{count - 1}")
    out.scheduling_strategy.placement_group.placement_group_id = bytes.fromhex(group.id.hex())
    out.scheduling_strategy.placement_group.bundle_index = index
    out.scheduling_strategy.placement_group.capture_child_tasks = bool(capture)


def _bad_runtime_env(value: Mapping[str, Any] | None) -> None:
    if value:
        from mobula import _runtime_env

        _runtime_env.check_task(value)


def _fill_runtime_env(out: Any, runtime_env: Mapping[str, Any] | None) -> None:
    if runtime_env or (process.worker is not None and "runtime_env" in process.info):
        from mobula import _runtime_env

        _runtime_env.fill(out, runtime_env)


def fill_retries(out: Any, retry_exceptions: Any) -> None:
    """Writes ``retry_exceptions`` into a ``task_pb2.Options``: a boolean, or classes to which it is limited."""
    if not retry_exceptions and retry_exceptions != [] and retry_exceptions != ():
        return
    if isinstance(retry_exceptions, (list, tuple)):
        if not retry_exceptions:
            return
        from mobula import _errors

        out.retry_exception_names.extend(x if isinstance(x, str) else _errors.class_name(x) for x in retry_exceptions)
    out.retry_exceptions = True


def clamp(value: int) -> int:
    """Returns a count within what the wire carries."""
    return min(value, _INT32_MAX)
