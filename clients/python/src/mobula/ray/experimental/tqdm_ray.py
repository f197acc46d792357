"""Ray's ``ray.experimental.tqdm_ray``: progress bars of tasks and actors that can run anywhere.

A bar is a line of text now and then, and one when it ends. It goes to standard output, so that a worker's comes to the driver as all of
its output does, and any number of bars can be under way at once.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["safe_print", "tqdm"]

_FLUSH_S = 1.0


class tqdm:
    """A progress bar, of ``total`` steps or over an iterable."""

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        total: int | None = None,
        unit: str | None = None,
        position: int | None = None,
        flush_interval_s: float | None = None,
    ) -> None:
        """Makes a bar. At most one line is printed in every ``flush_interval_s``, a second by default; position does nothing."""
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)  # type: ignore[arg-type]
        self.total = total
        self.n = 0
        self._iterable = iterable
        self._desc = desc or ""
        self._unit = unit or "it"
        self._interval_s = _FLUSH_S if flush_interval_s is None else flush_interval_s
        self._begun = self._shown = time.monotonic()
        self._closed = False

    def update(self, n: int = 1) -> None:
        """Adds n steps."""
        self.n += n
        self.refresh()

    def set_description(self, desc: str) -> None:
        """Says what the bar is of."""
        self._desc = desc

    def refresh(self) -> None:
        """Prints the bar, unless that was done a moment ago."""
        if time.monotonic() - self._shown >= self._interval_s:
            self._print()

    def _print(self) -> None:
        self._shown = time.monotonic()
        spent = self._shown - self._begun
        label = f"{self._desc}: " if self._desc else ""
        share = f"{100 * self.n // self.total}% {self.n}/{self.total}" if self.total else str(self.n)
        rate = f", {self.n / spent:.1f} {self._unit}/s" if spent > 0 else ""
        builtins.print(f"{label}{share} {self._unit} [{spent:.1f} s{rate}]", flush=True)

    def close(self) -> None:
        """Prints the bar a last time."""
        if not self._closed:
            self._closed = True
            self._print()

    def __iter__(self) -> Iterator[Any]:
        if self._iterable is None:
            raise ValueError("No iterable provided")
        for item in self._iterable:
            yield item
            self.update(1)
        self.close()


def safe_print(*args: Any, **kwargs: Any) -> None:
    """Prints beside the bars, which print whole lines themselves."""
    builtins.print(*args, **kwargs)
