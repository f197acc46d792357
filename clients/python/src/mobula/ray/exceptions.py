"""Ray's ``ray.exceptions``: the module ``mobula.exceptions`` under a second name."""

import importlib
import sys

from mobula.exceptions import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("mobula.exceptions")
