"""Tasks: arguments, results, errors, streams."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

import mobula
from mobula import exceptions

pytestmark = pytest.mark.usefixtures("node")


@mobula.remote
def add(a: int, b: int = 1, *rest: int, k: int = 0, **more: int) -> int:
    return a + b + sum(rest) + k + sum(more.values())


@mobula.remote
def echo(x: Any) -> Any:
    return x


@mobula.remote
def fail(kind: type[Exception] = ValueError) -> None:
    raise kind("oops")


@mobula.remote
def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_arguments_arrive_as_they_were_given() -> None:
    assert mobula.get(add.remote(1)) == 2
    assert mobula.get(add.remote(1, 2, 3, 4, k=5, z=6)) == 21
    assert mobula.get(add.remote(b=2, a=1)) == 3


def test_wrong_arguments_are_refused_where_they_are_given() -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        add.remote()
    with pytest.raises(TypeError, match="unexpected keyword"):
        sleep.remote(1, x=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="too many"):
        sleep.remote(1, 2)  # type: ignore[call-arg]


def test_refs_among_the_arguments_are_replaced_and_those_inside_are_not() -> None:
    one = mobula.put(1)
    assert mobula.get(add.remote(one, b=echo.remote(2), k=one)) == 4

    @mobula.remote
    def inside(refs: list[Any]) -> Any:
        assert all(isinstance(r, mobula.ObjectRef) for r in refs)
        return sum(mobula.get(refs))

    assert mobula.get(inside.remote([one, echo.remote(5)])) == 6


def test_refs_in_results_outlive_the_task_that_made_them() -> None:
    @mobula.remote
    def make() -> list[Any]:
        return [mobula.put(i) for i in range(10)] + [echo.remote("x")]

    assert mobula.get(mobula.get(make.remote())) == [*range(10), "x"]


def test_a_chain_of_tasks_waits_inside_the_runtime() -> None:
    ref = mobula.put(0)
    for _ in range(50):
        ref = add.remote(ref)
    assert mobula.get(ref) == 50


def test_tasks_submit_tasks_deeper_than_there_are_cpus() -> None:
    @mobula.remote
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + mobula.get(down.remote(n - 1))

    assert mobula.get(down.remote(12)) == 12


def test_a_function_that_was_captured_can_be_called_in_the_task() -> None:
    @mobula.remote
    def outer(n: int) -> int:
        return sum(mobula.get([add.remote(i) for i in range(n)]))

    assert mobula.get(outer.remote(4)) == 10


def test_several_results_have_a_ref_each() -> None:
    @mobula.remote(num_returns=3)
    def three(x: Any) -> Any:
        return x

    a, b, c = three.remote((1, 2, 3))
    assert mobula.get([c, b, a]) == [3, 2, 1]
    with pytest.raises(ValueError, match="Task returned 2 objects, but num_returns=3"):
        mobula.get(three.remote((1, 2))[0])
    with pytest.raises(TypeError, match="has no len"):
        mobula.get(three.remote(1)[2])
    assert three.options(num_returns=0).remote(1) is None
    assert mobula.get(three.options(num_returns=1).remote((1, 2))) == (1, 2)


def test_the_exception_of_a_task_is_of_its_own_class_too() -> None:
    with pytest.raises(ValueError, match="oops") as e:
        mobula.get(fail.remote())
    assert isinstance(e.value, exceptions.RayTaskError)
    assert isinstance(e.value.cause, ValueError)
    assert "in fail" in str(e.value)
    assert "mobula/_worker.py" not in str(e.value)


def test_an_argument_that_failed_fails_the_task_with_the_same_error() -> None:
    with pytest.raises(ValueError, match="oops"):
        mobula.get(add.remote(fail.remote()))


def test_exceptions_are_retried_as_often_as_the_options_say(tmp_path: Any) -> None:
    @mobula.remote(max_retries=2, retry_exceptions=[KeyError])
    def flaky(path: str, kind: type[Exception]) -> int:
        with open(path, "a") as f:
            f.write("x")
        if os.path.getsize(path) < 3:
            raise kind("again")
        return os.path.getsize(path)

    assert mobula.get(flaky.remote(str(tmp_path / "a"), KeyError)) == 3
    with pytest.raises(ValueError, match="again"):
        mobula.get(flaky.remote(str(tmp_path / "b"), ValueError))
    assert (tmp_path / "b").stat().st_size == 1
    with pytest.raises(KeyError):
        mobula.get(flaky.options(retry_exceptions=False).remote(str(tmp_path / "c"), KeyError))


def test_get_takes_refs_and_lists_of_refs_only() -> None:
    with pytest.raises(ValueError, match="Invalid type of object refs"):
        mobula.get("x")
    with pytest.raises(ValueError, match="Invalid type of object refs"):
        mobula.get((mobula.put(1),))
    with pytest.raises(TypeError, match=r"not an ray\.ObjectRef"):
        mobula.get([mobula.put(1), 2])
    assert mobula.get([]) == []
    with pytest.raises(TypeError, match="not allowed"):
        mobula.put(mobula.put(1))


def test_a_get_that_takes_too_long_says_so() -> None:
    ref = sleep.remote(30)
    with pytest.raises(exceptions.GetTimeoutError):
        mobula.get(ref, timeout=0.1)
    with pytest.raises(TimeoutError):
        mobula.get([ref], timeout=0)
    mobula.cancel(ref)
    assert mobula.get(mobula.put(1), timeout=0) == 1


def test_wait_tells_the_ready_from_the_rest_in_order() -> None:
    slow = sleep.remote(30)
    quick = [echo.remote(i) for i in range(3)]
    mobula.get(quick)
    ready, rest = mobula.wait([slow, *quick], num_returns=2)
    assert ready == quick[:2]
    assert rest == [slow, quick[2]]
    assert mobula.wait([slow], timeout=0) == ([], [slow])
    assert mobula.wait([]) == ([], [])
    mobula.cancel(slow)


@pytest.mark.parametrize(
    ("args", "options", "error"),
    [
        (lambda r: r, {}, TypeError),
        (lambda r: [1], {}, TypeError),
        (lambda r: (r,), {}, TypeError),
        (lambda r: [r, r], {}, ValueError),
        (lambda r: [r], {"num_returns": 0}, ValueError),
        (lambda r: [r], {"num_returns": 2}, ValueError),
        (lambda r: [r], {"timeout": -1}, ValueError),
    ],
)
def test_wait_refuses_what_cannot_be(args: Any, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        mobula.wait(args(mobula.put(1)), **options)


@mobula.remote
def count(n: int, failing: bool = False) -> Iterator[int]:
    yield from range(n)
    if failing:
        raise ValueError("at the end")


def test_a_generator_gives_its_items_as_refs() -> None:
    assert [mobula.get(r) for r in count.remote(5)] == [0, 1, 2, 3, 4]
    stream = count.remote(2)
    mobula.get(stream.completed())
    assert stream.next_ready() and not stream.is_finished()
    assert [mobula.get(r) for r in stream] == [0, 1]
    assert stream.is_finished()
    assert list(stream) == []


def test_the_error_of_a_generator_comes_after_its_items() -> None:
    stream = count.remote(2, failing=True)
    assert mobula.get(next(stream)) == 0
    assert mobula.get(next(stream)) == 1
    with pytest.raises(ValueError, match="at the end"):
        mobula.get(next(stream))
    with pytest.raises(StopIteration):
        next(stream)


def test_a_stream_is_ready_in_wait_when_its_next_item_is() -> None:
    stream = count.remote(1)
    assert mobula.wait([stream], timeout=20) == ([stream], [])
    slow = sleep.remote(20)
    ready, rest = mobula.wait([slow, stream], timeout=20)
    assert (ready, rest) == ([stream], [slow])
    mobula.cancel(slow)


def test_a_stream_stays_with_who_made_it() -> None:
    with pytest.raises(TypeError, match="cannot be passed"):
        mobula.put(count.remote(1))


def test_a_producer_pauses_until_its_items_are_read(tmp_path: Any) -> None:
    @mobula.remote(_generator_backpressure_num_objects=2)
    def produce(path: str) -> Iterator[int]:
        for i in range(6):
            with open(path, "a") as f:
                f.write("x")
            yield i

    path = tmp_path / "made"
    stream = produce.remote(str(path))
    assert mobula.get(next(stream)) == 0
    time.sleep(0.5)
    assert path.stat().st_size <= 4
    assert [mobula.get(r) for r in stream] == [1, 2, 3, 4, 5]


def test_dynamic_returns_give_one_ref_of_refs() -> None:
    f = count.options(num_returns="dynamic")
    assert [mobula.get(r) for r in mobula.get(f.remote(3))] == [0, 1, 2]
    refs = list(mobula.get(f.remote(1, failing=True)))
    assert mobula.get(refs[0]) == 0
    with pytest.raises(ValueError, match="at the end"):
        mobula.get(refs[1])


def test_refs_can_be_awaited() -> None:
    async def main() -> None:
        assert await echo.remote(1) == 1
        assert await asyncio.gather(*[echo.remote(i) for i in range(100)]) == list(range(100))
        with pytest.raises(ValueError, match="oops"):
            await fail.remote()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(slow, 0.1)
        assert [await r async for r in count.remote(3)] == [0, 1, 2]

    slow = sleep.remote(30)
    asyncio.run(main())
    mobula.cancel(slow)


def test_refs_have_futures() -> None:
    futures = [echo.remote(i).future() for i in range(3)]
    assert sorted(f.result(20) for f in concurrent.futures.as_completed(futures, 20)) == [0, 1, 2]
    with pytest.raises(ValueError, match="oops"):
        fail.remote().future().result(20)


def test_a_task_that_waits_is_dropped_when_it_is_cancelled(tmp_path: Any) -> None:
    blocked = sleep.remote(30)

    @mobula.remote
    def after(_: float, path: str) -> None:
        open(path, "w").close()

    ref = after.remote(blocked, str(tmp_path / "ran"))
    mobula.cancel(ref)
    with pytest.raises(exceptions.TaskCancelledError):
        mobula.get(ref, timeout=20)
    mobula.cancel(blocked)
    assert not (tmp_path / "ran").exists()


def test_a_task_that_runs_is_interrupted_when_it_is_cancelled(tmp_path: Any) -> None:
    @mobula.remote
    def stubborn(path: str) -> str:
        open(path, "w").close()
        try:
            time.sleep(30)
        except KeyboardInterrupt:
            return "interrupted"
        return "not"

    def begun(name: str) -> str:
        path = tmp_path / name
        for _ in range(1000):
            if path.exists():
                return name
            time.sleep(0.01)
        raise TimeoutError

    ref = stubborn.remote(str(tmp_path / "a"))
    begun("a")
    mobula.cancel(ref)
    assert mobula.get(ref, timeout=20) == "interrupted"

    @mobula.remote
    def meek(path: str) -> None:
        open(path, "w").close()
        time.sleep(30)

    ref2 = meek.remote(str(tmp_path / "b"))
    begun("b")
    mobula.cancel(ref2)
    with pytest.raises(exceptions.TaskCancelledError):
        mobula.get(ref2, timeout=20)
    ref3 = meek.remote(str(tmp_path / "c"))
    begun("c")
    mobula.cancel(ref3, force=True)
    with pytest.raises((exceptions.TaskCancelledError, exceptions.WorkerCrashedError)):
        mobula.get(ref3, timeout=20)
    mobula.cancel(mobula.put(1))
    with pytest.raises(TypeError, match=r"ray\.kill"):
        mobula.cancel("x")


def test_ids_are_what_ray_makes_of_them() -> None:
    ref = echo.remote(1)
    assert len(ref.binary()) == 20 and ref.hex() == ref.binary().hex()
    assert repr(ref) == f"ObjectRef({ref.hex()})"
    assert ref == mobula.ObjectRef(ref.binary()) and hash(ref) == hash(mobula.ObjectRef(ref.binary()))
    assert not ref.is_nil() and mobula.ObjectRef.nil().is_nil()
    assert {ref: 1}[ref] == 1


def test_refs_pickled_outside_of_values_stay_good() -> None:
    import pickle

    text = pickle.dumps(mobula.put(1))  # no ref to the object is left in this process
    assert mobula.get(pickle.loads(text), timeout=20) == 1


def test_a_redefined_function_is_another_one() -> None:
    results = []
    for n in range(3):

        @mobula.remote
        def f(n: int = n) -> int:
            return n

        results.append(mobula.get(f.remote()))
    assert results == [0, 1, 2]


def test_unpicklable_arguments_are_named() -> None:
    import threading

    with pytest.raises(TypeError, match="lock"):
        echo.remote({"a": threading.Lock()})


def test_big_values_go_through_shared_memory() -> None:
    data = os.urandom(3_000_000)
    assert mobula.get(echo.remote(data)) == data
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(1_000_000, dtype=numpy.float64)
    back = mobula.get(echo.remote(mobula.put(array)))
    assert (back == array).all()
    assert not back.flags.writeable


def test_a_worker_has_the_path_of_its_driver() -> None:
    @mobula.remote
    def path() -> list[str]:
        return sys.path

    assert os.path.dirname(os.path.dirname(mobula.__file__)) in mobula.get(path.remote())
