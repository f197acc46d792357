"""The fields of a runtime environment, and what each may be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

FIELDS = frozenset({
    "config", "conda", "container", "env_vars", "excludes", "image_uri", "java_jars", "nsight", "pip", "py_executable", "py_modules", "uv",
    "worker_process_setup_hook", "working_dir",
})  # fmt: skip
"""The fields that have a meaning in Ray. Others are passed on, and do nothing."""

_REFUSED = {
    "conda": "use pip or uv, or py_executable with the interpreter of a conda environment that exists",
    "container": "start the node inside the container",
    "image_uri": "start the node inside the container",
    "java_jars": "Mobula has no Java workers",
    "nsight": "run the worker under a profiler with py_executable",
    "_nsight": "run the worker under a profiler with py_executable",
    "rocprof_sys": "run the worker under a profiler with py_executable",
    "_rocprof_sys": "run the worker under a profiler with py_executable",
    "mpi": "start MPI inside a task",
}


class RuntimeEnvConfig(dict[str, Any]):
    """How a runtime environment is set up.

    Args:
        setup_timeout_seconds: how long that may take; -1 is without limit.
        eager_install: whether the environment of a job is set up by ``init`` ahead of its first task.
        log_files: not used here.

    Raises:
        TypeError: a value has the wrong type.
        ValueError: the timeout is 0 or negative, and not -1.
    """

    known_fields = frozenset({"setup_timeout_seconds", "eager_install", "log_files"})

    def __init__(self, setup_timeout_seconds: int = 600, eager_install: bool = True, log_files: list[str] | None = None) -> None:
        if not isinstance(setup_timeout_seconds, int):
            raise TypeError(f"setup_timeout_seconds must be of type int, got: {type(setup_timeout_seconds)}")
        if setup_timeout_seconds < -1 or setup_timeout_seconds == 0:
            raise ValueError(f"setup_timeout_seconds must be greater than zero or equals to -1, got: {setup_timeout_seconds}")
        if not isinstance(eager_install, bool):
            raise TypeError(f"eager_install must be a boolean. got {type(eager_install)}")
        if log_files is not None and not (isinstance(log_files, list) and all(isinstance(f, str) for f in log_files)):
            raise TypeError(f"log_files must be a list of strings or None, got {log_files}")
        super().__init__(setup_timeout_seconds=setup_timeout_seconds, eager_install=eager_install, log_files=log_files or [])

    def to_dict(self) -> dict[str, Any]:
        """Returns a plain copy."""
        return dict(self)

    @classmethod
    def parse_and_validate_runtime_env_config(cls, config: Mapping[str, Any]) -> RuntimeEnvConfig:
        """Makes one of a plain dict. Unknown keys are left out with a warning."""
        if isinstance(config, cls):
            return config
        if not isinstance(config, Mapping):
            raise TypeError(f"runtime_env['config'] must be of type dict or RuntimeEnvConfig, got: {type(config)}")
        unknown = set(config) - cls.known_fields
        if unknown:
            import warnings

            warnings.warn(f"The following unknown entries in the runtime_env_config dictionary will be ignored: {unknown}.", stacklevel=2)
        return cls(**{k: v for k, v in config.items() if k in cls.known_fields})


def is_uri(text: str) -> bool:
    return "://" in text


def _check_path(text: str) -> None:
    if not is_uri(text) and not os.path.exists(text):
        raise ValueError(f"{text} is not a valid path.")


def _working_dir(value: Any) -> str:
    if hasattr(value, "__fspath__"):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise TypeError(f"`working_dir` must be a string, got {type(value)}.")
    _check_path(value)
    return value


def _py_modules(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"`py_modules` must be a list of strings, got {type(value)}.")
    out = []
    for module in value:
        if hasattr(module, "__fspath__"):
            module = os.fspath(module)
        elif type(module).__name__ == "module":
            path = list(getattr(module, "__path__", ()))
            if len(path) > 1:
                raise ValueError("py_modules only supports modules whose __path__ has length 1 or those who are single-file.")
            module = path[0] if path else module.__file__
        if not isinstance(module, str):
            raise TypeError(f"`py_module` must be a string, got {type(module)}.")
        _check_path(module)
        out.append(module)
    return out


def _excludes(value: Any) -> list[str] | None:
    if not isinstance(value, list) or not all(isinstance(p, str) for p in value):
        raise TypeError(f"runtime_env['excludes'] must be of type List[str], got {type(value)}")
    return value or None


def _env_vars(value: Any) -> dict[str, str] | None:
    if not value and value is not None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], got {type(value)}")
    for name, text in value.items():
        if not isinstance(name, str):
            raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], but the key {name} is of type {type(name)}")
        if not isinstance(text, str):
            raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], but the value {text} is of type {type(text)}")
    return dict(value)


_INSTALLER_FIELDS: dict[str, dict[str, type]] = {
    "pip": {"packages": object, "pip_check": bool, "pip_version": str, "pip_install_options": list},
    "uv": {"packages": object, "uv_check": bool, "uv_version": str, "uv_pip_install_options": list},
}


def _packages(tool: str, value: Any) -> dict[str, Any] | None:
    """Returns packages for pip or uv as a dict, None when there are none."""
    fields = _INSTALLER_FIELDS[tool]
    if isinstance(value, str):
        value = {"packages": _read_requirements(value)}
    elif isinstance(value, list):
        value = {"packages": value}
    elif not isinstance(value, dict):
        raise TypeError(f"runtime_env['{tool}'] must be of type str, List[str] or dict, got {type(value)}")
    if set(value) - set(fields):
        raise ValueError(f"runtime_env['{tool}'] can only have these fields: {', '.join(fields)}, but got: {list(value)}")
    if "packages" not in value:
        raise ValueError(f"runtime_env['{tool}'] must include field 'packages', but got {value}")
    for name, wanted in fields.items():
        if name in value and not isinstance(value[name], wanted):
            raise TypeError(f"runtime_env['{tool}']['{name}'] must be of type {wanted.__name__}, got {type(value[name])}")
    out = dict(value)
    if tool == "pip" and isinstance(out["packages"], str):
        out["packages"] = _read_requirements(out["packages"])
    if not isinstance(out["packages"], list):
        raise ValueError(f"runtime_env['{tool}']['packages'] must be of type list, got: {type(out['packages'])}")
    for name in ("packages", f"{tool}_install_options" if tool == "pip" else "uv_pip_install_options"):
        for i, item in enumerate(out.get(name, ())):
            if not isinstance(item, str):
                raise TypeError(f"runtime_env['{tool}']['{name}'] must be of type list[str] got {type(item)} for {i}-th item.")
    out["packages"] = list(dict.fromkeys(out["packages"]))
    out[f"{tool}_check"] = out.get(f"{tool}_check", False)
    return out if out["packages"] else None


def _read_requirements(path: str) -> list[str]:
    if not os.path.isfile(path):
        raise ValueError(f"{path} is not a valid file")
    with open(path, encoding="utf-8") as f:
        return f.read().strip().split("\n")


def _hook(value: Any) -> Any:
    if not isinstance(value, str) and not callable(value):
        raise TypeError(f"worker_process_setup_hook must be a function, or a string that names one, got {type(value)}.")
    return value


def _py_executable(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"runtime_env['py_executable'] must be a string, got {value!r}")
    return value


_CHECKS = {
    "working_dir": _working_dir,
    "py_modules": _py_modules,
    "excludes": _excludes,
    "env_vars": _env_vars,
    "pip": lambda v: _packages("pip", v),
    "uv": lambda v: _packages("uv", v),
    "config": RuntimeEnvConfig.parse_and_validate_runtime_env_config,
    "worker_process_setup_hook": _hook,
    "py_executable": _py_executable,
}


def field(name: str, value: Any) -> Any:
    """Checks one field and returns it in its normal form; None when it says nothing."""
    if value is None:
        return None
    check = _CHECKS.get(name)
    return check(value) if check is not None else value


def normalized(given: Mapping[str, Any]) -> dict[str, Any]:
    """Checks the fields of an environment and returns those that say something."""
    if sum(given.get(name) is not None for name in ("pip", "uv", "conda")) > 1:
        raise ValueError(
            "The 'pip' field, 'uv' field, and 'conda' field of runtime_env cannot be specified at the same time.\n"
            f"specified pip field: {given.get('pip')}\nspecified conda field: {given.get('conda')}\nspecified uv field: {given.get('uv')}"
        )
    for name in ("container", "image_uri"):
        if given.get(name) and (others := sorted(set(given) - {name, "config", "env_vars"})):
            raise ValueError(f"The '{name}' field currently cannot be used together with other fields of runtime_env. Specified fields: {others}")
    checked = {name: field(name, value) for name, value in given.items()}
    return {name: value for name, value in checked.items() if value is not None}


def check_job(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the environment of a job in its normal form. Raises TypeError or ValueError for what cannot be, or is not there."""
    env = normalized(given or {})
    for name, hint in _REFUSED.items():
        if env.get(name):
            raise ValueError(f"Mobula does not have the field '{name}' of runtime_env: {hint}")
    directory = env.get("working_dir", "")
    if directory and not is_uri(directory) and not os.path.isdir(directory) and not directory.endswith(_archives()):
        raise ValueError(f"directory {directory} must be an existing directory or a supported archive ({', '.join(_archives())})")
    return env


def _archives() -> tuple[str, ...]:
    from mobula._snapshot import ARCHIVES

    return ARCHIVES


def check_task(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the environment of a task or an actor in its normal form. As with Ray, its directories are URIs: only a job can send local ones.

    Raises TypeError or ValueError for what cannot be.
    """
    env = check_job(given)
    for text in [env.get("working_dir"), *env.get("py_modules", ())]:
        if text is not None and not is_uri(text):
            raise ValueError(
                f"{text} is not a valid URI. Passing directories or modules to be dynamically uploaded is only supported at the job level "
                "(i.e., passed to `ray.init`)."
            )
    return env
