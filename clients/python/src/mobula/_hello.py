"""What a driver tells its node of itself when it opens the session, and of the workers that it wants."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any


def make(namespace: str | None, logs: bool, *, whole_environment: bool) -> Any:
    """Returns the first message of a session, but for the secret and what belongs to the environment of the job."""
    from mobula._gen import session_pb2
    from mobula._version import __version__

    hello = session_pb2.Hello(
        role=session_pb2.ROLE_DRIVER,
        build=f"mobula {__version__}",
        program=(sys.argv[0] if sys.argv else "") or "python",
        namespace=namespace or "",
        wants_logs=logs,
        worker_args=[sys.executable],
    )
    try:
        hello.working_dir = os.getcwd()
    except OSError:  # it was removed: workers start in the node's directory
        pass
    for name, value in os.environ.items():  # workers of a node of its own are this program's; those of another node have that node's environment
        if name.startswith(("OTEL_", "PYTHON")) or name in _PASSED_ON or (whole_environment and _is_ordinary(name, value)):
            hello.worker_env[name] = value
    hello.worker_env["MOBULA_DRIVER_PATH"] = os.pathsep.join(_import_path())
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.basename(home) not in ("site-packages", "dist-packages"):  # workers must find this package before they know that path
        paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
        if home not in paths:
            hello.worker_env["PYTHONPATH"] = os.pathsep.join([*paths, home])
    return hello


_VARIABLE_MAX = 32 << 10


def _is_ordinary(name: str, value: str) -> bool:
    """Reports whether a variable goes to workers: not the runtime's own, and not what would fill the frame."""
    if name.startswith(("MOBULA_ROLE", "MOBULA_PROCESS", "MOBULA_RUNTIME")) or len(value) > _VARIABLE_MAX:
        return False
    try:
        (name + value).encode()
    except UnicodeEncodeError:  # bytes that are no text, which a frame cannot carry
        return False
    return True


_PASSED_ON = ("MOBULA_CACHE_DIR", "MOBULA_RUNTIME_ENV_MAX_BYTES", "MOBULA_RAY", "MOBULA_TASK_MAX_RETRIES", "RAY_TASK_MAX_RETRIES", "VIRTUAL_ENV")


def _import_path() -> list[str]:
    """Returns from where the driver imports: absolute, its script's directory first."""
    path: list[str] = []
    for entry in sys.path:
        absolute = os.path.abspath(entry) if entry else os.getcwd()
        if absolute not in path:
            path.append(absolute)
    return path


def check_environment(runtime_env: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the environment of the job, checked."""
    if not runtime_env:
        return {}
    from mobula import _runtime_env

    return _runtime_env.check_job(runtime_env)


def add_environment(hello: Any, environment: dict[str, Any], directory: str) -> dict[str, Any]:
    """Writes the environment of the job into its Hello and returns it as tasks inherit it."""
    if not environment:
        return {}
    import json

    from mobula import _runtime_env

    environment = _runtime_env.resolve(environment, directory)
    text = _runtime_env.encode(environment)
    hello.worker_env[_runtime_env.VARIABLE] = text
    return json.loads(text)  # type: ignore[no-any-return]
