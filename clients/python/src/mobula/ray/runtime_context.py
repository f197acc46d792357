"""Ray's ``ray.runtime_context``."""

from mobula._context import RuntimeContext, get_runtime_context

__all__ = ["RuntimeContext", "get_runtime_context"]
