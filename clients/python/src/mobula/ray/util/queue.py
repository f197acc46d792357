"""Ray's ``ray.util.queue``: the module ``mobula.util.queue`` under a second name."""

import importlib
import sys

from mobula.util.queue import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.queue")
