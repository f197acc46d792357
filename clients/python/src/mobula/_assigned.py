"""What a task or an actor was given: quantities of resources, and which GPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobula._remote import ACTOR, FUNCTION

if TYPE_CHECKING:
    from mobula._context import Task

_UNITS = 10_000.0


def resources(task: Task) -> dict[str, float]:
    """Returns the resources of a task, or of the actor that a creation made, by name; memory in bytes."""
    options = task.template.options
    if task.resources:
        out = {k: v if k == "memory" else v / _UNITS for k, v in task.resources.items() if v}
    else:
        out = {k: v / _UNITS for k, v in options.resources.items()}
        if options.HasField("num_gpus"):
            out["GPU"] = options.num_gpus / _UNITS
        if task.template.kind == FUNCTION and not options.HasField("num_cpus"):
            out["CPU"] = 1.0
        elif options.num_cpus:
            out["CPU"] = options.num_cpus / _UNITS
        if options.memory:
            out["memory"] = float(options.memory)
    if task.template.kind == ACTOR and not options.HasField("num_cpus"):
        out.pop("CPU", None)  # it needed one to be placed, and has none
    return out


class Gpus:
    """The GPUs of this process: those that it was started with, and those among them that are assigned now, by their numbers."""

    def __init__(self) -> None:
        self._visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        self.assigned: tuple[int, ...] = ()

    def ids(self) -> list[int | str]:
        """Returns the assigned ones, by the names that CUDA_VISIBLE_DEVICES has for them."""
        names = [n.strip() for n in (self._visible or "").split(",") if n.strip()]
        return [_number(names[i]) if i < len(names) else i for i in self.assigned]

    def show(self, numbers: Sequence[int]) -> None:
        """Shows the process the GPUs of the task that is about to run, or all that it was started with when the task has none."""
        self.assigned = tuple(numbers)
        if numbers:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(str(i) for i in self.ids())
        elif self._visible is None:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = self._visible


def _number(name: str) -> int | str:
    return int(name) if name.isdigit() else name
