"""Ray's ``ray.runtime_env``: dictionaries with checked keys. Everywhere a plain dict does as well."""

from mobula.runtime_env import RuntimeEnv, RuntimeEnvConfig

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
