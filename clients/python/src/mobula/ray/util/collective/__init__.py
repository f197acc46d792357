"""Ray's ``ray.util.collective``: the names of ``mobula.util.collective``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobula.ray import _alias

if TYPE_CHECKING:
    from mobula.util.collective import *  # noqa: F403

__getattr__ = _alias.attributes(__name__, "mobula.util.collective", frozenset({"collective", "types"}))
