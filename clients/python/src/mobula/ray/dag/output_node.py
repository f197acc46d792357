"""Ray's ``ray.dag.output_node``."""

from mobula.dag import MultiOutputNode

__all__ = ["MultiOutputNode"]
