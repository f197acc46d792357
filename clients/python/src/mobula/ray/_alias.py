"""Packages of the drop-in that have the names of one of Mobula's own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from mobula.ray import _hook


def attributes(package: str, home: str, submodules: frozenset[str] = frozenset(), elsewhere: Mapping[str, str] | None = None) -> Callable[[str], Any]:
    """Returns the ``__getattr__`` of package (such as "mobula.ray.util").

    It looks a name up among its submodules, then in the module that elsewhere gives for it, then in home.
    """
    homes = elsewhere or {}

    def getattr_of_package(name: str) -> Any:
        if name in submodules:
            return importlib.import_module(f"{package}.{name}")
        try:
            return getattr(importlib.import_module(homes.get(name, home)), name)
        except AttributeError:
            raise AttributeError(_hook.missing(f"{package.removeprefix('mobula.')}.{name}"), name=name) from None

    return getattr_of_package
