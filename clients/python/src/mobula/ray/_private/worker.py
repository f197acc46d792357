"""Ray's ``ray._private.worker``: the functions of its top level, and ``global_worker`` as far as programs ask it."""

from __future__ import annotations

from typing import Any

import mobula
from mobula import _context

SCRIPT_MODE = 0
WORKER_MODE = 1
LOCAL_MODE = 2


class _Worker:
    """Answers what programs ask ``global_worker``; everything it says is asked of the session of this process."""

    @property
    def connected(self) -> bool:
        """Whether this process has a session."""
        return bool(mobula.is_initialized())

    @property
    def mode(self) -> int | None:
        """SCRIPT_MODE in a driver, WORKER_MODE in a worker, None without a session."""
        if not self.connected:
            return None
        return SCRIPT_MODE if _context.process.worker is None else WORKER_MODE

    @property
    def node_ip_address(self) -> str:
        """The address of this machine."""
        from mobula.ray._private.services import get_node_ip_address

        return get_node_ip_address()

    @property
    def namespace(self) -> str:
        """The namespace of the job."""
        return str(mobula.get_runtime_context().namespace)

    @property
    def current_job_id(self) -> Any:
        """The id of the job."""
        return mobula.get_runtime_context().job_id

    @property
    def current_node_id(self) -> Any:
        """The id of the node."""
        return mobula.get_runtime_context().node_id

    @property
    def worker_id(self) -> bytes:
        """The id of this worker process."""
        return bytes.fromhex(mobula.get_runtime_context().get_worker_id())

    def check_connected(self) -> None:
        """Raises RaySystemError when this process has no session."""
        if not self.connected:
            raise mobula.exceptions.RaySystemError("Ray has not been started yet. You can start Ray with 'ray.init()'.")


global_worker = _Worker()


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"ray._private.worker.{name} is not part of this version of Mobula")
    return getattr(mobula, name)
