"""Ray's ``ray._private.worker``: the functions of its top level, and ``global_worker`` as far as programs ask it."""

from __future__ import annotations

from typing import Any

import mobula
from mobula import _context

SCRIPT_MODE = 0
WORKER_MODE = 1
LOCAL_MODE = 2


class _Node:
    """Answers what programs ask of the node."""

    @property
    def address_info(self) -> dict[str, Any]:
        """The addresses, as ``init`` returns them."""
        return dict(_context.process.info)

    @property
    def session_name(self) -> str:
        """The name of the node's session."""
        return str(mobula.get_runtime_context().get_session_name())

    @property
    def node_ip_address(self) -> str:
        """The address of this machine."""
        return str(mobula.util.get_node_ip_address())

    @property
    def address(self) -> str:
        """The address for other drivers."""
        return str(_context.process.info["address"])

    gcs_address = address

    @property
    def unique_id(self) -> str:
        """The node's id."""
        return str(mobula.get_runtime_context().get_node_id())

    def is_head(self) -> bool:
        """Returns whether this is the head of the cluster, which has one node."""
        return True

    head = property(is_head)

    def get_session_dir_path(self) -> str:
        """Returns the directory of the node."""
        return str(_context.process.info["session_dir"])

    def get_temp_dir_path(self) -> str:
        """Returns the directory for temporary files."""
        return str(mobula.get_runtime_context().get_temp_dir())


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

    @property
    def node(self) -> _Node:
        """The node that this process speaks to."""
        self.check_connected()
        return _Node()

    def check_connected(self) -> None:
        """Raises RaySystemError when this process has no session."""
        if not self.connected:
            raise mobula.exceptions.RaySystemError("Ray has not been started yet. You can start Ray with 'ray.init()'.")


global_worker = _Worker()


def __getattr__(name: str) -> Any:
    if name == "_global_node":
        return _Node() if global_worker.connected else None
    if name.startswith("_"):
        raise AttributeError(f"ray._private.worker.{name} is not part of this version of Mobula")
    return getattr(mobula, name)
