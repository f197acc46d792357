"""Ray's ``ray.experimental.compiled_dag_ref``."""

from mobula.dag import CompiledDAGFuture, CompiledDAGRef

__all__ = ["CompiledDAGFuture", "CompiledDAGRef"]
