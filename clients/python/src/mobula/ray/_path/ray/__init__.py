"""What ``import ray`` finds in the Python processes that a program under the runner starts: there too it is Mobula.

The runner puts the directory above this package into PYTHONPATH, which subprocesses and multiprocessing's children inherit.
"""

import sys

from mobula.ray import _hook

del sys.modules["ray"]  # this module has done its part when the hook is there
_hook.install()
sys.modules["ray"] = sys.modules["mobula.ray"]
