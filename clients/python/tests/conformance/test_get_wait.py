"""get and wait at their edges."""

from __future__ import annotations

import threading
import time

import pytest
import ray
from ray.exceptions import GetTimeoutError

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def sleep():
    @ray.remote(num_cpus=0)
    def sleep(seconds, value=None):
        time.sleep(seconds)
        return value

    return sleep


def test_get_of_an_empty_list():
    assert ray.get([]) == []


@pytest.mark.parametrize("wrong", [1, "ref", None, {"a": 1}, 1.5], ids=repr)
def test_get_of_something_else_is_a_value_error(wrong):
    with pytest.raises(ValueError):
        ray.get(wrong)


def test_get_of_a_list_with_something_else_is_a_type_error():
    with pytest.raises(TypeError):
        ray.get([ray.put(1), 2])


@pytest.mark.parametrize("kind", [tuple, set], ids=["tuple", "set"])
def test_get_of_another_collection_is_a_value_error(kind):
    with pytest.raises(ValueError):
        ray.get(kind([ray.put(1)]))


def test_get_keeps_order_and_repeats(sleep):
    slow, fast = sleep.remote(0.2, "slow"), sleep.remote(0, "fast")
    assert ray.get([slow, fast, slow]) == ["slow", "fast", "slow"]


def test_get_timeout(sleep):
    ref = sleep.remote(5)
    begin = time.monotonic()
    with pytest.raises(GetTimeoutError):
        ray.get(ref, timeout=0.2)
    assert 0.15 < time.monotonic() - begin < 5
    with pytest.raises(TimeoutError):
        ray.get(ref, timeout=0)
    ray.cancel(ref, force=True)


def test_get_with_timeout_zero_of_what_is_there():
    ref = ray.put(1)
    assert ray.get(ref, timeout=0) == 1


def test_get_with_a_negative_timeout_waits_without_end():
    assert ray.get(ray.put(1), timeout=-1) == 1


def test_get_raises_the_first_failure_without_waiting_for_the_rest(sleep):
    @ray.remote
    def fail():
        raise ZeroDivisionError

    slow = sleep.remote(30)
    begin = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        ray.get([fail.remote(), slow])
    assert time.monotonic() - begin < 10
    ray.cancel(slow, force=True)


def test_get_twice_gives_equal_values(sleep):
    ref = sleep.remote(0, {"a": [1]})
    assert ray.get(ref) == ray.get(ref)


def test_values_are_immutable_copies():
    ref = ray.put([1])
    ray.get(ref).append(2)
    assert ray.get(ref) == [1]


def test_get_from_many_threads(sleep):
    ref = sleep.remote(0.2, "value")
    results = []
    threads = [threading.Thread(target=lambda: results.append(ray.get(ref))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == ["value"] * 8


def test_submit_from_many_threads(sleep):
    @ray.remote
    def double(x):
        return 2 * x

    results = {}

    def work(n):
        results[n] = ray.get([double.remote(n * 100 + i) for i in range(20)])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == {n: [2 * (n * 100 + i) for i in range(20)] for n in range(4)}


def test_wait_splits_into_ready_and_rest(sleep):
    fast, slow = sleep.remote(0), sleep.remote(30)
    ready, rest = ray.wait([slow, fast])
    assert (ready, rest) == ([fast], [slow])
    ray.cancel(slow, force=True)


def test_wait_returns_no_more_than_asked_for_in_input_order():
    refs = [ray.put(i) for i in range(5)]
    ready, rest = ray.wait(refs, num_returns=2)
    assert len(ready) == 2
    assert ready == [ref for ref in refs if ref in ready]
    assert rest == [ref for ref in refs if ref not in ready]
    assert ray.wait(refs, num_returns=5) == (refs, [])


def test_wait_with_a_timeout_may_return_fewer(sleep):
    slow = sleep.remote(30)
    done = ray.put(1)
    begin = time.monotonic()
    assert ray.wait([slow, done], num_returns=2, timeout=0.2) == ([done], [slow])
    assert time.monotonic() - begin < 30
    assert ray.wait([slow], timeout=0) == ([], [slow])
    ray.cancel(slow, force=True)


def test_wait_counts_failures_as_ready():
    @ray.remote
    def fail():
        raise ValueError

    ref = fail.remote()
    assert ray.wait([ref], timeout=10) == ([ref], [])


@pytest.mark.parametrize("wrong", [None, 1, "x"], ids=repr)
def test_wait_for_something_else_is_a_type_error(wrong):
    with pytest.raises(TypeError):
        ray.wait(wrong)


def test_wait_for_one_ref_without_a_list_is_a_type_error():
    with pytest.raises(TypeError):
        ray.wait(ray.put(1))


def test_wait_for_a_list_with_something_else_is_a_type_error():
    with pytest.raises(TypeError):
        ray.wait([1])


def test_wait_for_duplicates_is_a_value_error():
    ref = ray.put(1)
    with pytest.raises(ValueError):
        ray.wait([ref, ref])


@pytest.mark.parametrize("count", [0, -1, 3])
def test_wait_for_an_impossible_count_is_a_value_error(count):
    with pytest.raises(ValueError):
        ray.wait([ray.put(1), ray.put(2)], num_returns=count)


def test_wait_with_a_negative_timeout_is_a_value_error():
    with pytest.raises(ValueError):
        ray.wait([ray.put(1)], timeout=-1)


def test_wait_for_nothing():
    assert ray.wait([]) == ([], [])


def test_wait_without_fetching():
    ref = ray.put(b"x" * 1_000_000)
    assert ray.wait([ref], fetch_local=False) == ([ref], [])


def test_wait_in_a_loop_sees_every_ref_once(sleep):
    left = [sleep.remote(0.01 * (i % 3), i) for i in range(10)]
    seen = []
    while left:
        (ready,), left = ray.wait(left, num_returns=1, timeout=10)
        seen.append(ray.get(ready))
    assert sorted(seen) == list(range(10))


def test_get_in_a_task_lends_its_cpu():
    @ray.remote(num_cpus=4)
    def child():
        return "child"

    @ray.remote(num_cpus=4)
    def parent():
        return ray.get(child.remote())

    assert ray.get(parent.remote(), timeout=30) == "child"
