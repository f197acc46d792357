"""Ray's ``ray.cloudpickle``: the module ``cloudpickle`` under a second name."""

import importlib
import sys

from cloudpickle import *  # noqa: F403

sys.modules[__name__] = importlib.import_module("cloudpickle")
