"""What a driver, or a task that submits others, sends of an environment."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from mobula._context import process
from mobula._runtime_env.fields import check_task, is_uri

VARIABLE = "MOBULA_RUNTIME_ENV"
"""The variable that carries the environment of a worker."""

HOOK = "_setup_hook"
"""The field with a setup hook that is a function: its pickle, in base64."""

_HOOK_MAX = 64 << 10
_KEEP = 10 << 30


def merge(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the environment of a task: its own fields replace those of the submitter's, its variables are added to theirs."""
    merged = {**parent, **child}
    if "worker_process_setup_hook" in child and HOOK not in child:
        merged.pop(HOOK, None)
    for ours, theirs in (("pip", "uv"), ("uv", "pip")):
        if ours in child:
            merged.pop(theirs, None)
    variables = {**(parent.get("env_vars") or {}), **(child.get("env_vars") or {})}
    if variables:
        merged["env_vars"] = variables
    return merged


def encode(env: Mapping[str, Any]) -> str:
    """Returns an environment as JSON, the same for the same content. A setup hook that is a function goes by value."""
    out = {name: value for name, value in env.items() if value is not None}
    hook = out.get("worker_process_setup_hook")
    if hook is not None and not isinstance(hook, str):
        out["worker_process_setup_hook"], out[HOOK] = getattr(hook, "__name__", repr(hook)), _pickled_hook(hook)
    return json.dumps(out, sort_keys=True, default=str)


def _pickled_hook(hook: Any) -> str:
    from mobula.exceptions import RuntimeEnvSetupError

    try:
        import cloudpickle

        data = cloudpickle.dumps(hook)
    except Exception as e:
        raise RuntimeEnvSetupError("Failed to export the setup function.") from e
    if len(data) > _HOOK_MAX:
        raise RuntimeEnvSetupError(f"Failed to export the setup function: it has {len(data)} bytes with what it refers to, and may have {_HOOK_MAX}.")
    return base64.b64encode(data).decode()


def resolve(env: Mapping[str, Any], node_directory: str) -> dict[str, Any]:
    """Takes snapshots of the local directories of a job's environment, below its node's directory, and returns it with their URIs.

    Raises RuntimeEnvSetupError for what is too large or cannot be read.
    """
    from mobula import _snapshot
    from mobula.exceptions import RuntimeEnvSetupError

    out = dict(env)
    excludes = out.pop("excludes", None) or []
    directory, modules = out.get("working_dir"), out.get("py_modules", [])
    store = os.path.join(node_directory, "runtime")
    what = "working_dir"
    try:
        if directory and not is_uri(directory):
            what = f"working_dir {directory}"
            out["working_dir"] = "file://" + _snapshot.take(directory, store, [*_default_excludes(), *excludes])
        for i, module in enumerate(modules):
            if not is_uri(module):
                what = f"module {module}"
                modules = [*modules[:i], "file://" + _snapshot.take(module, store, excludes, keep_name=True), *modules[i + 1 :]]
                out["py_modules"] = modules
    except (OSError, ValueError, _snapshot.TooLarge) as e:
        raise RuntimeEnvSetupError(f"Failed to upload {what} to the cluster: {e}") from e
    if directory or modules:
        _snapshot.sweep(store, _KEEP)
    return out


def _default_excludes() -> list[str]:
    text = os.environ.get("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", ".git,.venv,venv,__pycache__")
    return [p for p in text.split(",") if p]


def fill(out: Any, given: Mapping[str, Any] | None) -> None:
    """Writes the environment of a task or an actor into a ``task_pb2.Options``: that of this process, changed by the one that is given.

    Raises TypeError or ValueError for what cannot be.
    """
    env: Mapping[str, Any] = process.info.get("runtime_env") or {}
    if given:
        env = merge(env, check_task(given))
    elif process.worker is None:
        return  # the node knows that of the job
    if env:
        out.env.update(env.get("env_vars") or {})
        out.runtime_env = encode(env)
