"""Counters, gauges and histograms of the user's own.

Values are kept in the process that records them, where ``snapshot`` reads them, and go to OpenTelemetry's metrics API as well when
``opentelemetry`` is installed: with an SDK and the ``OTEL_*`` variables set they are exported from every worker and driver.
"""

from __future__ import annotations

import bisect
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Counter", "Gauge", "Histogram", "snapshot"]

_SERIES_MAX = 10_000  # combinations of tags of one metric: more are a mistake, such as an id as a tag

_lock = threading.Lock()
_metrics: dict[str, Metric] = {}


class Metric:
    """What all metrics have: a name, tags and one value for each combination of their values."""

    def __init__(self, name: str, description: str = "", tag_keys: Sequence[str] | None = None) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError("Empty name is not allowed. Please provide a metric name.")
        name = re.sub(r"^(?=[0-9])|[^a-zA-Z0-9_:]", "_", name)  # which is what the systems that read metrics know
        if not isinstance(tag_keys, (tuple, list, type(None))):
            raise TypeError(f"tag_keys should be a tuple type, got: {type(tag_keys)}")
        if not all(isinstance(key, str) for key in tag_keys or ()):
            raise TypeError(f"tag_keys should be a tuple of str, got: {tag_keys!r}")
        self._name, self._description, self._tag_keys = name, description, tuple(tag_keys or ())
        self._default_tags: dict[str, str] = {}
        self._series: dict[tuple[str, ...], Any] = {}
        self._instrument = self._make_instrument()
        with _lock:
            known = _metrics.get(name)
            if known is not None and known._shape() == self._shape():
                self._series = known._series  # made twice, as by two actors in turn: it goes on
            _metrics[name] = self

    def _make_instrument(self) -> Any:
        return None

    def _shape(self) -> tuple[Any, ...]:
        """Returns what two metrics of one name must share to be the same."""
        return type(self), self._tag_keys

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, tag keys and default tags."""
        return {
            "name": self._name, "description": self._description, "tag_keys": self._tag_keys, "default_tags": dict(self._default_tags),
        }  # fmt: skip

    def set_default_tags(self, default_tags: Mapping[str, str]) -> Metric:
        """Sets the values of tags that a record does not give. Raises ``ValueError`` for tags that the metric does not have."""
        for key in default_tags:
            if key not in self._tag_keys:
                raise ValueError(f"Unrecognized tag key {key}.")
        self._default_tags = _texts(default_tags)
        return self

    def _tags(self, tags: Mapping[str, str] | None) -> dict[str, str]:
        """Returns the values of the metric's tags; what is given beside them is left out."""
        full = {**self._default_tags, **_texts(tags or {})}
        missing = [key for key in self._tag_keys if key not in full]
        if missing:
            raise ValueError(f"Missing value for tag key(s): {','.join(missing)}.")
        return {key: full[key] for key in self._tag_keys}

    def _key(self, tags: Mapping[str, str]) -> tuple[str, ...]:
        key = tuple(tags[k] for k in self._tag_keys)
        if key not in self._series and len(self._series) >= _SERIES_MAX:
            raise ValueError(f"metric {self._name} has {_SERIES_MAX} combinations of tags: do not use ids as tags")
        return key


def _texts(tags: Mapping[str, str]) -> dict[str, str]:
    for value in tags.values():
        if not isinstance(value, str):
            raise TypeError(f"Tag values must be str, got {type(value)}.")
    return dict(tags)


def _meter() -> Any:
    try:
        from opentelemetry import metrics
    except ModuleNotFoundError:
        return None
    return metrics.get_meter("mobula")


class Counter(Metric):
    """A number that only grows."""

    def _make_instrument(self) -> Any:
        meter = _meter()
        return None if meter is None else meter.create_counter(self._name, description=self._description)

    def inc(self, value: float = 1.0, tags: Mapping[str, str] | None = None) -> None:
        """Adds to the counter. Raises ``ValueError`` unless ``value`` is above zero."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"value must be int or float, got {type(value)}.")
        if value <= 0:
            raise ValueError(f"value must be >0, got {value}")
        full = self._tags(tags)
        with _lock:
            key = self._key(full)
            self._series[key] = self._series.get(key, 0.0) + value
        if self._instrument is not None:
            self._instrument.add(value, full)


class Gauge(Metric):
    """A number that goes up and down."""

    def _make_instrument(self) -> Any:
        meter = _meter()
        return None if meter is None else meter.create_gauge(self._name, description=self._description)

    def set(self, value: float | None, tags: Mapping[str, str] | None = None) -> None:
        """Sets the gauge; None records nothing."""
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"value must be int or float, got {type(value)}.")
        full = self._tags(tags)
        with _lock:
            self._series[self._key(full)] = float(value)
        if self._instrument is not None:
            self._instrument.set(value, full)


class Histogram(Metric):
    """How often values fell between boundaries."""

    def __init__(self, name: str, description: str = "", boundaries: Sequence[float] | None = None, tag_keys: Sequence[str] | None = None) -> None:
        if not boundaries:
            raise ValueError("boundaries argument should be provided when using the Histogram class: boundaries=[1.0, 2.0]")
        for i, boundary in enumerate(boundaries):
            if boundary <= 0:
                raise ValueError(f"Invalid `boundaries` argument at index {i}, {boundaries}. Use positive values for the arguments.")
        if list(boundaries) != sorted(boundaries):
            raise ValueError(f"Invalid `boundaries` argument, {boundaries}. Each is greater than the one before.")
        self.boundaries = [float(b) for b in boundaries]
        super().__init__(name, description, tag_keys)

    def _make_instrument(self) -> Any:
        meter = _meter()
        if meter is None:
            return None
        try:
            return meter.create_histogram(self._name, description=self._description, explicit_bucket_boundaries_advisory=self.boundaries)
        except TypeError:  # of a version of OpenTelemetry that has boundaries in its views only
            return meter.create_histogram(self._name, description=self._description)

    def _shape(self) -> tuple[Any, ...]:
        return *super()._shape(), tuple(self.boundaries)

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, tag keys, default tags and boundaries."""
        return {**super().info, "boundaries": list(self.boundaries)}

    def observe(self, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Counts a value."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"value must be int or float, got {type(value)}.")
        full = self._tags(tags)
        with _lock:
            key = self._key(full)
            counts = self._series.setdefault(key, [0] * (len(self.boundaries) + 1))
            counts[bisect.bisect_left(self.boundaries, value)] += 1
        if self._instrument is not None:
            self._instrument.record(value, full)


def snapshot() -> dict[str, dict[tuple[str, ...], Any]]:
    """Returns the metrics of this process: name to values by tags; for a histogram the counts between its boundaries."""
    with _lock:
        return {name: {k: list(v) if isinstance(v, list) else v for k, v in m._series.items()} for name, m in _metrics.items()}
