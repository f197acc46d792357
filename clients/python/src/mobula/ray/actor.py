"""Ray's ``ray.actor``."""

from mobula._actor import ActorClass, ActorClassInheritanceException, ActorHandle, ActorMethod, exit_actor
from mobula._method import method

ActorProxy = ActorHandle
"""How programs of Ray annotate a handle."""

__all__ = ["ActorClass", "ActorClassInheritanceException", "ActorHandle", "ActorMethod", "ActorProxy", "exit_actor", "method"]
