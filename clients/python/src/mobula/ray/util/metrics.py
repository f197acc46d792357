"""Ray's ``ray.util.metrics``: the module ``mobula.util.metrics`` under a second name."""

import importlib
import sys

from mobula.util.metrics import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.metrics")
