"""Results in the order in which they come, and the address of this node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import mobula

__all__ = ["as_completed", "get_node_ip_address", "map_unordered"]


def as_completed(refs: Sequence[Any], *, chunk_size: int = 10, yield_obj_refs: bool = False, **kwargs: Any) -> Iterator[Any]:
    """Yields the values of refs as they come, or the refs themselves with ``yield_obj_refs``.

    Waits for ``chunk_size`` of them at a time: 1 yields each as soon as it is there. Raises what a task raised when its turn comes.
    ``kwargs`` are those of ``wait``; with a ``timeout`` in seconds, fewer may be yielded at a time.
    """
    if chunk_size < 1:
        raise ValueError(f"`chunk_size` must be >= 1, not {chunk_size}")
    waiting = list(refs)
    while waiting:
        ready, waiting = mobula.wait(waiting, num_returns=min(chunk_size, len(waiting)), **kwargs)
        for ref in ready:
            yield ref if yield_obj_refs else mobula.get(ref)


def map_unordered(
    fn: Any,
    items: Iterable[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
    **kwargs: Any,
) -> Iterator[Any]:
    """Calls a remote function with every item and yields the values as they come, or their refs with ``yield_obj_refs``.

    At most ``backpressure_size`` calls are under way, so that ``items`` may be endless; None sets no limit. ``chunk_size`` and ``kwargs``
    are those of ``as_completed``.
    """
    if chunk_size < 1:
        raise ValueError(f"`chunk_size` must be >= 1, not {chunk_size}")
    if backpressure_size is not None and backpressure_size <= 0:
        raise ValueError(f"backpressure_size must be positive, not {backpressure_size}")
    if backpressure_size is not None and backpressure_size < chunk_size:
        backpressure_size = chunk_size
    running: list[Any] = []
    for item in items:
        while backpressure_size is not None and len(running) >= backpressure_size:
            ready, running = mobula.wait(running, num_returns=min(chunk_size, len(running)), **kwargs)
            for ref in ready:
                yield ref if yield_obj_refs else mobula.get(ref)
        running.append(fn.remote(item))
    yield from as_completed(running, chunk_size=chunk_size, yield_obj_refs=yield_obj_refs, **kwargs)


def get_node_ip_address(address: str = "192.0.2.1:9") -> str:
    """Returns the IP address from which this machine would reach ``address`` (host:port); 127.0.0.1 when it has no route.

    Nothing is sent. The default address is one that documentation uses and nobody has.
    """
    import socket

    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect((host, int(port)))
            return str(s.getsockname()[0])
        except OSError:
            return "127.0.0.1"
