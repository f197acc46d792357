"""The small names of mobula.util."""

from __future__ import annotations

import time
from typing import Any

import pytest

import mobula
import mobula.util
from mobula import util

pytestmark = pytest.mark.usefixtures("node")


@mobula.remote(num_cpus=0)
def after(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@mobula.remote(num_cpus=0)
def fail_on(x: int, bad: int) -> int:
    if x == bad:
        raise ValueError(f"bad {x}")
    return x


@pytest.fixture(scope="module", autouse=True)
def _warm(node: None) -> None:
    mobula.get([after.remote(0.2) for _ in range(6)])


def test_as_completed_yields_what_is_ready_first() -> None:
    seconds = [0.8, 0.2, 0.5, 0.05]
    assert list(util.as_completed([after.remote(s) for s in seconds], chunk_size=1)) == sorted(seconds)


def test_as_completed_waits_for_a_chunk_and_keeps_the_order_within_it() -> None:
    seconds = [1.2, 0.3, 0.6, 0.9, 0.05]
    assert list(util.as_completed([after.remote(s) for s in seconds], chunk_size=2)) == [0.3, 0.05, 0.6, 0.9, 1.2]
    assert list(util.as_completed([after.remote(s) for s in (0.1, 0.01)])) == [0.1, 0.01]


def test_as_completed_yields_refs_if_asked() -> None:
    refs = [after.remote(0.01) for _ in range(3)]
    assert set(util.as_completed(refs, yield_obj_refs=True)) == set(refs)
    assert list(util.as_completed([])) == []


def test_as_completed_raises_in_its_turn() -> None:
    results = util.as_completed([fail_on.remote(x, 1) for x in range(3)], chunk_size=3)
    assert next(results) == 0
    with pytest.raises(ValueError, match="bad 1"):
        next(results)


@pytest.mark.parametrize("options", [{}, {"chunk_size": 1}, {"backpressure_size": 2, "chunk_size": 1}, {"backpressure_size": None}])
def test_map_unordered_yields_every_result(options: dict[str, Any]) -> None:
    assert sorted(util.map_unordered(after, [0.02, 0.01, 0.03, 0.0], **options)) == [0.0, 0.01, 0.02, 0.03]


def test_map_unordered_takes_items_as_it_goes() -> None:
    taken = []

    def items() -> Any:
        for i in range(1_000_000):
            taken.append(i)
            yield 0.0

    results = util.map_unordered(after, items(), backpressure_size=5, chunk_size=1)
    for _ in range(10):
        next(results)
    assert len(taken) < 20


def test_a_chunk_has_at_least_one() -> None:
    with pytest.raises(ValueError):
        list(util.as_completed([after.remote(0)], chunk_size=0))
    with pytest.raises(ValueError):
        list(util.map_unordered(after, [0.0], chunk_size=0))


def test_named_actors_are_listed() -> None:
    @mobula.remote(num_cpus=0)
    class Named:
        def ready(self) -> bool:
            return True

    assert util.list_named_actors() == []
    actors = [Named.options(name="b").remote(), Named.options(name="c", namespace="elsewhere").remote(), Named.remote()]
    mobula.get([a.ready.remote() for a in actors])
    assert util.list_named_actors() == ["b"]
    everywhere = util.list_named_actors(all_namespaces=True)
    assert sorted((a["name"], a["namespace"]) for a in everywhere) == [("b", "tests"), ("c", "elsewhere")]
    for actor in actors[:2]:
        mobula.kill(actor)
    deadline = time.monotonic() + 20
    while util.list_named_actors(all_namespaces=True) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert util.list_named_actors(all_namespaces=True) == []


def test_the_node_has_an_address() -> None:
    assert util.get_node_ip_address().count(".") == 3


def test_inspect_serializability_finds_the_culprit(capsys: pytest.CaptureFixture[str]) -> None:
    import threading

    lock = threading.Lock()

    def uses_lock() -> None:
        with lock:
            pass

    fine, failures = util.inspect_serializability(uses_lock, name="uses_lock")
    assert not fine
    assert [f.name for f in failures] == ["lock"]
    assert next(iter(failures)).obj is lock
    assert "uses_lock" in capsys.readouterr().out
    fine, failures = util.inspect_serializability([1, 2])
    assert fine and not failures


class Guarded:
    """Has what cannot be pickled."""

    def __init__(self, value: int) -> None:
        import threading

        self.value = value
        self.lock = threading.Lock()


def test_a_registered_serializer_is_used_both_ways() -> None:
    guarded = Guarded(5)
    with pytest.raises(TypeError):
        mobula.put(guarded)
    util.register_serializer(Guarded, serializer=lambda g: g.value, deserializer=lambda v: Guarded(v + 1))
    try:

        @mobula.remote
        def value_of(g: Guarded) -> int:
            return g.value

        assert mobula.get(mobula.put(guarded)).value == 6
        assert mobula.get(value_of.remote(guarded)) == 6
        assert mobula.get(mobula.put([guarded]))[0].value == 6
    finally:
        util.deregister_serializer(Guarded)
    with pytest.raises(TypeError):
        mobula.put(guarded)


def test_placement_group_is_the_function_whatever_was_imported() -> None:
    import importlib

    importlib.import_module("mobula.util.placement_group")
    assert callable(mobula.util.placement_group)
    from mobula.util import placement_group

    assert callable(placement_group)


def test_every_name_is_there() -> None:
    for name in util.__all__:
        assert getattr(util, name) is not None, name
    with pytest.raises(AttributeError):
        _ = util.nothing_of_that_name
