"""``method``: what sets options of actors' methods, and tells type checkers of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Literal, ParamSpec, TypeVar, Unpack, overload

from mobula import _options
from mobula._refs import ObjectRef, ObjectRefGenerator
from mobula._remote import is_generator

if TYPE_CHECKING:
    from mobula import _typing

P = ParamSpec("P")
R = TypeVar("R")
Y = TypeVar("Y")

METHOD_ATTRIBUTE = "__mobula_method__"
"""Attribute of a function in which `method` keeps the options of the method."""


class Actor:
    """Base of a class of which type checkers shall know the actors' methods: those that ``@method`` decorates. It does nothing else.

    A checker takes a handle of such an actor for the class itself, ``type[Counter]``.
    """

    if TYPE_CHECKING:
        __ray_ready__: ClassVar[_typing.RemoteMethod[[], ObjectRef[bool]]]
        __ray_terminate__: ClassVar[_typing.RemoteMethod[[], ObjectRef[None]]]


@overload
def method(function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> _typing.Method[P, Coroutine[Any, Any, R], ObjectRef[R]]: ...
@overload
def method(function: Callable[Concatenate[Any, P], Iterator[Y]], /) -> _typing.Method[P, Iterator[Y], ObjectRefGenerator[Y]]: ...
@overload
def method(function: Callable[Concatenate[Any, P], AsyncIterator[Y]], /) -> _typing.Method[P, AsyncIterator[Y], ObjectRefGenerator[Y]]: ...
@overload
def method(function: Callable[Concatenate[Any, P], R], /) -> _typing.Method[P, R, ObjectRef[R]]: ...
@overload
def method(*, num_returns: Literal[1] | None = None, **options: Unpack[_typing.MethodOptions]) -> _typing.MethodDecorator: ...
@overload
def method(*, num_returns: _typing.Many, **options: Unpack[_typing.MethodOptions]) -> _typing.ReturnsMethodDecorator[_typing.Refs]: ...
@overload
def method(*, num_returns: Literal["streaming"], **options: Unpack[_typing.MethodOptions]) -> _typing.MethodDecorator: ...
@overload
def method(*, num_returns: Literal["dynamic"], **options: Unpack[_typing.MethodOptions]) -> _typing.ReturnsMethodDecorator[_typing.Dynamic]: ...
@overload
def method(*, num_returns: Literal[0], **options: Unpack[_typing.MethodOptions]) -> _typing.ReturnsMethodDecorator[None]: ...
@overload
def method(*, num_returns: int | str, **options: Unpack[_typing.MethodOptions]) -> _typing.ReturnsMethodDecorator[Any]: ...
def method(*args: Any, **kwargs: Any) -> Any:
    """Sets options of an actor's method: ``@method(num_returns=2)``, or ``@method`` alone.

    Options: num_returns, concurrency_group, max_task_retries, retry_exceptions, _generator_backpressure_num_objects,
    enable_task_events. Raises AssertionError for unknown ones, ValueError or TypeError for impossible values.
    """

    def annotate(function: Callable[..., Any]) -> Callable[..., Any]:
        if "num_returns" in kwargs:
            _options.check_num_returns(kwargs["num_returns"], is_generator(function))
        for name, value in kwargs.items():
            _options.METHOD[name].validate(name, value)
        setattr(function, METHOD_ATTRIBUTE, dict(kwargs))
        if kwargs.get("num_returns") is not None:
            function.__ray_num_returns__ = kwargs["num_returns"]  # type: ignore[attr-defined]
        return function

    if len(args) == 1 and callable(args[0]) and not kwargs:
        return annotate(args[0])
    assert not args, (
        "The @ray.method decorator must be applied using no arguments or at least one of the arguments in the list "
        f"{list(_options.METHOD)}, for example '@ray.method(num_returns=2)'."
    )
    for key in kwargs:
        assert key in _options.METHOD, (
            f"Unexpected keyword argument to @ray.method: '{key}'. The supported keyword arguments are {list(_options.METHOD)}"
        )
    return annotate
