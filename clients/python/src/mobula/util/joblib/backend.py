"""joblib's batches as calls of a pool."""

from __future__ import annotations

from typing import Any

from joblib._parallel_backends import MultiprocessingBackend

import mobula
from mobula.util.multiprocessing import Pool

__all__ = ["MobulaBackend"]


class MobulaBackend(MultiprocessingBackend):  # type: ignore[misc]  # joblib has no types
    """Runs batches in the processes of a :class:`mobula.util.multiprocessing.Pool`.

    ``ray_remote_args`` of ``parallel_backend`` are the options of its actors.
    """

    supports_sharedmem = False
    supports_return_generator = True

    def __init__(self, *args: Any, ray_remote_args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._remote_args = ray_remote_args

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Returns how many processes ``n_jobs`` means: all CPUs of the cluster for -1."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if not mobula.is_initialized():
            mobula.init()
        cpus = max(1, int(mobula.cluster_resources().get("CPU", 1)))
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(1, cpus + 1 + n_jobs)

    def configure(self, n_jobs: int = 1, parallel: Any = None, prefer: Any = None, require: Any = None, **_: Any) -> int:
        """Makes the pool for one use of ``Parallel``."""
        del prefer, require
        n_jobs = self.effective_n_jobs(n_jobs)
        self._pool: Pool | None = Pool(processes=n_jobs, ray_remote_args=self._remote_args)
        self.parallel = parallel
        return n_jobs

    def terminate(self) -> None:
        """Ends the pool."""
        if self._pool is not None:
            self._pool.close()
            self._pool.terminate()
            self._pool = None
