"""Ray's ``ray.util.helpers``: results in the order in which they come."""

from mobula.util.helpers import as_completed, map_unordered

__all__ = ["as_completed", "map_unordered"]
