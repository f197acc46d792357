"""What type checkers see of remote functions, actors and their options. Nothing here runs: it is imported for checkers alone.

`Submits` is the heart: what ``.remote(...)`` takes. Its first overload has the function's own parameters, which editors show. The others
let each of the first six arguments be a ref of its type. A ref by keyword, or beyond the sixth argument, a checker cannot be told of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, overload

from mobula._actor import ActorClass
from mobula._method import Actor
from mobula._refs import DynamicObjectRefGenerator, ObjectRef, ObjectRefGenerator
from mobula.dag.nodes import ClassMethodNode, ClassNode, FunctionNode
from mobula.util.placement_group import PlacementGroup
from mobula.util.scheduling_strategies import SchedulingStrategyT

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Y = TypeVar("Y")
Out = TypeVar("Out")
R_co = TypeVar("R_co", covariant=True)
Out_co = TypeVar("Out_co", covariant=True)
ActorT = TypeVar("ActorT", bound=Actor)
A1 = TypeVar("A1")
A2 = TypeVar("A2")
A3 = TypeVar("A3")
A4 = TypeVar("A4")
A5 = TypeVar("A5")
A6 = TypeVar("A6")
B1 = TypeVar("B1", contravariant=True)
B2 = TypeVar("B2", contravariant=True)
B3 = TypeVar("B3", contravariant=True)
B4 = TypeVar("B4", contravariant=True)
B5 = TypeVar("B5", contravariant=True)
B6 = TypeVar("B6", contravariant=True)

Many: TypeAlias = Literal[2, 3, 4, 5, 6, 7, 8, 9, 10]
"""Values of ``num_returns`` with which a call returns a list of refs, for certain: an int that is not literal may be 0 or 1."""


class ListOf(Protocol[R_co]):
    """A list that is only read, so that one of refs of several types is a list of refs too. A tuple is none."""

    def __len__(self) -> int: ...
    def copy(self) -> Sequence[R_co]: ...


class Takes1(Protocol[B1, Out_co]):
    """What takes one argument: how an overload gets at the types of parameters."""

    def _types(self, a1: B1, /) -> Out_co: ...


class Takes2(Protocol[B1, B2, Out_co]):
    """What takes two."""

    def _types(self, a1: B1, a2: B2, /) -> Out_co: ...


class Takes3(Protocol[B1, B2, B3, Out_co]):
    """What takes three."""

    def _types(self, a1: B1, a2: B2, a3: B3, /) -> Out_co: ...


class Takes4(Protocol[B1, B2, B3, B4, Out_co]):
    """What takes four."""

    def _types(self, a1: B1, a2: B2, a3: B3, a4: B4, /) -> Out_co: ...


class Takes5(Protocol[B1, B2, B3, B4, B5, Out_co]):
    """What takes five."""

    def _types(self, a1: B1, a2: B2, a3: B3, a4: B4, a5: B5, /) -> Out_co: ...


class Takes6(Protocol[B1, B2, B3, B4, B5, B6, Out_co]):
    """What takes six."""

    def _types(self, a1: B1, a2: B2, a3: B3, a4: B4, a5: B5, a6: B6, /) -> Out_co: ...


class Submits(Generic[P, Out_co]):
    """What has ``.remote(...)``: it takes what the function takes, or refs of it, and returns at once."""

    def _types(self, *args: P.args, **kwargs: P.kwargs) -> Out_co:
        raise NotImplementedError

    @overload
    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Out_co: ...
    @overload
    def remote(self: Takes1[A1, Out], a1: A1 | ObjectRef[A1], /) -> Out: ...
    @overload
    def remote(self: Takes2[A1, A2, Out], a1: A1 | ObjectRef[A1], a2: A2 | ObjectRef[A2], /) -> Out: ...
    @overload
    def remote(self: Takes3[A1, A2, A3, Out], a1: A1 | ObjectRef[A1], a2: A2 | ObjectRef[A2], a3: A3 | ObjectRef[A3], /) -> Out: ...
    @overload
    def remote(
        self: Takes4[A1, A2, A3, A4, Out], a1: A1 | ObjectRef[A1], a2: A2 | ObjectRef[A2], a3: A3 | ObjectRef[A3], a4: A4 | ObjectRef[A4], /
    ) -> Out: ...
    @overload
    def remote(
        self: Takes5[A1, A2, A3, A4, A5, Out], a1: A1 | ObjectRef[A1], a2: A2 | ObjectRef[A2], a3: A3 | ObjectRef[A3], a4: A4 | ObjectRef[A4],
        a5: A5 | ObjectRef[A5], /,
    ) -> Out: ...  # fmt: skip
    @overload
    def remote(
        self: Takes6[A1, A2, A3, A4, A5, A6, Out], a1: A1 | ObjectRef[A1], a2: A2 | ObjectRef[A2], a3: A3 | ObjectRef[A3],
        a4: A4 | ObjectRef[A4], a5: A5 | ObjectRef[A5], a6: A6 | ObjectRef[A6], /,
    ) -> Out: ...  # fmt: skip
    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Submits a call. Raises TypeError when the arguments do not fit or cannot be sent."""
        raise NotImplementedError


class RemoteFunction(Submits[P, ObjectRef[R_co]], Generic[P, R_co]):
    """A function whose calls run as tasks. ``.remote(...)`` submits one and returns its ref at once."""

    _function: Callable[P, R_co]

    def bind(self, *args: Any, **kwargs: Any) -> FunctionNode:
        """Returns the node of a call in a graph that runs later. See `mobula.dag`."""
        raise NotImplementedError

    @overload
    def options(self, *, num_returns: Literal[1] | None = None, **options: Unpack[TaskOptions]) -> RemoteFunction[P, R_co]: ...
    @overload
    def options(self, *, num_returns: Many, **options: Unpack[TaskOptions]) -> RemoteTask[P, Refs]: ...
    @overload
    def options(self, *, num_returns: Literal[0], **options: Unpack[TaskOptions]) -> RemoteTask[P, None]: ...
    @overload
    def options(self, *, num_returns: int | str, **options: Unpack[TaskOptions]) -> RemoteTask[P, Any]: ...
    def options(self, **options: Any) -> Any:
        """Returns this function with other options. Raises ValueError or TypeError for what cannot be."""
        raise NotImplementedError


class RemoteTask(Submits[P, Out_co]):
    """A remote function whose calls return something else than one ref: a stream, a list of refs, nothing."""

    def bind(self, *args: Any, **kwargs: Any) -> FunctionNode:
        """Returns the node of a call in a graph that runs later. See `mobula.dag`."""
        raise NotImplementedError

    @overload
    def options(self, **options: Unpack[TaskOptions]) -> RemoteTask[P, Out_co]: ...
    @overload
    def options(self, *, num_returns: int | str | None, **options: Unpack[TaskOptions]) -> RemoteTask[P, Any]: ...
    def options(self, **options: Any) -> Any:
        """Returns this function with other options. Raises ValueError or TypeError for what cannot be."""
        raise NotImplementedError


class RemoteClass(Submits[P, type[ActorT]], Generic[P, ActorT]):
    """An actor class whose actors' methods are typed. To a checker a handle is the class itself: ``handle.method.remote(...)``."""

    def bind(self, *args: Any, **kwargs: Any) -> ClassNode:
        """Returns the node of an actor in a graph that runs later, of which methods can be bound. See `mobula.dag`."""
        raise NotImplementedError

    def options(self, **options: Unpack[ActorOptions]) -> RemoteClass[P, ActorT]:
        """Returns this class with other options. Raises ValueError or TypeError for what cannot be."""
        raise NotImplementedError


class RemoteMethod(Submits[P, Out_co]):
    """A method of an actor."""

    def bind(self, *args: Any, **kwargs: Any) -> ClassMethodNode | tuple[ClassMethodNode, ...]:
        """Returns the node of a call in a graph that runs later; with ``num_returns`` above 1 one per result. See `mobula.dag`."""
        raise NotImplementedError

    @overload
    def options(self, **options: Unpack[MethodCallOptions]) -> RemoteMethod[P, Out_co]: ...
    @overload
    def options(self, *, num_returns: int | str | None, **options: Unpack[MethodCallOptions]) -> RemoteMethod[P, Any]: ...
    def options(self, **options: Any) -> Any:
        """Returns this method with other options for its calls. Raises ValueError or TypeError for what cannot be."""
        raise NotImplementedError


class Method(Generic[P, R_co, Out_co]):
    """A method decorated by ``@method``: inside of the actor, through an instance, it is called; outside, through a handle, submitted."""

    @overload
    def __get__(self, instance: None, owner: Any) -> RemoteMethod[P, Out_co]: ...
    @overload
    def __get__(self, instance: object, owner: Any) -> Callable[P, R_co]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """Returns what the method is there."""
        raise NotImplementedError


class FunctionDecorator(Protocol):
    """What ``remote`` with options of functions returns."""

    @overload
    def __call__(self, thing: Callable[P, Iterator[Y] | AsyncIterator[Y]], /) -> RemoteTask[P, ObjectRefGenerator[Y]]: ...
    @overload
    def __call__(self, thing: Callable[P, R], /) -> RemoteFunction[P, R]: ...


class ClassDecorator(Protocol):
    """What ``remote`` with options of actors returns."""

    @overload
    def __call__(self, thing: Callable[P, ActorT], /) -> RemoteClass[P, ActorT]: ...
    @overload
    def __call__(self, thing: type[T], /) -> ActorClass[T]: ...


class Decorator(Protocol):
    """What ``remote`` with options of both returns."""

    @overload
    def __call__(self, thing: Callable[P, ActorT], /) -> RemoteClass[P, ActorT]: ...
    @overload
    def __call__(self, thing: type[T], /) -> ActorClass[T]: ...
    @overload
    def __call__(self, thing: Callable[P, Iterator[Y] | AsyncIterator[Y]], /) -> RemoteTask[P, ObjectRefGenerator[Y]]: ...
    @overload
    def __call__(self, thing: Callable[P, R], /) -> RemoteFunction[P, R]: ...


class ReturnsDecorator(Protocol[Out_co]):
    """What ``remote(num_returns=…)`` returns."""

    def __call__(self, thing: Callable[P, Any], /) -> RemoteTask[P, Out_co]:
        """Makes a function remote."""
        raise NotImplementedError


class StreamDecorator(Protocol):
    """What ``remote(num_returns="streaming")`` returns."""

    def __call__(self, thing: Callable[P, Iterator[Y] | AsyncIterator[Y]], /) -> RemoteTask[P, ObjectRefGenerator[Y]]:
        """Makes a function remote."""
        raise NotImplementedError


class MethodDecorator(Protocol):
    """What ``method`` with options returns."""

    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Method[P, Coroutine[Any, Any, R], ObjectRef[R]]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], Iterator[Y]], /) -> Method[P, Iterator[Y], ObjectRefGenerator[Y]]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], AsyncIterator[Y]], /) -> Method[P, AsyncIterator[Y], ObjectRefGenerator[Y]]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Method[P, R, ObjectRef[R]]: ...


class ReturnsMethodDecorator(Protocol[Out_co]):
    """What ``method(num_returns=…)`` returns."""

    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Method[P, R, Out_co]:
        """Gives the method its options."""
        raise NotImplementedError


Dynamic: TypeAlias = ObjectRef[DynamicObjectRefGenerator]
Refs: TypeAlias = list[ObjectRef[Any]]
RetryExceptions: TypeAlias = bool | list[type[Exception]] | tuple[type[Exception], ...] | None


class Options(TypedDict, total=False):
    """Options of tasks and of actors. What each means is in docs/python/tasks.md and actors.md."""

    accelerator_type: str | None
    enable_task_events: bool
    fallback_strategy: list[dict[str, Any]] | None
    label_selector: dict[str, str] | None
    memory: float | None
    name: str | None
    num_cpus: float | None
    num_gpus: float | None
    object_store_memory: int | None
    placement_group: PlacementGroup | str | None
    placement_group_bundle_index: int
    placement_group_capture_child_tasks: bool | None
    resources: dict[str, float] | None
    runtime_env: dict[str, Any] | None
    scheduling_strategy: SchedulingStrategyT
    _labels: dict[str, str] | None


class TaskOptions(Options, total=False):
    """Options of tasks, but for ``num_returns``, on which the type of a call's result depends."""

    max_calls: int
    max_retries: int | None
    portable: bool
    retry_exceptions: RetryExceptions
    _generator_backpressure_num_objects: int | None
    _num_objects_per_yield: int | None


class AnyTaskOptions(TaskOptions, total=False):
    """Options of tasks."""

    num_returns: int | str | None


class ActorOptions(Options, total=False):
    """Options of actors."""

    allow_out_of_order_execution: bool | None
    concurrency_groups: dict[str, int] | list[dict[str, Any]] | None
    enable_tensor_transport: bool | None
    get_if_exists: bool
    lifetime: Literal["detached", "non_detached"] | None
    max_concurrency: int | None
    max_pending_calls: int | None
    max_restarts: int | None
    max_task_retries: int | None
    namespace: str | None
    _actor_generator_backpressure_num_objects: int | None


class MethodOptions(TypedDict, total=False):
    """Options of methods, but for ``num_returns``."""

    concurrency_group: str | None
    enable_task_events: bool | None
    max_task_retries: int | None
    portable: bool
    retry_exceptions: RetryExceptions
    tensor_transport: str | None
    _generator_backpressure_num_objects: int | None
    _num_objects_per_yield: int | None


class MethodCallOptions(MethodOptions, total=False):
    """Options of one call of a method, but for ``num_returns``."""

    name: str | None
    _labels: dict[str, str] | None


class AnyMethodCallOptions(MethodCallOptions, total=False):
    """Options of one call of a method."""

    num_returns: int | str | None
