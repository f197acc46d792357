"""Ray's ``ray.dag.function_node``."""

from mobula.dag import FunctionNode

__all__ = ["FunctionNode"]
