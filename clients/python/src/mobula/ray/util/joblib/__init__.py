"""Ray's ``ray.util.joblib``: the names of ``mobula.util.joblib``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobula.ray import _alias

if TYPE_CHECKING:
    from mobula.util.joblib import *  # noqa: F403

__getattr__ = _alias.attributes(__name__, "mobula.util.joblib")
