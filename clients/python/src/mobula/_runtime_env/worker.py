"""How a worker becomes one of its environment."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from mobula._context import process
from mobula._runtime_env.send import HOOK, VARIABLE

PATH = "MOBULA_RUNTIME_PATH"
"""The variable with the additions to the import path, from the process that prepared the environment."""

USES = "MOBULA_RUNTIME_USES"
"""The variable with the directories that are in use."""


def enter() -> None:
    """Makes a worker one of its environment: what it imports, what its own tasks inherit. Called once, before any code of the user."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return
    from mobula import _snapshot

    env = json.loads(text)
    process.info["runtime_env"] = env
    for path in _list(os.environ.pop(USES, "")):
        with contextlib.suppress(OSError):
            _snapshot.use(path)
    for entry in reversed(_list(os.environ.pop(PATH, ""))):
        sys.path.insert(0, entry)
    _own_packages_first()


def run_hook() -> None:
    """Runs the setup hook of this worker, which has its session. What it raises ends the worker."""
    env = process.info.get("runtime_env") or {}
    hook = env.get("worker_process_setup_hook")
    if hook is not None:
        load_hook(env, hook)()


def _list(text: str) -> list[str]:
    return [part for part in text.split(os.pathsep) if part]


def _own_packages_first() -> None:
    """Puts what was installed for the environment before what the driver's interpreter has, which the driver's own path names too."""
    if sys.prefix == sys.base_prefix:
        return
    own = os.path.join(sys.prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
    if own not in sys.path:
        return
    sys.path.remove(own)
    at = next((i for i, entry in enumerate(sys.path) if entry.endswith(("site-packages", "dist-packages"))), len(sys.path))
    sys.path.insert(at, own)


def load_hook(env: Mapping[str, Any], name: str) -> Any:
    """Returns the setup hook of an environment: the function that was sent, or the one of that name."""
    pickled = env.get(HOOK)
    if pickled:
        import pickle

        return pickle.loads(base64.b64decode(pickled))
    import importlib

    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function)
