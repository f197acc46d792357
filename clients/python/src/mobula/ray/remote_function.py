"""Ray's ``ray.remote_function``."""

from mobula import RemoteFunction

__all__ = ["RemoteFunction"]
