"""Ray's ``ray.util.placement_group``: the module ``mobula.util.placement_group`` under a second name."""

import importlib
import sys

from mobula.util.placement_group import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.placement_group")
