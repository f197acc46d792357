"""Types that only type checkers see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from mobula._refs import ObjectRefGenerator

P = ParamSpec("P")
Y_co = TypeVar("Y_co", covariant=True)


class RemoteGenerator(Generic[P, Y_co]):
    """A remote function that yields."""

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> ObjectRefGenerator[Y_co]:
        """Submits a call and returns the stream of its items."""
        raise NotImplementedError

    def options(self, **options: Any) -> RemoteGenerator[P, Y_co]:
        """Returns this function with other options."""
        raise NotImplementedError


class RemoteMany(Generic[P]):
    """A remote function with ``num_returns``: what its calls return depends on the number."""

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Submits a call and returns a ref, a list of refs, a stream of refs, or nothing."""
        raise NotImplementedError

    def options(self, **options: Any) -> RemoteMany[P]:
        """Returns this function with other options."""
        raise NotImplementedError


class ManyDecorator(Protocol):
    """What ``remote(num_returns=…)`` returns."""

    def __call__(self, thing: Callable[P, Any], /) -> RemoteMany[P]:
        """Makes a function remote."""
