"""Ray's ``ray.remote_function``."""

from mobula._remote import RemoteFunction

__all__ = ["RemoteFunction"]
