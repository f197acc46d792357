"""Ray's ``ray._private.async_compat``: what is asynchronous."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["has_async_methods", "is_async_func", "sync_to_async"]


def is_async_func(func: Any) -> bool:
    """Reports whether a function is a coroutine function or an asynchronous generator function."""
    return inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func)


def has_async_methods(cls: object) -> bool:
    """Reports whether a class has such a method: its actors run on an event loop then."""
    return bool(inspect.getmembers(cls, predicate=is_async_func))


def sync_to_async(func: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a coroutine function of a function; one that is asynchronous already is returned as it is."""
    if is_async_func(func):
        return func

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper
