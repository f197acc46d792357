"""ActorPool shares out calls among its actors."""

from __future__ import annotations

import time
from typing import Any

import pytest

import mobula
from mobula.util import ActorPool

pytestmark = pytest.mark.usefixtures("node")


@mobula.remote(num_cpus=0)
class Doubler:
    def double(self, x: int) -> int:
        return 2 * x

    def slow(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    @mobula.method(num_returns=2)
    def both(self, x: int) -> tuple[int, int]:
        return x, 2 * x

    def fail(self, x: int) -> int:
        if x % 2:
            raise ValueError(f"odd: {x}")
        return x


def pool_of(count: int) -> ActorPool:
    return ActorPool([Doubler.remote() for _ in range(count)])


def test_map_keeps_the_order_of_values() -> None:
    pool = pool_of(2)
    assert list(pool.map(lambda actor, v: actor.double.remote(v), range(20))) == [2 * v for v in range(20)]
    assert not pool.has_next()


def test_map_unordered_yields_every_result_and_the_quick_ones_first() -> None:
    pool = pool_of(2)
    results = list(pool.map_unordered(lambda actor, v: actor.slow.remote(v), [0.4, 0.01, 0.02]))
    assert sorted(results) == [0.01, 0.02, 0.4]
    assert results[-1] == 0.4


def test_calls_may_have_several_results() -> None:
    pool = pool_of(2)
    assert list(pool.map(lambda actor, v: actor.both.remote(v), range(6))) == [[v, 2 * v] for v in range(6)]
    assert sorted(pool.map_unordered(lambda actor, v: actor.both.remote(v), range(6))) == [[v, 2 * v] for v in range(6)]
    pool.submit(lambda actor, v: actor.both.remote(v), 1)
    assert pool.get_next(timeout=20) == [1, 2]


def test_map_is_submitted_before_it_is_iterated() -> None:
    pool = pool_of(1)
    results = pool.map(lambda actor, v: actor.double.remote(v), [1, 2])
    assert pool.has_next()
    assert list(results) == [2, 4]


def test_map_forgets_what_was_submitted_before() -> None:
    pool = pool_of(1)
    pool.submit(lambda actor, v: actor.double.remote(v), 100)
    assert list(pool.map(lambda actor, v: actor.double.remote(v), [1, 2])) == [2, 4]


def test_get_next_returns_results_in_the_order_of_submission() -> None:
    pool = pool_of(2)
    for seconds in (0.3, 0.01, 0.02):
        pool.submit(lambda actor, v: actor.slow.remote(v), seconds)
    assert [pool.get_next() for _ in range(3)] == [0.3, 0.01, 0.02]


def test_get_next_unordered_returns_what_is_ready() -> None:
    pool = pool_of(2)
    for seconds in (0.5, 0.01):
        pool.submit(lambda actor, v: actor.slow.remote(v), seconds)
    assert [pool.get_next_unordered() for _ in range(2)] == [0.01, 0.5]


def test_submissions_wait_for_an_actor_that_is_free() -> None:
    pool = pool_of(1)
    assert pool.has_free()
    pool.submit(lambda actor, v: actor.double.remote(v), 1)
    pool.submit(lambda actor, v: actor.double.remote(v), 2)
    assert not pool.has_free()
    assert pool.get_next() == 2
    assert not pool.has_free()
    assert pool.get_next() == 4
    assert pool.has_free()


def test_nothing_to_return_is_StopIteration() -> None:
    pool = pool_of(1)
    assert not pool.has_next()
    with pytest.raises(StopIteration):
        pool.get_next()
    with pytest.raises(StopIteration):
        pool.get_next_unordered()


def test_a_result_that_is_late_is_TimeoutError_and_can_be_waited_for_again() -> None:
    pool = pool_of(1)
    pool.submit(lambda actor, v: actor.slow.remote(v), 0.3)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.01)
    with pytest.raises(TimeoutError):
        pool.get_next_unordered(timeout=0.01)
    assert pool.get_next() == 0.3


def test_a_late_result_can_be_passed_over() -> None:
    pool = pool_of(1)
    pool.submit(lambda actor, v: actor.slow.remote(v), 0.3)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.01, ignore_if_timedout=True)
    assert not pool.has_next()
    assert pool.has_free()
    pool.submit(lambda actor, v: actor.slow.remote(v), 0.2)
    with pytest.raises(TimeoutError):
        pool.get_next_unordered(timeout=0.01, ignore_if_timedout=True)
    assert not pool.has_next()


def test_an_error_comes_in_its_turn_and_the_pool_goes_on() -> None:
    pool = pool_of(1)
    results = pool.map(lambda actor, v: actor.fail.remote(v), [0, 1, 2])
    assert next(results) == 0
    with pytest.raises(ValueError, match="odd: 1"):
        next(results)
    assert pool.get_next() == 2
    assert pool.has_free()


def test_get_next_after_get_next_unordered_is_refused_or_goes_on() -> None:
    pool = pool_of(2)
    for v in (0.3, 0.01):
        pool.submit(lambda actor, v: actor.slow.remote(v), v)
    assert pool.get_next_unordered() == 0.01
    with pytest.raises(ValueError):
        pool.get_next()


def test_actors_are_taken_out_and_put_back() -> None:
    pool = pool_of(1)
    actor: Any = pool.pop_idle()
    assert actor is not None
    assert pool.pop_idle() is None
    assert not pool.has_free()
    pool.submit(lambda actor, v: actor.double.remote(v), 5)
    pool.push(actor)
    assert pool.get_next() == 10
    with pytest.raises(ValueError):
        pool.push(actor)


def test_a_busy_actor_cannot_be_pushed() -> None:
    actor = Doubler.remote()
    pool = ActorPool([actor])
    pool.submit(lambda actor, v: actor.double.remote(v), 1)
    with pytest.raises(ValueError):
        pool.push(actor)


def test_an_actor_that_dies_fails_its_call_only() -> None:
    actors = [Doubler.remote() for _ in range(2)]
    pool = ActorPool(actors)
    mobula.get([a.double.remote(1) for a in actors])
    mobula.kill(actors[0])
    pool.submit(lambda actor, v: actor.double.remote(v), 1)
    pool.submit(lambda actor, v: actor.double.remote(v), 2)
    outcomes = []
    while pool.has_next():
        try:
            outcomes.append(pool.get_next())
        except mobula.exceptions.RayActorError:
            outcomes.append(None)
    assert outcomes.count(None) == 1
    assert {2, 4} & set(outcomes)
