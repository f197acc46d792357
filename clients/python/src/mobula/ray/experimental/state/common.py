"""Ray's ``ray.experimental.state.common``: the module ``mobula.util.state.common`` under a second name."""

import importlib
import sys

from mobula.util.state.common import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.state.common")
