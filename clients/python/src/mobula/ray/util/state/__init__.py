"""Ray's ``ray.util.state``: the names of ``mobula.util.state``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobula.ray import _alias

if TYPE_CHECKING:
    from mobula.util.state import *  # noqa: F403

__getattr__ = _alias.attributes(__name__, "mobula.util.state", frozenset({"api", "common", "exception"}))
