"""The nodes of a graph, and how a graph runs.

A node is a call that has not been made: what is called, and its arguments, among which are other nodes, also inside lists, tuples and
dicts. `DAGNode.execute` makes the calls of a node and of all above it, each once, and passes refs from one to the next, so that
independent branches run at the same time and nothing waits in the caller. A graph holds no results: each execute is a run of its own.
Nodes can be pickled, and executed elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from types import TracebackType

    from mobula._actor import ActorClass, ActorMethod
    from mobula._remote import RemoteFunction
    from mobula.dag.compiled import CompiledDAG


class DAGNode:
    """A call that has not been made."""

    _bound_args: tuple[Any, ...]
    _bound_kwargs: dict[str, Any]
    _upstream: tuple[DAGNode, ...]  # the nodes that must have run before this one, in the order in which they should
    _uuid: str

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *before: DAGNode) -> None:
        """Makes a node of its arguments and of the nodes beside them that must have run before it."""
        self._bound_args = args
        self._bound_kwargs = dict(kwargs)
        self._upstream = (*before, *nodes_in(args), *nodes_in(self._bound_kwargs))
        self._uuid = os.urandom(16).hex()

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the graph up to this node with these inputs, and returns what the call of this node returns: a ref as a rule."""
        results: dict[DAGNode, Any] = {}
        given = DAGInputData(args, kwargs)
        for node in upstream_first(self):
            results[node] = node._run(results, given)
        return results[self]

    def experimental_compile(
        self,
        _submit_timeout: float | None = None,
        _buffer_size_bytes: int | None = None,
        enable_asyncio: bool = False,
        _max_inflight_executions: int | None = None,
        _max_buffered_results: int | None = None,
        _overlap_gpu_communication: bool | None = None,
        _default_communicator: object = "create",
    ) -> CompiledDAG:
        """Checks this graph of methods of live actors once, for being run many times.

        ``_max_inflight_executions`` bounds the executions that have not ended; the limits of buffers are not needed here and change
        nothing. Raises NotImplementedError or ValueError for a graph that Ray could not compile, and for transports between GPUs.
        """
        from mobula.dag.compiled import CompiledDAG

        if _overlap_gpu_communication or _default_communicator not in ("create", None):
            raise ValueError("Mobula has no channels between GPUs: neither _overlap_gpu_communication nor a communicator can be honoured")
        return CompiledDAG(self, enable_asyncio, _max_inflight_executions)

    def with_tensor_transport(
        self, transport: object = "auto", device: str = "default", _static_shape: bool = False, _direct_return: bool = False
    ) -> DAGNode:
        """Returns this node for a transport that goes through shared memory; raises ValueError for one that does not."""
        if transport not in ("auto", "shm") or device != "default":
            raise ValueError(f"tensors go through shared memory in Mobula: transport {transport!r} to device {device!r} cannot be honoured")
        return self

    def get_args(self) -> tuple[Any, ...]:
        """Returns the positional arguments that were bound."""
        return self._bound_args

    def get_kwargs(self) -> dict[str, Any]:
        """Returns the keyword arguments that were bound."""
        return dict(self._bound_kwargs)

    def get_options(self) -> dict[str, Any]:
        """Returns the options of the call."""
        return {}

    def get_stable_uuid(self) -> str:
        """Returns an id of this node, which pickling keeps."""
        return self._uuid

    def _run(self, results: Mapping[DAGNode, Any], given: DAGInputData) -> Any:
        """Makes the call. The results are those of all nodes upstream, what is given the inputs of this execution."""
        raise NotImplementedError

    def _call(self, call: Callable[..., Any], results: Mapping[DAGNode, Any]) -> Any:
        if not self._upstream:
            return call(*self._bound_args, **self._bound_kwargs)
        return call(*replaced(self._bound_args, results), **replaced(self._bound_kwargs, results))

    def _name(self) -> str:
        return self._uuid

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name()})"


class FunctionNode(DAGNode):
    """A call of a remote function."""

    def __init__(self, function: RemoteFunction[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Makes a node; ``f.bind()`` does."""
        super().__init__(args, kwargs)
        self._function = function

    def get_options(self) -> dict[str, Any]:
        """Returns the options of the function."""
        return dict(self._function._options)

    def _run(self, results: Mapping[DAGNode, Any], given: DAGInputData) -> Any:
        return self._call(self._function.remote, results)

    def _name(self) -> str:
        return self._function._function_name


class ClassNode(DAGNode):
    """The making of an actor, of which methods can be bound. Every execute makes an actor of its own."""

    def __init__(self, cls: ActorClass[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Makes a node; ``A.bind()`` does. Raises ValueError for inputs of the graph among the arguments."""
        super().__init__(args, kwargs)
        self._actor_class = cls
        # The method that was bound last: methods run in the order in which they were bound, those that nobody uses the result of too.
        self._last: ClassMethodNode | None = None
        if any(isinstance(node, (InputNode, InputAttributeNode)) for node in self._upstream):
            raise ValueError(
                "InputNode handles user dynamic input the DAG, and cannot be used as args, kwargs, or other_args_to_resolve in ClassNode "
                "constructor because it is not available at class construction or binding time."
            )

    def __getattr__(self, name: str) -> UnboundMethod:
        if name.startswith("_") or name == "bind":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        getattr(self._actor_class._class, name)
        return UnboundMethod(self, name, {})

    def get_options(self) -> dict[str, Any]:
        """Returns the options of the actor."""
        return dict(self._actor_class._default_options)

    def _run(self, results: Mapping[DAGNode, Any], given: DAGInputData) -> Any:
        return self._call(self._actor_class.remote, results)

    def _name(self) -> str:
        return self._actor_class._class_name


class UnboundMethod:
    """A method of an actor that will be made."""

    def __init__(self, node: ClassNode, name: str, options: dict[str, Any]) -> None:
        """Makes it with options for its calls."""
        self._node = node
        self._method_name = name
        self._options = options

    def bind(self, *args: Any, **kwargs: Any) -> ClassMethodNode:
        """Returns the node of a call, which runs after those that were bound before it."""
        node = self._node._last = _FutureMethodNode(self._node, self._method_name, self._options, args, kwargs)
        return node

    def options(self, **options: Any) -> UnboundMethod:
        """Returns this method with other options for its calls."""
        return UnboundMethod(self._node, self._method_name, {**self._options, **options})


class ClassMethodNode(DAGNode):
    """A call of a method of an actor."""

    def get_method_name(self) -> str:
        """Returns the name of the method."""
        raise NotImplementedError


class _FutureMethodNode(ClassMethodNode):
    """A call of a method of an actor that the same execute makes."""

    def __init__(self, actor: ClassNode, name: str, options: dict[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        before = (actor,) if actor._last is None else (actor, actor._last)
        super().__init__(args, kwargs, *before)
        self._actor = actor
        self._method_name = name
        self._options = options

    def get_method_name(self) -> str:
        return self._method_name

    def get_options(self) -> dict[str, Any]:
        return dict(self._options)

    def _run(self, results: Mapping[DAGNode, Any], given: DAGInputData) -> Any:
        method = getattr(results[self._actor], self._method_name)
        return self._call((method.options(**self._options) if self._options else method).remote, results)

    def _name(self) -> str:
        return f"{self._actor._name()}.{self._method_name}"


class HandleMethodNode(ClassMethodNode):
    """A call of a method of an actor that is there."""

    def __init__(self, method: ActorMethod, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Makes a node; ``handle.method.bind()`` does."""
        super().__init__(args, kwargs)
        self._method = method

    def get_method_name(self) -> str:
        """Returns the name of the method."""
        return self._method._method.name

    def get_options(self) -> dict[str, Any]:
        """Returns the options of the call."""
        return {**self._method._method.options, **(self._method._overrides or {})}

    def _run(self, results: Mapping[DAGNode, Any], given: DAGInputData) -> Any:
        return self._call(self._method.remote, results)

    def _name(self) -> str:
        return f"{self._method._handle!r}.{self._method._method.name}"


class MethodOutputNode(ClassMethodNode):
    """One of the results of a method that returns several."""

    def __init__(self, call: HandleMethodNode, index: int) -> None:
        """Makes the node of the result with that index."""
        super().__init__((call,), {})
        self._of = call
        self._index = index

    def get_method_name(self) -> str:
        """Returns the name of what this node does."""
        return f"return_idx_{self._index}"

    def _run(self, results: Mapping[DAGNode, Any], given: DAGInputData) -> Any:
        return results[self._of][self._index]

    def _name(self) -> str:
        return f"{self._of._name()}[{self._index}]"


def bind_method(method: ActorMethod, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ClassMethodNode | tuple[ClassMethodNode, ...]:
    """Returns the node of a call of a live actor's method; with ``num_returns`` above 1 a node for each of its results."""
    call = HandleMethodNode(method, args, kwargs)
    returns = call.get_options().get("num_returns")
    if isinstance(returns, int) and returns > 1:
        return tuple(MethodOutputNode(call, i) for i in range(returns))
    return call


class DAGInputData:
    """What an execute was given when that is not one value: ``data[0]``, ``data["name"]``."""

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Takes the arguments of an execute."""
        self._args = args
        self._kwargs = dict(kwargs)

    def __getitem__(self, key: int | str) -> Any:
        return self._args[key] if isinstance(key, int) else self._kwargs[key]


class InputNode(DAGNode):
    """The input of a graph, for use as ``with InputNode() as x``: x itself, ``x[0]``, ``x["key"]`` or ``x.name`` can be bound.

    When an execute has one argument, x is that argument, ``x[k]`` its item and ``x.name`` its attribute. When it has another number of
    them, ``x[0]`` is the first one and ``x.name`` the one with that keyword.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Makes the node. Raises ValueError for arguments."""
        if args or kwargs:
            raise ValueError("InputNode should not take any args or kwargs.")
        super().__init__((), {})
        self._entered = False

    def __enter__(self) -> InputNode:
        self._entered = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        pass

    def __getattr__(self, name: str) -> InputAttributeNode:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return InputAttributeNode(self, name, attribute=True)

    def __getitem__(self, key: int | str) -> InputAttributeNode:
        assert isinstance(key, (int, str)), "Please only use int index or str as first-level key to access fields of dag input."
        return InputAttributeNode(self, key, attribute=False)

    def __iter__(self) -> NoReturn:
        raise TypeError("an InputNode cannot be iterated over: how many inputs there will be is not known. Use x[0], x[1], …")

    def _run(self, results: Mapping[DAGNode, Any], given: DAGInputData) -> Any:
        assert self._entered, (
            "InputNode is a singleton instance that should be only used in context manager for dag building and execution. "
            "See the docstring of class InputNode for examples."
        )
        return given._args[0] if len(given._args) == 1 and not given._kwargs else given

    def _name(self) -> str:
        return "input"


class InputAttributeNode(DAGNode):
    """A part of the input of a graph."""

    def __init__(self, whole: InputNode, key: int | str, *, attribute: bool) -> None:
        """Makes the node of an item of the input, or of an attribute."""
        super().__init__((whole,), {})
        self._whole = whole
        self._key = key
        self._attribute = attribute

    def _run(self, results: Mapping[DAGNode, Any], given: DAGInputData) -> Any:
        whole = results[self._whole]
        if self._attribute and not isinstance(whole, DAGInputData):
            return getattr(whole, str(self._key))
        return whole[self._key]

    def _name(self) -> str:
        return f"input.{self._key}" if self._attribute else f"input[{self._key!r}]"


class MultiOutputNode(DAGNode):
    """Several nodes: executing it gives the list of what each gives."""

    def __init__(self, args: list[Any] | tuple[Any, ...]) -> None:
        """Takes a list of nodes. Raises ValueError for anything else."""
        if not isinstance(args, (list, tuple)):
            raise ValueError(f"Invalid input type for `args`, {type(args)}.")
        super().__init__(tuple(args), {})

    def _run(self, results: Mapping[DAGNode, Any], given: DAGInputData) -> Any:
        return list(replaced(self._bound_args, results))

    def _name(self) -> str:
        return ", ".join(map(repr, self._bound_args))


def upstream_first(root: DAGNode) -> list[DAGNode]:
    """Returns a node and all above it, each once and after those that it depends on."""
    order: dict[DAGNode, None] = {}
    stack: list[tuple[DAGNode, Iterator[DAGNode]]] = [(root, iter(root._upstream))]
    while stack:
        node, rest = stack[-1]
        above = next((n for n in rest if n not in order), None)
        if above is None:
            order[node] = None
            stack.pop()
        else:
            stack.append((above, iter(above._upstream)))
    return list(order)


def nodes_in(value: Any) -> Iterator[DAGNode]:
    """Yields the nodes that a value is or has inside its lists, tuples and dicts."""
    if isinstance(value, DAGNode):
        yield value
    elif type(value) in (list, tuple):
        for item in value:
            yield from nodes_in(item)
    elif type(value) is dict:
        yield from nodes_in(list(value.values()))


def replaced(value: Any, results: Mapping[DAGNode, Any]) -> Any:
    """Returns a value with the results of nodes in the place of the nodes."""
    if isinstance(value, DAGNode):
        return results[value]
    if type(value) in (list, tuple):
        return type(value)(replaced(item, results) for item in value)
    if type(value) is dict:
        return {key: replaced(item, results) for key, item in value.items()}
    return value
