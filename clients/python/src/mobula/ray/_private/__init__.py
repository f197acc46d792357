"""What programs commonly use of Ray's private package."""

from mobula.ray import _alias

_SUBMODULES = frozenset({"async_compat", "ray_constants", "services", "state", "test_utils", "utils", "worker"})

__getattr__ = _alias.attributes(__name__, "mobula.ray._private.worker", _SUBMODULES)
