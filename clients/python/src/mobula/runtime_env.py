"""Runtime environments: what the workers of a job, a task or an actor need beside the code that is sent to them."""

from mobula._runtime_env import RuntimeEnv, RuntimeEnvConfig

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
