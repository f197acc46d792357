"""Ray's ``ray.util.debug``: ``log_once`` and its switches."""

from __future__ import annotations

import time

__all__ = ["disable_log_once_globally", "enable_periodic_logging", "log_once", "reset_log_once"]

_REPEAT_S = 60.0
_last: dict[str, float] = {}
_state = {"disabled": False, "periodic": False}


def log_once(key: str) -> bool:
    """Reports whether what key names should be logged now: the first time, or once a minute with periodic logging."""
    if _state["disabled"]:
        return False
    now = time.monotonic()
    last = _last.get(key)
    if last is not None and not (_state["periodic"] and now - last > _REPEAT_S):
        return False
    _last[key] = now
    return True


def disable_log_once_globally() -> None:
    """Makes log_once false from now on."""
    _state["disabled"] = True


def enable_periodic_logging() -> None:
    """Makes log_once true again for a key when a minute has passed."""
    _state["periodic"] = True


def reset_log_once(key: str | None = None) -> None:
    """Forgets that key was logged; all keys without one."""
    if key is None:
        _last.clear()
    else:
        _last.pop(key, None)
