"""Ray's ``ray.dag``: the names of ``mobula.dag``."""

from mobula.dag import *  # noqa: F403
from mobula.dag import __all__ as __all__
