"""Serializers of the user's own, for classes that cannot be pickled or not well."""

from mobula._values import deregister_serializer, register_serializer

__all__ = ["deregister_serializer", "register_serializer"]
