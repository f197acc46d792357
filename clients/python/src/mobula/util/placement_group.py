"""Placement groups: resources that are reserved together, all of them or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import mobula
from mobula import _context, _options
from mobula._gen import session_pb2
from mobula._refs import PlacementGroupID
from mobula.exceptions import GetTimeoutError, RaySystemError

__all__ = [
    "PlacementGroup",
    "VALID_PLACEMENT_GROUP_STRATEGIES",
    "get_current_placement_group",
    "get_placement_group",
    "placement_group",
    "placement_group_table",
    "remove_placement_group",
]

VALID_PLACEMENT_GROUP_STRATEGIES = frozenset({"PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"})

_BUNDLES = 'Bundles must be a non-empty list of resource dictionaries. For example: `[{"CPU": 1.0}, {"GPU": 1.0}]`.'
_UNIT = 10_000  # fixed-point units of one CPU
_PREFIX = "PLACEMENT_GROUP_STRATEGY_"
_STATES = {0: "PENDING", 1: "PENDING", 2: "CREATED", 3: "REMOVED"}


class PlacementGroup:
    """A handle of a placement group. Handles can be passed to tasks and actors; they do not keep the group alive."""

    @staticmethod
    def empty() -> PlacementGroup:
        """Returns the handle of no group."""
        return PlacementGroup(PlacementGroupID(PlacementGroupID.nil().binary()))

    def __init__(self, id: PlacementGroupID, bundle_cache: list[dict[str, float]] | None = None) -> None:
        self.id = id
        self.bundle_cache = bundle_cache

    @property
    def is_empty(self) -> bool:
        """Whether this is the handle of no group."""
        return self.id.is_nil()

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """What each bundle reserves, name to quantity."""
        if self.bundle_cache is None:
            self.bundle_cache = _find(self.id.binary()).bundles
        return self.bundle_cache

    @property
    def bundle_count(self) -> int:
        """The number of bundles."""
        return len(self.bundle_specs)

    def ready(self) -> Any:
        """Returns a ref that resolves to this group when it has its resources.

        It resolves to ``PlacementGroupSchedulingStrategy``'s error when the group is removed first.
        """
        from mobula.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        strategy = PlacementGroupSchedulingStrategy(placement_group=self)
        return _same.options(num_cpus=0, scheduling_strategy=strategy).remote(self)

    def wait(self, timeout_seconds: float = 30) -> bool:
        """Waits for the resources, and reports whether they are there within ``timeout_seconds``."""
        try:
            mobula.get(self.ready(), timeout=timeout_seconds)
        except GetTimeoutError:
            return bool(_find(self.id.binary()).table["state"] == "CREATED")  # ready's own task may be on its way
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()})"


@mobula.remote
def _same(group: PlacementGroup) -> PlacementGroup:
    """The task behind ``PlacementGroup.ready``."""
    return group


def placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = None,
    name: str = "",
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: dict[str, str] | None = None,
) -> PlacementGroup:
    """Reserves resources together and returns at once; ``PlacementGroup.ready`` says when they are there.

    Args:
        bundles: what each bundle reserves, name to quantity: ``[{"CPU": 1}, {"CPU": 1, "GPU": 1}]``.
        strategy: PACK (the default), SPREAD, STRICT_PACK or STRICT_SPREAD: how the bundles lie on nodes.
        name: a name within the namespace, for ``get_placement_group``.
        lifetime: ``"detached"`` for a group that outlives its job.
        bundle_label_selector: where bundles may be; not there yet: None.
        topology_strategy: not there yet: None.

    Raises ``ValueError`` for bundles or words that cannot be, ``RaySystemError`` for a name that is taken.
    """
    if _soft_target_node_id is not None or bundle_label_selector or topology_strategy:
        raise ValueError("_soft_target_node_id, bundle_label_selector and topology_strategy are not supported by this version of Mobula")
    if strategy is None:
        strategy = "PACK"
    if not isinstance(bundles, list):
        raise ValueError(f"Placement group bundles must be a list, got {type(bundles)}.")
    if not bundles:
        raise ValueError(f"{_BUNDLES} Got empty list instead.")
    if strategy not in VALID_PLACEMENT_GROUP_STRATEGIES:
        raise ValueError(f"Invalid placement group strategy {strategy}. Supported strategies are: {sorted(VALID_PLACEMENT_GROUP_STRATEGIES)}.")
    if lifetime not in (None, "detached"):
        raise ValueError(f"Placement group `lifetime` argument must be either `None` or 'detached'. Got {lifetime}.")
    request = session_pb2.CreatePlacementGroup(
        placement_group_id=os.urandom(16),
        strategy=_PREFIX + strategy,
        name=name,
        detached=lifetime == "detached",
        bundles=[session_pb2.Bundle(resources=_units(bundle)) for bundle in bundles],
    )
    reply = _context.session().query(session_pb2.Query(create_placement_group=request))
    if reply.HasField("error"):
        raise RaySystemError(reply.error.message)
    return PlacementGroup(PlacementGroupID(request.placement_group_id), [dict(bundle) for bundle in bundles])


def _units(bundle: Mapping[str, float]) -> dict[str, int]:
    if not isinstance(bundle, Mapping):
        raise ValueError(f"{_BUNDLES} Got the bundle {bundle!r}.")
    units = {}
    for name, quantity in bundle.items():
        if not isinstance(name, str) or isinstance(quantity, bool) or not isinstance(quantity, int | float) or quantity < 0:
            raise ValueError(f"{_BUNDLES} Got {name!r}: {quantity!r}.")
        if quantity and not (name.startswith("node:") and name in _options.node_names()):
            units[name] = int(quantity) if name == "memory" else round(quantity * _UNIT)
    if not units:
        raise ValueError(f"Bundles cannot be an empty dictionary or resources with only 0 values. Got the bundle {dict(bundle)!r}.")
    return units


def _quantities(units: Mapping[str, int]) -> dict[str, float]:
    return {name: float(amount) if name == "memory" else amount / _UNIT for name, amount in units.items()}


def _ask(query: session_pb2.Query) -> session_pb2.Reply:
    reply = _context.session().query(query)
    if reply.HasField("error"):
        raise ValueError(reply.error.message)
    return reply


class _Info:
    """What the node knows of a group."""

    def __init__(self, info: session_pb2.PlacementGroupInfo) -> None:
        self.id = info.placement_group_id
        self.bundles = [_quantities(bundle.resources) for bundle in info.bundles]
        self.table: dict[str, Any] = {
            "placement_group_id": info.placement_group_id.hex(),
            "name": info.name,
            "bundles": dict(enumerate(self.bundles)),
            "bundles_to_node_id": {i: info.bundle_nodes[i].hex() if i < len(info.bundle_nodes) else "" for i in range(len(self.bundles))},
            "strategy": session_pb2.PlacementGroupStrategy.Name(info.strategy).removeprefix(_PREFIX),
            "state": _STATES[info.state],
            "stats": {"scheduling_state": info.reason},
        }


def _list(id: bytes = b"", name: str = "") -> list[_Info]:
    request = session_pb2.ListPlacementGroups(placement_group_id=id, name=name)
    return [_Info(info) for info in _ask(session_pb2.Query(list_placement_groups=request)).placement_groups]


def _find(id: bytes) -> _Info:
    for info in _list(id=id):
        return info
    raise ValueError(f"there is no placement group {id.hex()}")


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Gives a group's resources back. Tasks and actors inside it are ended. Removing it again does nothing."""
    assert isinstance(placement_group, PlacementGroup), f"a placement group is wanted, not a {type(placement_group).__name__}"
    request = session_pb2.RemovePlacementGroup(placement_group_id=placement_group.id.binary())
    _ask(session_pb2.Query(remove_placement_group=request))


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """Returns the group of that name in the namespace. Raises ``ValueError`` when there is none."""
    if not placement_group_name:
        raise ValueError("Please supply a non-empty value to get_placement_group")
    for info in _list(name=placement_group_name):
        if info.table["state"] != "REMOVED":
            return PlacementGroup(PlacementGroupID(info.id), info.bundles)
    raise ValueError(f"Failed to look up placement group with name: {placement_group_name}")


def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """Returns what is known of a group, or of all groups by their ids."""
    if placement_group is not None:
        return _find(placement_group.id.binary()).table
    return {info.table["placement_group_id"]: info.table for info in _list()}


def get_current_placement_group() -> PlacementGroup | None:
    """Returns the group in which the calling task or actor runs; None outside of one, and in a driver."""
    group = mobula.get_runtime_context().get_placement_group_id()
    return None if group is None else PlacementGroup(PlacementGroupID(bytes.fromhex(group)))


def check_placement_group_index(placement_group: PlacementGroup, bundle_index: int) -> None:
    """Raises ``ValueError`` for an index that the group does not have."""
    if placement_group.is_empty:
        if bundle_index != -1:
            raise ValueError("a bundle index needs a placement group")
    elif not -1 <= bundle_index < placement_group.bundle_count:
        raise ValueError(f"bundle index {bundle_index} is not between -1 and {placement_group.bundle_count - 1}")
