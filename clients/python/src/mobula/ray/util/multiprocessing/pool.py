"""Ray's ``ray.util.multiprocessing.pool``: the module ``mobula.util.multiprocessing.pool`` under a second name."""

import importlib
import sys

from mobula.util.multiprocessing.pool import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.multiprocessing.pool")
