"""Metrics count in their process and go to OpenTelemetry where it is."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from mobula.util.metrics import Counter, Gauge, Histogram, snapshot


def test_a_counter_adds_by_tags() -> None:
    counter = Counter("requests", description="how many", tag_keys=("route", "code"))
    counter.set_default_tags({"code": "200"})
    counter.inc(tags={"route": "/"})
    counter.inc(2, tags={"route": "/"})
    counter.inc(0.5, tags={"route": "/a", "code": "500"})
    assert snapshot()["requests"] == {("/", "200"): 3.0, ("/a", "500"): 0.5}
    assert counter.info == {"name": "requests", "description": "how many", "tag_keys": ("route", "code"), "default_tags": {"code": "200"}}


def test_a_metric_that_is_made_again_goes_on() -> None:
    Counter("again").inc(2)
    Counter("again").inc(3)
    assert snapshot()["again"] == {(): 5.0}
    Counter("again", tag_keys=("other",))
    assert snapshot()["again"] == {}


def test_a_gauge_is_set() -> None:
    gauge = Gauge("depth")
    gauge.set(5)
    gauge.set(2.5)
    gauge.set(None)
    assert snapshot()["depth"] == {(): 2.5}


def test_a_histogram_counts_between_its_boundaries() -> None:
    histogram = Histogram("latency", boundaries=[1, 10], tag_keys=("route",))
    for value in (0.5, 1, 5, 50):
        histogram.observe(value, tags={"route": "/"})
    assert snapshot()["latency"] == {("/",): [2, 1, 1]}
    assert histogram.info["boundaries"] == [1, 10]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Counter(""), ValueError),
        (lambda: Counter("name", tag_keys="route"), TypeError),
        (lambda: Counter("name", tag_keys=(1,)), TypeError),
        (lambda: Counter("name").inc(0), ValueError),
        (lambda: Counter("name").inc(-1), ValueError),
        (lambda: Counter("name").inc("1"), TypeError),
        (lambda: Counter("name", tag_keys=("route",)).inc(), ValueError),
        (lambda: Counter("name", tag_keys=("route",)).inc(tags={"route": 5}), TypeError),
        (lambda: Counter("name", tag_keys=("route",)).set_default_tags({"other": "x"}), ValueError),
        (lambda: Gauge("name").set("1"), TypeError),
        (lambda: Histogram("name"), ValueError),
        (lambda: Histogram("name", boundaries=[0, 1]), ValueError),
        (lambda: Histogram("name", boundaries=[2, 1]), ValueError),
        (lambda: Histogram("name", boundaries=[1]).observe("1"), TypeError),
    ],
)
def test_bad_values_are_refused(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_too_many_combinations_of_tags_are_refused() -> None:
    counter = Counter("ids", tag_keys=("id",))
    with pytest.raises(ValueError, match="combinations"):
        for i in range(20_000):
            counter.inc(tags={"id": str(i)})


def test_a_metric_can_be_used_in_a_task(node: None) -> None:
    import mobula

    @mobula.remote
    class Counting:
        def __init__(self) -> None:
            self.counter = Counter("calls", tag_keys=("actor",))
            self.counter.set_default_tags({"actor": "one"})

        def call(self) -> Any:
            self.counter.inc()
            return snapshot()["calls"]

    actor = Counting.remote()
    mobula.get(actor.call.remote())
    assert mobula.get(actor.call.remote()) == {("one",): 2.0}


def test_opentelemetry_gets_them_too() -> None:
    pytest.importorskip("opentelemetry.sdk.metrics")
    program = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
from mobula.util.metrics import Counter, Gauge, Histogram
Counter("requests", tag_keys=("route",)).inc(3, tags={"route": "/"})
Gauge("depth").set(2)
Histogram("latency", boundaries=[1, 10]).observe(5)
found = {m.name: m for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics}
(point,) = found["requests"].data.data_points
assert (point.value, dict(point.attributes)) == (3, {"route": "/"})
assert found["depth"].data.data_points[0].value == 2
(point,) = found["latency"].data.data_points
assert (point.sum, list(point.explicit_bounds)) == (5, [1, 10]), point
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_what_metrics_cannot_have_is_left_out() -> None:
    counter = Counter("requests-by route", tag_keys=("route",))
    assert counter.info["name"] == "requests_by_route"
    counter.inc(2, tags={"route": "/", "unknown": "x"})
    counter.inc(1, tags={"route": "/"})
    assert snapshot()["requests_by_route"] == {("/",): 3.0}
