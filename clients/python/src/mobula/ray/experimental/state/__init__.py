"""Ray's ``ray.experimental.state``: the older name of ``ray.util.state``, which programs still import."""

from mobula.ray import _alias

__getattr__ = _alias.attributes(__name__, "mobula.util.state", frozenset({"api", "common", "exception"}))
