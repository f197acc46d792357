"""Ray's ``ray._private.ray_client_microbenchmark``: the lines of a client that is not on the cluster.

Ray Client is a proxy for drivers elsewhere (``ray://``). Mobula has none: a driver speaks the same protocol wherever it is, so there is
nothing to measure that the other lines do not.
"""

from __future__ import annotations

from typing import Any

__all__ = ["main"]


def main(results: list[Any] | None = None) -> list[Any]:
    """Adds nothing to results, and says why."""
    print("client: no lines: Mobula has no Ray Client, and its drivers are measured above")
    return results or []
