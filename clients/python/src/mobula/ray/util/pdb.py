"""Ray's ``ray.util.pdb``: its remote debugger, which Mobula does not have."""

from mobula.ray.util.rpdb import post_mortem, set_trace

__all__ = ["post_mortem", "set_trace"]
