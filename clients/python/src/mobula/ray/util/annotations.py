"""Ray's ``ray.util.annotations``: decorators that say how stable an API is. Here they only mark what they decorate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Deprecated", "DeveloperAPI", "PublicAPI", "RayDeprecationWarning"]

T = TypeVar("T")


class RayDeprecationWarning(DeprecationWarning):
    """A use of an API of Ray that will go."""


def _mark(name: str) -> Callable[..., Any]:
    def annotate(*args: Any, **kwargs: Any) -> Any:
        def decorate(thing: T) -> T:
            thing._annotated = thing.__name__  # type: ignore[attr-defined]
            return thing

        if len(args) == 1 and not kwargs and callable(args[0]):
            return decorate(args[0])
        return decorate

    annotate.__name__ = annotate.__qualname__ = name
    return annotate


PublicAPI = _mark("PublicAPI")
DeveloperAPI = _mark("DeveloperAPI")
Deprecated = _mark("Deprecated")
