"""Objects: arrays without copies, buffers, frames and tables, and their life."""

from __future__ import annotations

import gc
import os

import pytest
import ray

np = pytest.importorskip("numpy")
pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def identity():
    @ray.remote
    def identity(x):
        return x

    return identity


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.arange(10),
        lambda: np.zeros((100, 1000)),
        lambda: np.ones((3, 4, 5), dtype=np.float32),
        lambda: np.array(3.5),
        lambda: np.array([], dtype=np.int8),
        lambda: np.asfortranarray(np.arange(200_000).reshape(400, 500)),
        lambda: np.arange(200_000)[::2],
        lambda: np.array(["a", "bc"]),
        lambda: np.array([b"a", b"bc"]),
        lambda: np.array([1, "x", None], dtype=object),
        lambda: np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
        lambda: np.array(["2026-01-01"], dtype="datetime64[D]"),
        lambda: np.arange(100_000, dtype=">i4"),
        lambda: np.ones(50_000, dtype=np.complex128),
        lambda: np.ma.masked_array([1, 2, 3], mask=[0, 1, 0]),
    ],
)
def test_arrays_come_back_equal(make, identity):
    array = make()
    for back in (ray.get(ray.put(array)), ray.get(identity.remote(array))):
        assert type(back) is type(array)
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        np.testing.assert_array_equal(back, array)


def test_large_arrays_are_read_only_views():
    ref = ray.put(np.zeros(200_000))
    array = ray.get(ref)
    assert not array.flags.writeable
    with pytest.raises(ValueError):
        array[0] = 1
    copy = array.copy()
    copy[0] = 1
    assert ray.get(ref)[0] == 0


def test_arrays_as_arguments_are_read_only(identity):
    @ray.remote
    def write(array):
        array[0] = 1

    with pytest.raises(ValueError):
        ray.get(write.remote(ray.put(np.zeros(200_000))))
    with pytest.raises(ValueError):
        ray.get(write.remote(np.zeros(200_000)))


def test_two_reads_share_memory():
    ref = ray.put(np.zeros(200_000))
    a, b = ray.get(ref), ray.get(ref)
    assert a.__array_interface__["data"][0] == b.__array_interface__["data"][0]


def test_a_view_outlives_its_ref():
    array = ray.get(ray.put(np.arange(200_000)))
    gc.collect()
    for _ in range(5):
        ray.put(np.zeros(200_000))
    assert int(array.sum()) == sum(range(200_000))
    part = array[10:20]
    del array
    gc.collect()
    for _ in range(5):
        ray.put(np.zeros(200_000))
    assert part.tolist() == list(range(10, 20))


def test_arrays_inside_of_containers():
    value = {"a": np.arange(100_000), "b": [np.ones(50_000), "text"]}
    back = ray.get(ray.put(value))
    assert back["b"][1] == "text"
    np.testing.assert_array_equal(back["a"], value["a"])
    assert not back["a"].flags.writeable


def test_caller_may_change_its_array_after_put():
    array = np.zeros(200_000)
    ref = ray.put(array)
    array[:] = 1
    assert ray.get(ref)[0] == 0


def test_caller_may_change_its_array_after_a_call(identity):
    array = np.zeros(200_000)
    ref = identity.remote(array)
    array[:] = 1
    assert ray.get(ref)[0] == 0


def test_results_are_snapshots():
    @ray.remote(num_cpus=0)
    class Actor:
        def __init__(self):
            self.array = np.zeros(200_000)

        def get(self):
            return self.array

        def set(self):
            self.array[:] = 1

    actor = Actor.remote()
    ref = actor.get.remote()
    ray.get(actor.set.remote())
    assert ray.get(ref)[0] == 0


@pytest.mark.parametrize("size", [0, 1, 1000, 99_999, 100_000, 102_400, 102_401, 1_000_000, 5_000_000])
def test_bytes_of_every_size(size, identity):
    data = os.urandom(size)
    assert ray.get(ray.put(data)) == data
    assert ray.get(identity.remote(data)) == data


@pytest.mark.mobula_only("Ray makes bytes of a bytearray")
def test_bytearrays_can_be_changed(identity):
    back = ray.get(identity.remote(bytearray(b"x" * 10)))
    assert type(back) is bytearray
    back[0] = 0
    assert ray.get(ray.put(bytearray(b"x" * 200_000))) == bytearray(b"x" * 200_000)


def test_many_large_objects_in_turn():
    for i in range(50):
        assert ray.get(ray.put(np.full(1_000_000, i, dtype=np.uint8)))[-1] == i


def test_frames(identity):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": range(50_000), "b": [str(i % 7) for i in range(50_000)], "c": np.linspace(0, 1, 50_000)})
    pd.testing.assert_frame_equal(ray.get(ray.put(frame)), frame)
    pd.testing.assert_frame_equal(ray.get(identity.remote(frame)), frame)


def test_tables(identity):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": list(range(50_000)), "b": [str(i % 7) for i in range(50_000)]})
    assert ray.get(ray.put(table)).equals(table)
    assert ray.get(identity.remote(table.slice(100, 50))).equals(table.slice(100, 50))


def test_object_that_can_never_fit_is_refused():
    from ray.exceptions import ObjectStoreFullError

    @ray.remote
    def never():
        return 1

    assert issubclass(ObjectStoreFullError, ray.exceptions.RayError)
    with pytest.raises((ObjectStoreFullError, ValueError, MemoryError)):
        ray.put(np.lib.stride_tricks.as_strided(np.zeros(1), shape=(1 << 44,), strides=(0,)).view(Endless))


class Endless(np.ndarray):
    """Says that it is far larger than any store, without being there."""

    def __reduce_ex__(self, protocol):
        raise MemoryError("larger than any store")
