"""Ray's ``ray.util.check_serialize``."""

from mobula._inspect import FailureTuple, inspect_serializability

__all__ = ["FailureTuple", "inspect_serializability"]
