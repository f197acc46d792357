"""Ray's ``ray.util.multiprocessing``: the names of ``mobula.util.multiprocessing``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobula.ray import _alias

if TYPE_CHECKING:
    from mobula.util.multiprocessing import *  # noqa: F403

__getattr__ = _alias.attributes(__name__, "mobula.util.multiprocessing", frozenset({"pool"}))
