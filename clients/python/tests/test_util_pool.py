"""multiprocessing.Pool is a drop-in for the standard library's, on the processes of a cluster."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import threading
import time
from typing import Any

import pytest

import mobula
from mobula.util.multiprocessing import Pool, TimeoutError

pytestmark = pytest.mark.usefixtures("node")


def square(x: int) -> int:
    return x * x


def add(a: int, b: int = 10) -> int:
    return a + b


def fail(x: int) -> int:
    if x == 3:
        raise ValueError(f"no {x}")
    return x


def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def pid_of(_: int = 0) -> int:
    time.sleep(0.02)
    return os.getpid()


@pytest.fixture
def pool() -> Any:
    with Pool(2) as made:
        yield made


def test_apply_calls_a_function_with_its_arguments(pool: Pool) -> None:
    assert pool.apply(add, (1,)) == 11
    assert pool.apply(add, (1, 2)) == 3
    assert pool.apply(add, (1,), {"b": 5}) == 6
    assert pool.apply(add, kwds={"a": 1}) == 11
    assert pool.apply(math.sqrt, [16]) == 4


def test_apply_raises_what_the_function_raised(pool: Pool) -> None:
    with pytest.raises(ValueError, match="no 3"):
        pool.apply(fail, (3,))
    assert pool.apply(fail, (4,)) == 4


def test_map_keeps_the_order(pool: Pool) -> None:
    assert pool.map(square, range(50)) == [x * x for x in range(50)]
    assert pool.map(square, range(7), chunksize=3) == [x * x for x in range(7)]
    assert pool.map(square, iter([1, 2])) == [1, 4]
    assert pool.map(square, []) == []
    assert pool.starmap(add, [(1, 2), (3,), [4, 5]]) == [3, 13, 9]
    assert pool.starmap(add, [(i, i) for i in range(20)], chunksize=4) == [2 * i for i in range(20)]


def test_map_raises_what_a_call_raised(pool: Pool) -> None:
    with pytest.raises(ValueError, match="no 3"):
        pool.map(fail, range(10), chunksize=1)
    with pytest.raises(ValueError, match="Chunksize"):
        pool.map(square, [1], chunksize=0)


def test_every_process_works() -> None:
    with Pool(3) as pool:
        assert len(set(pool.map(pid_of, range(12), chunksize=1))) == 3


def test_closures_lambdas_and_methods_can_be_called(pool: Pool) -> None:
    offset = 7
    assert pool.map(lambda x: x + offset, [1, 2]) == [8, 9]
    assert pool.map("-".join, [["a", "b"]]) == ["a-b"]


def test_an_async_result_is_ready_when_all_calls_are_done(pool: Pool) -> None:
    result = pool.apply_async(slow, (0.5,))
    assert not result.ready()
    with pytest.raises(ValueError):
        result.successful()
    with pytest.raises(TimeoutError):
        result.get(timeout=0.01)
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(0.01)
    result.wait(0.01)
    assert not result.ready()
    result.wait()
    assert result.ready()
    assert result.successful()
    assert result.get() == 0.5
    assert result.get(timeout=1) == 0.5


def test_a_failed_async_result_says_so(pool: Pool) -> None:
    result = pool.map_async(fail, range(5))
    result.wait(20)
    assert result.ready()
    assert not result.successful()
    for _ in range(2):
        with pytest.raises(ValueError, match="no 3"):
            result.get()
    assert pool.starmap_async(add, [(1, 1)]).get(20) == [2]
    assert pool.map_async(square, [3]).get(20) == [9]
    assert pool.map_async(square, []).get(20) == []


def test_callbacks_are_told_the_outcome(pool: Pool) -> None:
    told: list[Any] = []
    done = threading.Event()

    def tell(value: Any) -> None:
        told.append(value)
        done.set()

    def wait() -> Any:
        assert done.wait(20)
        done.clear()
        return told.pop()

    pool.apply_async(square, (3,), callback=tell)
    assert wait() == 9
    pool.map_async(square, [1, 2], callback=tell)
    assert wait() == [1, 4]
    pool.starmap_async(add, [(1, 2)], callback=tell)
    assert wait() == [3]
    pool.apply_async(fail, (3,), callback=tell, error_callback=tell)
    error = wait()
    assert isinstance(error, ValueError)
    pool.map_async(fail, [1, 3], error_callback=tell)
    assert isinstance(wait(), ValueError)
    assert not told


def test_imap_yields_in_order_and_takes_values_as_it_goes(pool: Pool) -> None:
    taken: list[int] = []

    def values() -> Any:
        for i in range(100):
            taken.append(i)
            yield i

    results = pool.imap(square, values())
    assert next(results) == 0
    assert len(taken) < 100
    assert list(results) == [x * x for x in range(1, 100)]
    with pytest.raises(StopIteration):
        next(results)
    assert list(pool.imap(square, range(10), chunksize=3)) == [x * x for x in range(10)]


def test_imap_unordered_yields_what_is_ready(pool: Pool) -> None:
    assert sorted(pool.imap_unordered(square, range(20))) == sorted(x * x for x in range(20))
    assert next(pool.imap_unordered(slow, [1.0, 0.01])) == 0.01


def test_imap_waits_as_long_as_it_is_told(pool: Pool) -> None:
    for imap in (pool.imap, pool.imap_unordered):
        results = imap(slow, [0.5])
        with pytest.raises(TimeoutError):
            results.next(timeout=0.01)
        assert results.next(timeout=20) == 0.5


@pytest.mark.parametrize("chunksize", [1, 2])
def test_imap_yields_an_error_as_the_result_of_its_call(pool: Pool, chunksize: int) -> None:
    results = list(pool.imap(fail, [2, 3, 4], chunksize=chunksize))
    assert (results[0], results[2]) == (2, 4)
    assert isinstance(results[1], ValueError) and str(results[1]) == "no 3"
    assert sorted(map(str, pool.imap_unordered(fail, [2, 3, 4], chunksize=chunksize))) == ["2", "4", "no 3"]


def test_what_cannot_be_iterated_is_refused_at_once(pool: Pool) -> None:
    for call in (pool.map, pool.imap, pool.imap_unordered, pool.starmap):
        with pytest.raises(TypeError, match="object is not iterable"):
            call(square, 3)  # type: ignore[operator]


def test_the_initializer_runs_in_every_process() -> None:
    def prepare(name: str, value: str) -> None:
        os.environ[name] = value

    def read(_: int) -> str:
        return os.environ["POOL_TEST"]

    with Pool(2, initializer=prepare, initargs=("POOL_TEST", "ready")) as pool:
        assert pool.map(read, range(6), chunksize=1) == ["ready"] * 6


def test_processes_are_replaced_after_maxtasksperchild() -> None:
    with Pool(1, maxtasksperchild=2) as pool:
        pids = [pool.apply(pid_of) for _ in range(6)]
    assert pids[0] == pids[1] and pids[2] == pids[3] and pids[4] == pids[5]
    assert len(set(pids)) == 3


def test_a_closed_pool_finishes_its_work_and_takes_no_more() -> None:
    pool = Pool(2)
    result = pool.map_async(slow, [0.1] * 6, chunksize=1)
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    pool.close()
    for call in (
        lambda: pool.apply(square, (1,)),
        lambda: pool.map(square, [1]),
        lambda: pool.imap(square, [1]),
        lambda: pool.imap_unordered(square, [1]),
        lambda: pool.starmap(add, [(1, 1)]),
        lambda: pool.apply_async(square, (1,)),
    ):
        with pytest.raises(ValueError, match="not running"):
            call()
    pool.join()
    assert result.get(1) == [0.1] * 6
    pool.close()


def test_a_terminated_pool_drops_its_work() -> None:
    pool = Pool(2)
    result = pool.map_async(slow, [30.0] * 4)
    pool.terminate()
    start = time.monotonic()
    pool.join()
    assert time.monotonic() - start < 20
    with pytest.raises(mobula.exceptions.RayError):
        result.get(timeout=20)


def test_as_a_context_manager_it_is_terminated() -> None:
    with Pool(1) as pool:
        assert pool.apply(square, (2,)) == 4
    with pytest.raises(ValueError, match="not running"):
        pool.apply(square, (2,))


def test_a_pool_cannot_be_pickled(pool: Pool) -> None:
    with pytest.raises(NotImplementedError):
        pickle.dumps(pool)


def test_impossible_pools_are_refused() -> None:
    with pytest.raises(ValueError):
        Pool(0)
    with pytest.raises(ValueError):
        Pool(-1)
    with pytest.raises(TypeError):
        Pool(1, initializer="no function")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        Pool(1, maxtasksperchild=0)


def test_a_process_that_dies_fails_its_call_and_the_pool_goes_on() -> None:
    with Pool(1) as pool:
        with pytest.raises(mobula.exceptions.RayError):
            pool.apply(os._exit, (1,))
        assert pool.apply(square, (3,)) == 9


def test_by_default_it_has_a_process_per_cpu() -> None:
    with Pool() as pool:
        assert len(set(pool.map(pid_of, range(16), chunksize=1))) == 4


def test_options_of_the_actors_can_be_given() -> None:
    with Pool(2, ray_remote_args={"num_cpus": 0, "resources": {"token": 0.5}}) as pool:
        assert pool.apply(square, (5,)) == 25


def test_a_pool_in_a_task_uses_the_same_cluster() -> None:
    @mobula.remote(num_cpus=0)
    def nested() -> list[int]:
        with Pool(2) as pool:
            return pool.map(square, range(5))

    assert mobula.get(nested.remote(), timeout=60) == [0, 1, 4, 9, 16]


def test_a_lazy_map_of_a_closed_pool_runs_to_its_end() -> None:
    pool = Pool(1)
    results = pool.imap(square, range(30))
    pool.close()
    pool.join()
    assert list(results) == [x * x for x in range(30)]


def test_a_pool_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="5 CPUs"):
        Pool(5)


def test_a_callback_that_fails_does_not_keep_the_others_from_being_told(capsys: pytest.CaptureFixture[str]) -> None:
    done = threading.Event()
    with Pool(1) as pool:
        pool.apply_async(square, (1,), callback=lambda _: 1 / 0)
        pool.apply_async(square, (1,), callback=lambda _: done.set())
        assert done.wait(20)
    assert "ZeroDivisionError" in capsys.readouterr().err
