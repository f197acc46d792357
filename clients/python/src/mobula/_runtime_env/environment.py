"""`RuntimeEnv`, by which users describe an environment and see that of their process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mobula._context import process
from mobula._runtime_env.fields import FIELDS, field, normalized
from mobula._runtime_env.send import HOOK, encode


class RuntimeEnv(dict[str, Any]):
    """What workers of a job, a task or an actor need beside its code. A plain dict with the same keys does as well everywhere.

    Args:
        py_modules: local directories, .py files, wheels or imported modules that workers can import; of a job only, as with Ray.
        py_executable: the interpreter of the workers, or a command that ends in one.
        working_dir: a local directory or archive in which workers start, and from which they import; of a job only. Or a ``file://`` or
            ``https://`` URI of an archive.
        pip: packages: a list, the path of a requirements file, or a dict with ``packages``, ``pip_check``, ``pip_version`` and
            ``pip_install_options``.
        uv: likewise, for uv.
        env_vars: variables of the workers' environment; ``${NAME}`` in a value is replaced.
        worker_process_setup_hook: a function, or "module.function", that runs in each worker before its first task.
        config: a `RuntimeEnvConfig` or a dict like it.
        fields: ``excludes``, patterns as in .gitignore of what of the directories is left out; and what other fields there may be.

    Raises:
        TypeError, ValueError: a field has the wrong type, or two exclude each other.
    """

    known_fields = FIELDS

    def __init__(
        self,
        *,
        py_modules: list[str] | None = None,
        py_executable: str | None = None,
        working_dir: str | None = None,
        pip: list[str] | str | dict[str, Any] | None = None,
        conda: dict[str, str] | str | None = None,
        container: dict[str, str] | None = None,
        env_vars: dict[str, str] | None = None,
        worker_process_setup_hook: object = None,
        nsight: object = None,
        config: Mapping[str, Any] | None = None,
        image_uri: str | None = None,
        uv: list[str] | str | dict[str, Any] | None = None,
        _validate: bool = True,
        **fields: Any,
    ) -> None:
        given = {
            **fields, "py_modules": py_modules, "py_executable": py_executable, "working_dir": working_dir, "pip": pip, "uv": uv,
            "conda": conda, "container": container, "env_vars": env_vars, "config": config, "image_uri": image_uri,
            "worker_process_setup_hook": worker_process_setup_hook, "_nsight": nsight,
        }  # fmt: skip
        given = {name: value for name, value in given.items() if value is not None}
        super().__init__(normalized(given) if _validate else given)

    def __setitem__(self, name: str, value: Any) -> None:
        value = field(name, value)
        if value is not None:
            super().__setitem__(name, value)

    def set(self, name: str, value: Any) -> None:
        """Sets a field, which is checked."""
        self[name] = value

    def serialize(self) -> str:
        """Returns the fields as JSON."""
        return encode(self)

    @classmethod
    def deserialize(cls, text: str) -> RuntimeEnv:
        """Makes one of JSON that serialize has written."""
        return cls(_validate=False, **json.loads(text))

    def to_dict(self) -> dict[str, Any]:
        """Returns a plain copy."""
        return {k: dict(v) if isinstance(v, dict) else v for k, v in self.items()}

    def env_vars(self) -> dict[str, str]:
        """Returns the variables."""
        return dict(self.get("env_vars") or {})

    def has_working_dir(self) -> bool:
        """Reports whether there is a working directory."""
        return self.get("working_dir") is not None

    def working_dir(self) -> str:
        """Returns the working directory, empty without one."""
        return str(self.get("working_dir") or "")

    def py_modules(self) -> list[str]:
        """Returns the modules."""
        return list(self.get("py_modules") or [])

    def has_pip(self) -> bool:
        """Reports whether there are packages for pip."""
        return bool(self.get("pip"))

    def has_uv(self) -> bool:
        """Reports whether there are packages for uv."""
        return bool(self.get("uv"))


def shown(text: str) -> RuntimeEnv:
    """Returns an environment that encode has written as users see it."""
    return _shown(json.loads(text) if text else {})


def inherited() -> RuntimeEnv:
    """Returns the environment of this process as users see it."""
    return _shown(process.info.get("runtime_env") or {})


def _shown(env: Mapping[str, Any]) -> RuntimeEnv:
    return RuntimeEnv(_validate=False, **{name: value for name, value in env.items() if name != HOOK})
