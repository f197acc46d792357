"""Ray's ``ray.dag.class_node``."""

from mobula.dag import ClassMethodNode, ClassNode

__all__ = ["ClassMethodNode", "ClassNode"]
