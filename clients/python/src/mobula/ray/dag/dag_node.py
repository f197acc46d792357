"""Ray's ``ray.dag.dag_node``."""

from mobula.dag import DAGNode

__all__ = ["DAGNode"]
