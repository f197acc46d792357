"""Ray's ``ray.actor``."""

from mobula._actor import ActorClass, ActorClassInheritanceException, ActorHandle, ActorMethod, exit_actor, method

__all__ = ["ActorClass", "ActorClassInheritanceException", "ActorHandle", "ActorMethod", "exit_actor", "method"]
