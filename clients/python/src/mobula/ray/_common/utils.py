"""Ray's ``ray._common.utils``, as far as programs use it."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Coroutine
from typing import Any

from mobula.ray._private.ray_constants import env_bool, env_float, env_integer
from mobula.ray._private.utils import binary_to_hex, get_or_create_event_loop, get_system_memory, hex_to_binary

__all__ = [
    "binary_to_hex", "env_bool", "env_float", "env_integer", "get_or_create_event_loop", "get_system_memory", "hex_to_binary", "import_attr",
    "load_class", "run_background_task",
]  # fmt: skip

_running: set[asyncio.Task[Any]] = set()


def import_attr(full_path: str, *, reload_module: bool = False) -> Any:
    """Returns what ``package.module.name`` or ``package.module:name`` names."""
    if full_path is None:
        raise TypeError("import path cannot be None")
    module_name, _, name = full_path.replace(":", ".").rpartition(".")
    module = importlib.import_module(module_name)
    if reload_module:
        module = importlib.reload(module)
    return getattr(module, name)


def load_class(path: str) -> Any:
    """As ``import_attr``. Raises ValueError for a path without a dot."""
    if "." not in path:
        raise ValueError("You need to pass a valid path like mymodule.provider_class")
    return import_attr(path)


def run_background_task(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Starts a coroutine as a task that is kept until it ends."""
    task = get_or_create_event_loop().create_task(coroutine)
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task
