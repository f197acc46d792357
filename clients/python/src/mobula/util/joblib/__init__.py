"""The backend of :mod:`joblib` that runs scikit-learn and other users of it on a cluster."""

from __future__ import annotations

__all__ = ["register_mobula", "register_ray"]


def register_ray() -> None:
    """Registers the backend under the names ``mobula`` and ``ray``: use it with ``joblib.parallel_backend("mobula")``.

    Raises ``ImportError`` when joblib is not installed.
    """
    try:
        from joblib.parallel import register_parallel_backend
    except ModuleNotFoundError as error:
        raise ImportError("the joblib backend needs joblib: pip install joblib") from error
    from mobula.util.joblib.backend import MobulaBackend

    register_parallel_backend("mobula", MobulaBackend)
    register_parallel_backend("ray", MobulaBackend)


register_mobula = register_ray
