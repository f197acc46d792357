"""Refs: as arguments, nested, returned, captured, compared and stored."""

from __future__ import annotations

import gc

import pytest
import ray

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def identity():
    @ray.remote
    def identity(x):
        return x

    return identity


def test_a_ref_argument_becomes_its_value(identity):
    @ray.remote
    def kind(x, *, y):
        return type(x).__name__, type(y).__name__

    assert ray.get(kind.remote(ray.put(1), y=identity.remote("s"))) == ("int", "str")


def test_a_nested_ref_stays_a_ref(identity):
    @ray.remote
    def look(items, named):
        assert isinstance(items[0], ray.ObjectRef)
        assert isinstance(named["k"][0], ray.ObjectRef)
        return ray.get(items[0]) + ray.get(named["k"][0])

    assert ray.get(look.remote([ray.put(1)], {"k": (identity.remote(2),)})) == 3


def test_chains_are_waited_for_by_the_runtime(identity):
    ref = ray.put(0)

    @ray.remote
    def inc(x):
        return x + 1

    for _ in range(50):
        ref = inc.remote(ref)
    assert ray.get(ref) == 50


def test_returned_ref_is_a_ref(identity):
    @ray.remote
    def outer():
        return identity.remote(7)

    inner = ray.get(outer.remote())
    assert isinstance(inner, ray.ObjectRef)
    assert ray.get(inner) == 7


def test_ref_put_inside_a_task_outlives_the_task():
    @ray.remote
    def make():
        return [ray.put("kept" * 100_000)]

    (ref,) = ray.get(make.remote())
    assert ray.get(ref) == "kept" * 100_000


def test_put_of_a_ref_is_refused():
    with pytest.raises(TypeError):
        ray.put(ray.put(1))


def test_put_of_a_list_of_refs():
    stored = ray.put([ray.put(1), ray.put(2)])
    assert ray.get(ray.get(stored)) == [1, 2]


def test_equality_hash_and_hex():
    a, b = ray.put(1), ray.put(1)
    assert a == a
    assert a != b
    assert len({a, b, a}) == 2
    assert a.hex() == a.binary().hex()
    assert a.hex() in str(a)
    assert str(a).startswith("ObjectRef(")
    assert ray.get(ray.put([a]))[0] == a


def test_task_id_of_refs(identity):
    ref = identity.remote(1)
    assert ref.task_id() == ref.task_id()
    assert isinstance(ref.task_id().hex(), str)


def test_captured_ref_in_a_closure():
    ref = ray.put("captured")

    @ray.remote
    def f():
        return ray.get(ref)

    assert ray.get(f.remote()) == "captured"


def test_a_ref_lives_as_long_as_something_that_holds_it():
    outer = ray.put({"inner": ray.put("x" * 200_000)})
    gc.collect()
    assert len(ray.get(ray.get(outer)["inner"])) == 200_000


def test_refs_through_an_actor(identity):
    @ray.remote
    class Keeper:
        def __init__(self):
            self.refs = []

        def keep(self, refs):
            self.refs.extend(refs)

        def sum(self):
            return sum(ray.get(self.refs))

    keeper = Keeper.remote()
    ray.get(keeper.keep.remote([identity.remote(i) for i in range(5)]))
    gc.collect()
    assert ray.get(keeper.sum.remote()) == 10


def test_pickled_outside_of_the_api_can_be_refused_or_works():
    ref = ray.put(5)

    class Holder:
        def __init__(self, ref):
            self.ref = ref

    @ray.remote
    def f(holder):
        return ray.get(holder.ref)

    assert ray.get(f.remote(Holder(ref))) == 5


def test_many_refs_in_one_object():
    refs = [ray.put(i) for i in range(1000)]
    back = ray.get(ray.put(refs))
    assert back == refs
    assert ray.get(back) == list(range(1000))


def test_same_ref_twice_in_arguments(identity):
    @ray.remote
    def same(a, b, nested):
        return a is b or a == b, nested[0] == nested[1]

    ref = ray.put([1])
    assert ray.get(same.remote(ref, ref, [ref, ref])) == (True, True)


def test_failed_argument_fails_the_task(identity):
    @ray.remote
    def fail():
        raise KeyError("first")

    with pytest.raises(KeyError):
        ray.get(identity.remote(identity.remote(fail.remote())))


def test_large_argument_is_passed_by_the_store(identity):
    data = b"x" * 3_000_000
    assert ray.get(identity.remote(data)) == data
    ref = ray.put(data)
    assert ray.get([identity.remote(ref) for _ in range(4)]) == [data] * 4


def test_future_of_a_ref(identity):
    import concurrent.futures

    future = identity.remote(3).future()
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(timeout=10) == 3

    @ray.remote
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError):
        fail.remote().future().result(timeout=10)


def test_futures_as_completed(identity):
    from concurrent.futures import as_completed

    futures = [identity.remote(i).future() for i in range(5)]
    assert sorted(f.result() for f in as_completed(futures, timeout=10)) == [0, 1, 2, 3, 4]
