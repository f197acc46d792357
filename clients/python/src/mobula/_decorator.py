"""``remote``: what makes functions and classes remote."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, overload

from mobula import _options
from mobula._actor import ActorClass, ForeignActorClass
from mobula._method import Actor
from mobula._refs import ObjectRefGenerator
from mobula._remote import GO, ForeignFunction, RemoteFunction, is_generator

if TYPE_CHECKING:
    from mobula import _typing

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Y = TypeVar("Y")
ActorT = TypeVar("ActorT", bound=Actor)


@overload
def remote(thing: Callable[P, ActorT], /) -> _typing.RemoteClass[P, ActorT]: ...
@overload
def remote(thing: type[T], /) -> ActorClass[T]: ...
@overload
def remote(thing: Callable[P, Iterator[Y] | AsyncIterator[Y]], /) -> _typing.RemoteTask[P, ObjectRefGenerator[Y]]: ...
@overload
def remote(thing: Callable[P, R], /) -> _typing.RemoteFunction[P, R]: ...
@overload
def remote(**options: Unpack[_typing.Options]) -> _typing.Decorator: ...
@overload
def remote(*, num_returns: Literal[1] | None = None, **options: Unpack[_typing.TaskOptions]) -> _typing.FunctionDecorator: ...
@overload
def remote(*, num_returns: _typing.Many, **options: Unpack[_typing.TaskOptions]) -> _typing.ReturnsDecorator[_typing.Refs]: ...
@overload
def remote(*, num_returns: Literal["streaming"], **options: Unpack[_typing.TaskOptions]) -> _typing.StreamDecorator: ...
@overload
def remote(*, num_returns: Literal["dynamic"], **options: Unpack[_typing.TaskOptions]) -> _typing.ReturnsDecorator[_typing.Dynamic]: ...
@overload
def remote(*, num_returns: Literal[0], **options: Unpack[_typing.TaskOptions]) -> _typing.ReturnsDecorator[None]: ...
@overload
def remote(*, num_returns: int | str, **options: Unpack[_typing.TaskOptions]) -> _typing.ReturnsDecorator[Any]: ...
@overload
def remote(**options: Unpack[_typing.ActorOptions]) -> _typing.ClassDecorator: ...
def remote(*args: Any, **options: Any) -> Any:
    """Makes a function or class remote: ``@remote``, or ``@remote(num_cpus=2, …)`` with options.

    Calls of a remote function run as tasks, instances of a remote class are actors. Options of both: num_cpus, num_gpus, memory, resources,
    accelerator_type, label_selector, fallback_strategy, name, runtime_env, scheduling_strategy, enable_task_events, _labels; of functions:
    num_returns, portable, max_retries, retry_exceptions, max_calls, _generator_backpressure_num_objects; of classes: max_restarts, max_task_retries,
    max_pending_calls, max_concurrency, concurrency_groups, allow_out_of_order_execution, lifetime, namespace, get_if_exists.

    Raises:
        TypeError: for what is neither a function nor a class, and for options of the wrong type.
        ValueError: for unknown options and impossible values.
    """
    if len(args) == 1 and not options and callable(args[0]):
        return _make(args[0], {})
    assert not args and options, (
        "The @ray.remote decorator must be applied either with no arguments and no parentheses, for example '@ray.remote', or it must be "
        f"applied using some of the arguments in the list {[*_options.TASK, *_options.ACTOR]}, for example '@ray.remote(num_returns=2, "
        'resources={"CustomResource": 1})\'.'
    )

    def decorate(thing: Any) -> Any:
        return _make(thing, options)

    return decorate


def _make(thing: Any, options: Mapping[str, Any]) -> Any:
    if isinstance(thing, type):
        _options.check_actor(options, in_options=False)
        cls: type[Any] = thing
        return ActorClass(cls, options)
    if isinstance(thing, FunctionType) or _is_cython(thing):
        _options.check_task(options, in_options=False, is_generator=is_generator(thing))
        return RemoteFunction(thing, options)
    raise TypeError("The @ray.remote decorator must be applied to either a function or a class.")


def _is_cython(thing: Any) -> bool:
    return type(thing).__name__ in ("cython_function_or_method", "fused_cython_function")


def go_function(name: str, /, *, executable: str | os.PathLike[str] | None = None, **options: Unpack[_typing.AnyTaskOptions]) -> ForeignFunction:
    """Returns a remote function of Go by its name, "import/path.Function", as ``mobula-gen`` registered it in the program ``executable``.

    Arguments and results are portable: plain data, arrays, times, dataclasses, refs. A function of several results needs ``num_returns``.
    What fails shows with the ref: an error of the function is a RayTaskError whose cause is a CrossLanguageError.

    Args:
        name: the function; in the main package of a program the import path is that of its directory.
        executable: the Go program. Without it the program is the driver's own, which is for tasks of a Go driver.
        options: those of a remote function.

    Raises:
        TypeError, ValueError: as ``remote`` does.
    """
    _options.check_task(options, in_options=False, is_generator=True)
    return ForeignFunction(name, GO, options, _program(executable))


def go_actor(
    name: str, /, *, executable: str | os.PathLike[str] | None = None, constructor: str = "", **options: Unpack[_typing.ActorOptions]
) -> ForeignActorClass:
    """Returns an actor class of Go by its name, "import/path.Type". Its methods have the names that they have in Go.

    Args:
        name: the type.
        executable: as for `go_function`.
        constructor: name of the function that makes the actor, by default that of the type with "New" before it.
        options: those of a remote class.

    Raises:
        TypeError, ValueError: as ``remote`` does.
    """
    _options.check_actor(options, in_options=False)
    package, _, short = name.rpartition(".")
    return ForeignActorClass(name, f"{package}.{constructor or 'New' + short}", GO, options, _program(executable))


def _program(executable: str | os.PathLike[str] | None) -> str:
    return "" if executable is None else os.path.abspath(executable)
