"""Ray's ``ray.util.actor_pool``: the module ``mobula.util.actor_pool`` under a second name."""

import importlib
import sys

from mobula.util.actor_pool import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.util.actor_pool")
