"""Ray's ``ray.types``: names for annotations."""

from mobula._refs import ObjectRef

__all__ = ["ObjectRef"]
