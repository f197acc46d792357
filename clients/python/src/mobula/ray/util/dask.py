"""Ray's ``ray.util.dask``: the names of ``mobula.util.dask`` as Ray has them."""

from mobula.util.dask import dask_get as ray_dask_get
from mobula.util.dask import dask_persist as ray_dask_persist
from mobula.util.dask import disable_dask as disable_dask_on_ray
from mobula.util.dask import enable_dask as enable_dask_on_ray

__all__ = ["disable_dask_on_ray", "enable_dask_on_ray", "ray_dask_get", "ray_dask_persist"]
