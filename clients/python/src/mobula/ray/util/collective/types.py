"""Ray's ``ray.util.collective.types``: the module ``mobula.util.collective.types`` under a second name."""

import importlib
import sys

from mobula.util.collective.types import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.collective.types")
