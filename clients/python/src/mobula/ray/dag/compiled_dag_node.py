"""Ray's ``ray.dag.compiled_dag_node``."""

from mobula.dag import CompiledDAG

__all__ = ["CompiledDAG"]
