"""Ray's ``ray.data``, as far as programs need that do not use it: Mobula has no datasets.

Modin imports `from_pandas_refs` when it starts, for one method that few call. What is missing here is an AttributeError or ImportError
that says so, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from mobula.ray import _hook

__all__ = ["from_arrow_refs", "from_numpy_refs", "from_pandas_refs"]


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(_hook.missing(f"ray.data.{name}"))


def from_pandas_refs(dfs: object | Sequence[object]) -> NoReturn:
    """Raises NotImplementedError: there are no datasets."""
    _refuse("from_pandas_refs")


def from_numpy_refs(ndarrays: object | Sequence[object]) -> NoReturn:
    """Raises NotImplementedError: there are no datasets."""
    _refuse("from_numpy_refs")


def from_arrow_refs(tables: object | Sequence[object]) -> NoReturn:
    """Raises NotImplementedError: there are no datasets."""
    _refuse("from_arrow_refs")


def __getattr__(name: str) -> Any:
    raise AttributeError(_hook.missing(f"ray.data.{name}"), name=name)
