"""Graphs of calls that are described first and run later: ``.bind()`` where ``.remote()`` would run at once, ``.execute()`` to run.

```python
with InputNode() as x:
    graph = add.bind(double.bind(x), 1)
mobula.get(graph.execute(3))
```
"""

from mobula.dag.compiled import CompiledDAG, CompiledDAGFuture, CompiledDAGRef
from mobula.dag.nodes import (
    ClassMethodNode,
    ClassNode,
    DAGInputData,
    DAGNode,
    FunctionNode,
    InputAttributeNode,
    InputNode,
    MultiOutputNode,
)

__all__ = [
    "ClassMethodNode", "ClassNode", "CompiledDAG", "CompiledDAGFuture", "CompiledDAGRef", "DAGInputData", "DAGNode", "FunctionNode",
    "InputAttributeNode", "InputNode", "MultiOutputNode",
]  # fmt: skip
