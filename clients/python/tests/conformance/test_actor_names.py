"""Named actors, namespaces and lifetimes."""

from __future__ import annotations

import gc
import os

import pytest
import ray
from ray.exceptions import RayActorError
from ray.util import list_named_actors

from .waiting import wait_until

pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote(num_cpus=0)
class Store:
    """Keeps a value."""

    def __init__(self, value=None):
        self.value = value

    def get(self):
        return self.value

    def pid(self):
        return os.getpid()


def test_get_actor_finds_by_name():
    store = Store.options(name="found").remote("here")
    assert ray.get(ray.get_actor("found").get.remote()) == "here"
    assert ray.get_actor("found") == store


def test_unknown_name_is_a_value_error():
    with pytest.raises(ValueError, match="nobody"):
        ray.get_actor("nobody")


@pytest.mark.parametrize("name", ["", None])
def test_get_actor_without_a_name_is_a_value_error(name):
    with pytest.raises(ValueError):
        ray.get_actor(name)


def test_name_that_is_taken_is_a_value_error():
    store = Store.options(name="taken").remote()
    with pytest.raises(ValueError, match="taken"):
        Store.options(name="taken").remote()
    assert ray.get(store.get.remote()) is None


def test_get_if_exists_makes_one():
    handles = [Store.options(name="one", get_if_exists=True).remote(i) for i in range(3)]
    assert ray.get([h.get.remote() for h in handles]) == [0, 0, 0]


def test_get_if_exists_from_many_tasks_makes_one():
    @ray.remote(num_cpus=0.5)
    def find():
        store = Store.options(name="race", get_if_exists=True, lifetime="detached").remote()
        return ray.get(store.pid.remote())

    assert len(set(ray.get([find.remote() for _ in range(6)]))) == 1
    ray.kill(ray.get_actor("race"))


def test_name_is_free_again_after_the_end():
    store = Store.options(name="again").remote(1)
    ray.get(store.get.remote())
    ray.kill(store)

    def make():
        try:
            return Store.options(name="again").remote(2)
        except ValueError:
            return None

    made = []
    wait_until(lambda: made.append(make()) or made[-1] is not None)
    assert ray.get(made[-1].get.remote()) == 2


def test_namespaces_are_apart():
    here = Store.options(name="same").remote("here")
    there = Store.options(name="same", namespace="elsewhere").remote("there")
    assert ray.get([here.get.remote(), there.get.remote()]) == ["here", "there"]
    assert ray.get(ray.get_actor("same").get.remote()) == "here"
    assert ray.get(ray.get_actor("same", namespace="elsewhere").get.remote()) == "there"
    with pytest.raises(ValueError):
        ray.get_actor("same", namespace="nowhere")


def test_namespace_of_the_driver():
    assert ray.get_runtime_context().namespace == "conformance"


def test_list_named_actors():
    keep = [Store.options(name="listed").remote(), Store.options(name="listed too", namespace="other").remote()]
    ray.get([k.get.remote() for k in keep])
    assert "listed" in list_named_actors()
    assert "listed too" not in list_named_actors()
    everywhere = list_named_actors(all_namespaces=True)
    assert {"name": "listed too", "namespace": "other"} in everywhere
    assert {"name": "listed", "namespace": "conformance"} in everywhere


def test_a_task_finds_a_named_actor():
    keep = Store.options(name="by task").remote("value")

    @ray.remote
    def find():
        return ray.get(ray.get_actor("by task").get.remote())

    assert ray.get(find.remote()) == "value"
    del keep


def test_a_detached_actor_outlives_its_handles():
    Store.options(name="detached", lifetime="detached").remote("kept")
    gc.collect()
    assert ray.get(ray.get_actor("detached").get.remote()) == "kept"
    ray.kill(ray.get_actor("detached"))

    def gone():
        try:
            ray.get(ray.get_actor("detached").get.remote())
        except (ValueError, RayActorError):
            return True
        return False

    wait_until(gone)


def test_a_named_actor_ends_with_its_last_handle():
    store = Store.options(name="counted").remote()
    ray.get(store.get.remote())
    del store
    gc.collect()

    def gone():
        try:
            ray.get_actor("counted")
        except ValueError:
            return True
        return False

    wait_until(gone)


@pytest.mark.parametrize("name", [1, 1.5, ["x"]])
def test_name_of_another_type_is_refused(name):
    with pytest.raises(TypeError):
        Store.options(name=name).remote()
