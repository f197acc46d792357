"""Ray's ``ray.experimental``, as far as Mobula has it: a few modules."""

from mobula.ray import _alias

__getattr__ = _alias.attributes(
    __name__, "mobula.ray.experimental.compiled_dag_ref", frozenset({"compiled_dag_ref", "internal_kv", "state", "tqdm_ray"})
)
