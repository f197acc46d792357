"""Ray's ``ray.experimental.state.exception``: the module ``mobula.util.state.exception`` under a second name."""

import importlib
import sys

from mobula.util.state.exception import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.state.exception")
