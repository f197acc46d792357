"""What programs commonly use of Ray's private package."""

from mobula.ray import _alias

_SUBMODULES = frozenset({"ray_constants", "services", "test_utils", "utils", "worker"})

__getattr__ = _alias.attributes(__name__, "mobula.ray._private.worker", _SUBMODULES)
