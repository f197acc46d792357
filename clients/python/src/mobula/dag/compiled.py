"""Graphs of actors' methods that are checked once and executed many times.

Ray's compiled graphs keep channels open between actors, which spares them the cost of a call. Here a call is cheap, and a compiled graph
is the list of its calls in order: an execution submits them all at once and passes refs between them. What a graph must look like, what
an execution takes and what its refs can do is as Ray has it; what needs channels between GPUs is refused.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import mobula
from mobula import exceptions
from mobula.dag.nodes import (
    ClassMethodNode,
    ClassNode,
    DAGInputData,
    DAGNode,
    HandleMethodNode,
    InputAttributeNode,
    InputNode,
    MultiOutputNode,
    nodes_in,
    upstream_first,
)

if TYPE_CHECKING:
    from mobula._refs import ObjectRef


class CompiledDAG:
    """A graph that was checked. `DAGNode.experimental_compile` makes it."""

    def __init__(self, root: DAGNode, enable_asyncio: bool, in_flight_max: int | None) -> None:
        """Checks the graph that ends in root. Raises NotImplementedError or ValueError for one that cannot be compiled."""
        self._order = upstream_first(root)
        self._root = root
        self._asyncio = enable_asyncio
        self._in_flight_max = in_flight_max
        self._pending: list[ObjectRef[Any]] = []  # of executions that had not ended when last looked at; only with in_flight_max
        self._executions = 0
        self._closed = False
        for node in self._order:
            _check(node, root)
        self._count, self._keywords = _inputs(self._order)

    def execute(self, *args: Any, **kwargs: Any) -> CompiledDAGRef | list[CompiledDAGRef]:
        """Runs the graph and returns the ref of its result; a list of refs for several outputs.

        Raises ValueError for inputs that are not those of the graph, RayChannelError after teardown, RayCgraphCapacityExceeded when as
        many executions have not ended as `experimental_compile` was told to allow.
        """
        if self._asyncio:
            raise ValueError("Use execute_async if enable_asyncio=True")
        refs, index = self._submit(args, kwargs)
        if isinstance(refs, list):
            return [CompiledDAGRef(ref, index, channel) for channel, ref in enumerate(refs)]
        return CompiledDAGRef(refs, index, None)

    async def execute_async(self, *args: Any, **kwargs: Any) -> CompiledDAGFuture | list[CompiledDAGFuture]:
        """Runs the graph as `execute` does, and returns what can be awaited for its result, or a list of them."""
        if not self._asyncio:
            raise ValueError("Use execute if enable_asyncio=False")
        refs, index = self._submit(args, kwargs)
        if isinstance(refs, list):
            return [CompiledDAGFuture(ref, index) for ref in refs]
        return CompiledDAGFuture(refs, index)

    def teardown(self, kill_actors: bool = False) -> None:
        """Refuses executions from now on; those that run go on. With ``kill_actors`` the actors are killed."""
        self._closed = True
        if kill_actors:
            for handle in {node._method._handle for node in self._order if isinstance(node, HandleMethodNode)}:
                mobula.kill(handle)

    def _submit(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, int]:
        """Makes the calls; returns the ref or refs of the outputs, and the number of the execution."""
        if self._closed:
            raise exceptions.RayChannelError("Channel closed.")
        if len(args) != self._count:
            raise ValueError(f"dag.execute() or dag.execute_async() must be called with {self._count} positional args, got {len(args)}")
        for keyword in self._keywords:
            if keyword not in kwargs:
                raise ValueError(f"dag.execute() or dag.execute_async() must be called with kwarg `{keyword}`")
        if self._in_flight_max is not None:
            self._check_capacity(self._in_flight_max)
        given = DAGInputData(args, kwargs)
        results: dict[DAGNode, Any] = {}
        for node in self._order:
            results[node] = self._input(node, given) if isinstance(node, (InputNode, InputAttributeNode)) else node._run(results, given)
        out = results[self._root]
        if self._in_flight_max is not None:
            self._pending.append(out[-1] if isinstance(out, list) else out)
        self._executions += 1
        return out, self._executions - 1

    @staticmethod
    def _input(node: InputNode | InputAttributeNode, given: DAGInputData) -> Any:
        if isinstance(node, InputAttributeNode):
            return given[node._key]
        return given._args[0] if given._args else given

    def _check_capacity(self, limit: int) -> None:
        if len(self._pending) >= limit:
            _, self._pending = mobula.wait(self._pending, num_returns=len(self._pending), timeout=0)
        if len(self._pending) >= limit:
            raise exceptions.RayCgraphCapacityExceeded(
                f"The compiled graph can't have more than {limit} in-flight executions, and you currently have {len(self._pending)} in-flight "
                "executions. Retrieve an output using ray.get before submitting more requests or increase `_max_inflight_executions`."
            )


class CompiledDAGRef:
    """The result of an execution, for one `mobula.get`. It cannot be passed on."""

    def __init__(self, ref: ObjectRef[Any], execution: int, channel: int | None) -> None:
        """Takes the ref of an output; `CompiledDAG.execute` does."""
        self._ref: ObjectRef[Any] | None = ref
        self._execution = execution
        self._channel = channel

    def get(self, timeout: float | None = None) -> Any:
        """Returns the value, once. Raises RayChannelTimeoutError when it takes longer than timeout seconds."""
        if self._ref is None:
            raise ValueError("ray.get() can only be called once on a CompiledDAGRef, and it was already called.")
        try:
            value = mobula.get(self._ref, timeout=timeout)
        except exceptions.GetTimeoutError as e:
            raise exceptions.RayChannelTimeoutError(f"the execution did not end within {timeout} s; its ref can be asked again") from e
        except BaseException:
            self._ref = None
            raise
        self._ref = None
        return value

    def _mobula_get(self, timeout: float | None) -> Any:
        # What `mobula.get` calls for what is not an ObjectRef.
        return self.get(timeout)

    def __reduce__(self) -> NoReturn:
        raise TypeError("Serialization of CompiledDAGRef is not supported.")

    def __repr__(self) -> str:
        return f"CompiledDAGRef(execution_index={self._execution}, channel_index={self._channel})"


class CompiledDAGFuture:
    """The result of an execution, to be awaited once."""

    def __init__(self, ref: ObjectRef[Any], execution: int) -> None:
        """Takes the ref of an output; `CompiledDAG.execute_async` does."""
        self._ref: ObjectRef[Any] | None = ref
        self._execution = execution

    def __await__(self) -> Generator[Any, None, Any]:
        ref, self._ref = self._ref, None
        if ref is None:
            raise ValueError("CompiledDAGFuture can only be awaited upon once.")
        return ref.__await__()

    def __reduce__(self) -> NoReturn:
        raise TypeError("Serialization of CompiledDAGFuture is not supported.")

    def __repr__(self) -> str:
        return f"CompiledDAGFuture(execution_index={self._execution})"


def _check(node: DAGNode, root: DAGNode) -> None:
    """Raises for a node that cannot be in a compiled graph."""
    if isinstance(node, ClassNode):
        raise ValueError("Compiled DAGs can only bind methods to an actor that is already created with Actor.remote()")
    if isinstance(node, MultiOutputNode) and node is root and node._bound_args:
        if not all(isinstance(x, ClassMethodNode) for x in node._bound_args):
            raise ValueError("the outputs of a compiled graph must be results of actors' methods")
        return
    if isinstance(node, (InputNode, InputAttributeNode)) and node is not root:
        return
    if not isinstance(node, ClassMethodNode):
        raise NotImplementedError(f"Compiled DAGs currently only support actor method nodes, not {node!r}")
    if not node._upstream:
        raise ValueError(f"No InputNode found in the DAG: when traversing upwards, no upstream node was found for {node!r}.")
    for argument in (*node._bound_args, *node._bound_kwargs.values()):
        inside = [] if isinstance(argument, DAGNode) else list(nodes_in(argument))
        if inside:
            raise ValueError(
                f"Found {len(inside)} DAGNodes from the arg {argument} in {node!r}. Please ensure that the argument is a single DAGNode and "
                "that a DAGNode is not allowed to be placed inside any type of container."
            )


def _inputs(order: list[DAGNode]) -> tuple[int, list[str]]:
    """Returns how many positional inputs a graph takes, and the keywords of the others."""
    keys = [node._key for node in order if isinstance(node, InputAttributeNode)]
    if not keys:
        return 1, []
    whole = next(node for node in order if isinstance(node, InputNode))
    if any(whole in node._upstream for node in order if isinstance(node, ClassMethodNode)):
        raise ValueError("All tasks must either use InputNode() directly, or they must index to specific args or kwargs.")
    positions = [key for key in keys if isinstance(key, int)]
    return max(positions, default=-1) + 1, [key for key in keys if isinstance(key, str)]
