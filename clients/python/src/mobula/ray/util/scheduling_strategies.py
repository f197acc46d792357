"""Ray's ``ray.util.scheduling_strategies``: the module ``mobula.util.scheduling_strategies`` under a second name."""

import importlib
import sys

from mobula.util.scheduling_strategies import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.scheduling_strategies")
