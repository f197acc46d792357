"""Ray's ``ray.util.serialization``: the module ``mobula.util.serialization`` under a second name."""

import importlib
import sys

from mobula.util.serialization import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.serialization")
