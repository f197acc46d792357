"""What outlives what: tasks, actors and objects whose makers are gone, and handles that went round about."""

from __future__ import annotations

import gc
import os
import time

import pytest
import ray
from ray.exceptions import RayActorError, RayError

from .waiting import alive, wait_until

pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote(num_cpus=0)
class Child:
    """Lives."""

    def f(self):
        return "alive"

    def pid(self):
        return os.getpid()


@ray.remote(num_cpus=0)
class Parent:
    """Makes actors and objects."""

    def __init__(self):
        self.child = Child.remote()

    def handle(self):
        return self.child

    def put(self, value):
        return [ray.put(value)]

    def call(self):
        return self.child.f.remote()


def test_refs_and_handles_pass_through_cloudpickle():
    import copy
    import pickle

    from ray import cloudpickle

    @ray.remote
    def open_it(data):
        return ray.get(cloudpickle.loads(data))

    @ray.remote
    def make():
        return cloudpickle.dumps(ray.put("from a task"))

    ref, child = ray.put("value"), Child.remote()
    assert ray.get(pickle.loads(pickle.dumps(ref))) == "value"
    data, handle = cloudpickle.dumps(ref), cloudpickle.dumps({"child": child})
    assert copy.deepcopy([ref])[0] == ref
    del ref, child
    gc.collect()
    assert ray.get(cloudpickle.loads(data)) == "value"
    assert ray.get(open_it.remote(data)) == "value"
    assert ray.get(cloudpickle.loads(ray.get(make.remote()))) == "from a task"
    assert ray.get(cloudpickle.loads(handle)["child"].f.remote()) == "alive"


def test_classes_of_what_the_api_returns():
    @ray.remote
    def f():
        return 1

    assert isinstance(f, ray.remote_function.RemoteFunction)
    assert isinstance(Child, ray.actor.ActorClass)
    child = Child.remote()
    assert isinstance(child, ray.actor.ActorHandle)
    assert isinstance(child.f, ray.actor.ActorMethod)
    assert isinstance(f.remote(), ray.ObjectRef)
    assert isinstance(f.remote(), ray.ObjectID)
    ray.ObjectRef[int]


def test_an_actor_made_by_a_task_ends_with_its_handles():
    @ray.remote
    def make():
        child = Child.remote()
        return ray.get(child.pid.remote())

    pid = ray.get(make.remote())
    wait_until(lambda: not alive(pid))


def test_an_actor_whose_handle_a_task_returns_lives():
    @ray.remote
    def make():
        return Child.remote()

    child = ray.get(make.remote())
    gc.collect()
    assert ray.get(child.f.remote()) == "alive"


def end(actor):
    """Kills an actor and waits until its process has ended."""
    pid = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
    ray.kill(actor)
    wait_until(lambda: not alive(pid))


@pytest.mark.mobula_only("Ray kills an actor with the process that made it, whoever still has a handle")
def test_an_actor_outlives_the_actor_that_made_it():
    parent = Parent.remote()
    child = ray.get(parent.handle.remote())
    end(parent)
    assert ray.get(child.f.remote()) == "alive"


@pytest.mark.mobula_only("Ray raises OwnerDiedError: an object is lost with the process that put it")
def test_an_object_outlives_the_actor_that_put_it():
    parent = Parent.remote()
    (ref,) = ray.get(parent.put.remote("x" * 500_000))
    (small,) = ray.get(parent.put.remote("small"))
    end(parent)
    assert len(ray.get(ref)) == 500_000
    assert ray.get(small) == "small"


def test_result_of_a_dead_actor_that_was_fetched_stays():
    child = Child.remote()
    ref = child.f.remote()
    assert ray.get(ref) == "alive"
    ray.kill(child)
    assert ray.get(ref) == "alive"


def test_ref_of_a_call_made_in_another_actor():
    parent = Parent.remote()
    assert ray.get(ray.get(parent.call.remote())) == "alive"


def test_fire_and_forget(tmp_path):
    path = tmp_path / "done"

    @ray.remote
    def touch():
        path.touch()

    touch.remote()
    gc.collect()
    wait_until(path.exists)


def test_children_go_on_when_their_parent_has_returned(tmp_path):
    path = tmp_path / "done"

    @ray.remote(num_cpus=0)
    def child():
        time.sleep(0.3)
        path.touch()
        return "child"

    @ray.remote(num_cpus=0)
    def parent():
        return [child.remote()]

    (ref,) = ray.get(parent.remote())
    assert ray.get(ref, timeout=20) == "child"
    assert path.exists()


def test_handles_in_a_cycle_do_not_hang():
    @ray.remote(num_cpus=0)
    class Node:
        def link(self, other):
            self.other = other[0]

        def ask(self):
            return ray.get(self.other.answer.remote())

        def answer(self):
            return "answer"

    a, b = Node.remote(), Node.remote()
    ray.get([a.link.remote([b]), b.link.remote([a])])
    assert ray.get(a.ask.remote()) == "answer"
    assert ray.get(b.ask.remote()) == "answer"
    del a, b
    gc.collect()


def test_an_actor_calls_itself_through_its_handle():
    @ray.remote(num_cpus=0)
    class Actor:
        def outer(self):
            return [ray.get_runtime_context().current_actor.inner.remote()]

        def inner(self):
            return "inner"

    (ref,) = ray.get(Actor.remote().outer.remote())
    assert ray.get(ref, timeout=20) == "inner"


def test_methods_of_all_kinds():
    class Base:
        @ray.method(num_returns=2)
        def pair(self):
            return 1, 2

        def many(self, *args, **kwargs):
            return args, kwargs

        def yields(self, n):
            for i in range(n):  # noqa: UP028 - the methods of Ray's actors cannot delegate
                yield i

    @ray.remote(num_cpus=0)
    class Derived(Base):
        @ray.method(num_returns=0)
        def nothing(self):
            self.called = True

        def was_called(self):
            return self.called

    actor = Derived.remote()
    a, b = actor.pair.remote()
    assert ray.get([a, b]) == [1, 2]
    assert ray.get(actor.many.remote(1, 2, x=3)) == ((1, 2), {"x": 3})
    assert [ray.get(ref) for ref in actor.yields.remote(2)] == [0, 1]
    assert actor.nothing.remote() is None
    assert ray.get(actor.was_called.remote()) is True


def test_many_arguments_and_many_refs():
    @ray.remote
    def count(*args):
        return len(args), args[-1]

    assert ray.get(count.remote(*range(500))) == (500, 499)
    assert ray.get(count.remote(*[ray.put(i) for i in range(200)])) == (200, 199)


def test_wait_for_a_thousand():
    @ray.remote(num_cpus=0.5)
    def f(i):
        return i

    refs = [f.remote(i) for i in range(1000)]
    ready, rest = ray.wait(refs, num_returns=1000, timeout=60)
    assert (len(ready), rest) == (1000, [])
    index = {ref: i for i, ref in enumerate(refs)}
    assert all(ray.get(ref) == index[ref] for ref in ready[:50])


def test_names_of_tasks_in_the_context():
    @ray.remote
    def look():
        return ray.get_runtime_context().get_task_name()

    @ray.remote(num_cpus=0)
    class Actor:
        def look(self):
            return ray.get_runtime_context().get_task_name()

    assert ray.get(look.remote()).endswith("look")
    assert ray.get(look.options(name="own").remote()) == "own"
    assert ray.get(Actor.remote().look.remote()) == "Actor.look"


def test_env_vars_of_the_task_in_the_context():
    @ray.remote(runtime_env={"env_vars": {"X": "y"}})
    def look():
        return ray.get_runtime_context().runtime_env["env_vars"]["X"]

    assert ray.get(look.remote()) == "y"


def test_killed_actor_whose_calls_wait_for_arguments(signal):
    gate = signal()
    child = Child.remote()
    ray.get(child.f.remote())

    @ray.remote(num_cpus=0)
    class Taker:
        def take(self, x):
            return x

    taker = Taker.remote()
    ref = taker.take.remote(gate.wait.remote())
    ray.kill(taker)
    with pytest.raises(RayActorError):
        ray.get(ref, timeout=20)
    ray.get(gate.send.remote())


def test_failed_argument_of_a_method():
    @ray.remote(max_retries=0)
    def fail():
        raise ValueError("argument")

    @ray.remote(num_cpus=0)
    class Taker:
        def take(self, x):
            return x

    taker = Taker.remote()
    with pytest.raises(RayError, match="argument"):
        ray.get(taker.take.remote(fail.remote()))
    assert ray.get(taker.take.remote(1)) == 1


def test_failed_argument_of_a_constructor():
    @ray.remote(max_retries=0)
    def fail():
        raise ValueError("argument")

    @ray.remote(num_cpus=0)
    class Taker:
        def __init__(self, x):
            self.x = x

        def get(self):
            return self.x

    with pytest.raises(RayActorError):
        ray.get(Taker.remote(fail.remote()).get.remote(), timeout=30)
