"""The scheduler of :mod:`dask` that runs its graphs as tasks. It needs Dask 2024.12 or newer."""

try:
    from mobula.util.dask.scheduler import dask_get, dask_persist, disable_dask, enable_dask
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "dask":
        raise
    raise ImportError("the scheduler for Dask needs Dask 2024.12 or newer: pip install 'dask>=2024.12'") from error

__all__ = ["dask_get", "dask_persist", "disable_dask", "enable_dask"]
