"""Ray's ``ray.job_config`` and the logging configuration of a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["JobConfig", "LoggingConfig"]


@dataclass(slots=True)
class JobConfig:
    """What ``init(job_config=…)`` takes: the runtime environment, namespace and metadata of the job."""

    runtime_env: dict[str, Any] | None = None
    ray_namespace: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    code_search_path: list[str] | None = None
    default_actor_lifetime: str = "non_detached"

    def __post_init__(self) -> None:
        if self.default_actor_lifetime not in ("detached", "non_detached"):
            raise ValueError("Default actor lifetime must be one of `detached`, `non_detached`")
        if not isinstance(self.code_search_path, (list, tuple, type(None))):
            raise TypeError(f"The type of code search path is incorrect: {type(self.code_search_path)}")

    def set_metadata(self, key: str, value: str) -> None:
        """Adds one entry to the metadata of the job."""
        self.metadata[key] = value

    def set_runtime_env(self, runtime_env: dict[str, Any] | None, validate: bool = False) -> None:
        """Replaces the runtime environment."""
        self.runtime_env = runtime_env

    def set_ray_namespace(self, ray_namespace: str) -> None:
        """Sets the namespace of the job."""
        self.ray_namespace = ray_namespace


@dataclass(slots=True, frozen=True)
class LoggingConfig:
    """How the loggers of driver and workers write: encoding TEXT or JSON, and the level of the root logger."""

    encoding: str = "TEXT"
    log_level: str = "INFO"
    additional_log_standard_attrs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.encoding not in ("TEXT", "JSON"):
            raise ValueError(f"Invalid encoding type: {self.encoding}. Valid encoding types are: ['JSON', 'TEXT']")
