"""Where tasks and actors may run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mobula.util.placement_group import PlacementGroup

__all__ = [
    "DoesNotExist",
    "Exists",
    "In",
    "NodeAffinitySchedulingStrategy",
    "NodeLabelSchedulingStrategy",
    "NotIn",
    "PlacementGroupSchedulingStrategy",
    "SchedulingStrategyT",
]


class PlacementGroupSchedulingStrategy:
    """Runs in a bundle of a placement group.

    Args:
        placement_group: the group; None is none.
        placement_group_bundle_index: the bundle; -1 is any with room.
        placement_group_capture_child_tasks: whether what the task submits runs in the group too.
    """

    def __init__(
        self,
        placement_group: PlacementGroup | None,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks


class NodeAffinitySchedulingStrategy:
    """Runs on one node, given by its id in hexadecimal; if ``soft``, on another one when it cannot."""

    def __init__(self, node_id: str, soft: bool, _spill_on_unavailable: bool = False, _fail_on_unavailable: bool = False) -> None:
        self.node_id = node_id if isinstance(node_id, str) else node_id.hex()
        try:
            bytes.fromhex(self.node_id)
        except ValueError:
            raise ValueError(f"Invalid node_id '{node_id}'. Node ID must be a valid hex string: ray.nodes() has them.") from None
        self.soft = soft
        self._spill_on_unavailable = _spill_on_unavailable
        self._fail_on_unavailable = _fail_on_unavailable


class _Condition:
    """A condition on one label."""

    word = ""

    def __init__(self, *values: str) -> None:
        self.values = values

    def expression(self) -> str:
        """Returns the condition as the node reads it: ``in(a,b)``."""
        return f"{self.word}({','.join(self.values)})"


class _OneOf(_Condition):
    """A condition on one label that names values."""

    def __init__(self, *values: str) -> None:
        name = type(self).__name__
        if not values:
            raise ValueError(f'The variadic parameter of the {name} operator must be a non-empty tuple: e.g. {name}("value1", "value2").')
        for i, value in enumerate(values):
            if not isinstance(value, str):
                raise ValueError(
                    f'Type of value in position {i} for the {name} operator must be str (e.g. {name}("value1", "value2")) '
                    f"but got {value!r} of type {type(value)}."
                )
        super().__init__(*values)


class In(_OneOf):
    """The label has one of these values."""

    word = "in"


class NotIn(_OneOf):
    """The label has none of these values, or is not there."""

    word = "!in"


class Exists(_Condition):
    """The label is there."""

    word = "exists"

    def __init__(self) -> None:
        super().__init__()


class DoesNotExist(_Condition):
    """The label is not there."""

    word = "!exists"

    def __init__(self) -> None:
        super().__init__()


class NodeLabelSchedulingStrategy:
    """Runs on nodes whose labels meet the ``hard`` conditions, if possible also the ``soft`` ones."""

    def __init__(self, hard: Mapping[str, Any], *, soft: Mapping[str, Any] | None = None) -> None:
        if not hard and not soft:
            raise ValueError("The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be empty.")
        for conditions in (hard, soft or {}):
            if not isinstance(conditions, Mapping):
                raise ValueError(f"conditions are a map of labels to In, NotIn, Exists or DoesNotExist, not a {type(conditions).__name__}")
            for label, condition in conditions.items():
                if not isinstance(label, str) or not isinstance(condition, _Condition):
                    raise ValueError(f"conditions map labels to In, NotIn, Exists or DoesNotExist, not {label!r}: {condition!r}")
        self.hard = dict(hard)
        self.soft = dict(soft or {})


SchedulingStrategyT = (
    Literal["DEFAULT", "SPREAD"] | PlacementGroupSchedulingStrategy | NodeAffinitySchedulingStrategy | NodeLabelSchedulingStrategy | None
)
