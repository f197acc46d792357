"""Ray's ``ray._private.ray_constants``, as far as programs read it."""

import os

DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES = 200 << 30
OBJECT_STORE_MINIMUM_MEMORY_BYTES = 75 << 20
ID_SIZE = 28
RAY_ADDRESS_ENVIRONMENT_VARIABLE = "RAY_ADDRESS"
RAY_NAMESPACE_ENVIRONMENT_VARIABLE = "RAY_NAMESPACE"
RESOURCE_CONSTRAINT_PREFIX = "accelerator_type:"
DEFAULT_TASK_MAX_RETRIES = 3
LOGGER_FORMAT = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"
LOGGER_LEVEL = "info"


def env_integer(key: str, default: int) -> int:
    """Returns the integer in the environment variable key; default when there is none."""
    text = os.environ.get(key, "")
    return int(text) if text.lstrip("-").isdigit() else default


def env_float(key: str, default: float) -> float:
    """Returns the number in the environment variable key; default when there is none."""
    try:
        return float(os.environ[key])
    except (KeyError, ValueError):
        return default


def env_bool(key: str, default: bool) -> bool:
    """Returns whether the environment variable key is "1" or "true"; default when there is none."""
    return os.environ[key].lower() in ("1", "true") if key in os.environ else default
