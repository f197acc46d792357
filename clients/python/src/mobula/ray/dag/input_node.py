"""Ray's ``ray.dag.input_node``."""

from mobula.dag import DAGInputData, InputAttributeNode, InputNode

__all__ = ["DAGInputData", "InputAttributeNode", "InputNode"]
