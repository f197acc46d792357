"""Ray's ``ray.util.rpdb``: its remote debugger, which Mobula does not have."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["post_mortem", "set_trace"]

_WHY = (
    "Mobula has no debugger of its own, as `ray debug` is one. Attach one to the worker, for example with debugpy.listen() and "
    "debugpy.wait_for_client() in the task, or call the function without .remote()"
)


def set_trace(breakpoint_uuid: bytes | None = None) -> NoReturn:
    """Raises NotImplementedError, which says what to do instead."""
    raise NotImplementedError(_WHY)


def post_mortem() -> NoReturn:
    """Raises NotImplementedError, which says what to do instead."""
    raise NotImplementedError(_WHY)
