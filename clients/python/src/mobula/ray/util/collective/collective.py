"""Ray's ``ray.util.collective.collective``: the module ``mobula.util.collective.collective`` under a second name."""

import importlib
import sys

from mobula.util.collective.collective import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.collective.collective")
