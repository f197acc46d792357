"""Errors of the state interface."""

from __future__ import annotations

__all__ = ["RayStateApiException", "StateApiException"]


class StateApiException(Exception):
    """The state could not be read, or the question makes no sense."""


RayStateApiException = StateApiException
