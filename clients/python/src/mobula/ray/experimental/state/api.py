"""Ray's ``ray.experimental.state.api``: the module ``mobula.util.state.api`` under a second name."""

import importlib
import sys

from mobula.util.state.api import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.state.api")
