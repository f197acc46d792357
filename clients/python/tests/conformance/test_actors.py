"""Actors: state, order, handles and methods."""

from __future__ import annotations

import os

import pytest
import ray

pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote(num_cpus=0)
class Counter:
    """Counts."""

    def __init__(self, start=0):
        self.value = start

    def add(self, n=1):
        self.value += n
        return self.value

    def get(self):
        return self.value


def test_state_stays_between_calls():
    counter = Counter.remote(10)
    assert ray.get([counter.add.remote() for _ in range(3)]) == [11, 12, 13]
    assert ray.get(counter.get.remote()) == 13


def test_instances_are_apart():
    a, b = Counter.remote(), Counter.remote(100)
    ray.get([a.add.remote(), b.add.remote()])
    assert ray.get([a.get.remote(), b.get.remote()]) == [1, 101]


def test_instances_run_in_processes_of_their_own():
    @ray.remote(num_cpus=0)
    class Actor:
        def pid(self):
            return os.getpid()

    a, b = Actor.remote(), Actor.remote()
    assert len({*ray.get([a.pid.remote(), b.pid.remote()]), os.getpid()}) == 3


def test_calls_of_one_caller_run_in_order():
    @ray.remote(num_cpus=0)
    class Log:
        def __init__(self):
            self.seen = []

        def append(self, x):
            self.seen.append(x)

        def get(self):
            return self.seen

    log = Log.remote()
    for i in range(200):
        log.append.remote(i)
    assert ray.get(log.get.remote()) == list(range(200))


def test_order_holds_while_arguments_are_not_ready():
    import time

    @ray.remote
    def slow(x):
        time.sleep(0.3)
        return x

    @ray.remote(num_cpus=0)
    class Log:
        def __init__(self):
            self.seen = []

        def append(self, x):
            self.seen.append(x)
            return list(self.seen)

    log = Log.remote()
    log.append.remote(slow.remote("first"))
    assert ray.get(log.append.remote("second")) == ["first", "second"]


def test_direct_construction_and_call_are_refused_with_advice():
    with pytest.raises(TypeError, match="remote"):
        Counter()
    counter = Counter.remote()
    with pytest.raises(TypeError, match="remote"):
        counter.add()


def test_missing_method_is_an_attribute_error():
    counter = Counter.remote()
    with pytest.raises(AttributeError):
        counter.nothing.remote()


def test_arguments_of_the_constructor_are_checked_at_the_call():
    with pytest.raises(TypeError):
        Counter.remote(1, 2, 3)
    with pytest.raises(TypeError):
        Counter.remote(nothing=1)
    counter = Counter.remote()
    with pytest.raises(TypeError):
        counter.add.remote(1, 2)


def test_handles_can_be_passed_stored_and_returned():
    counter = Counter.remote()

    @ray.remote
    def use(handles):
        ray.get(handles["counter"].add.remote(5))
        return handles["counter"]

    back = ray.get(use.remote({"counter": counter}))
    assert ray.get(back.get.remote()) == 5
    stored = ray.get(ray.put([counter]))[0]
    assert ray.get(stored.add.remote()) == 6
    assert stored == counter
    assert hash(stored) == hash(counter)


def test_handle_captured_in_a_closure():
    counter = Counter.remote()

    @ray.remote
    def use():
        return ray.get(counter.add.remote(2))

    assert ray.get(use.remote()) == 2


def test_refs_as_arguments_of_methods_and_constructors():
    counter = Counter.remote(ray.put(5))
    assert ray.get(counter.add.remote(ray.put(2))) == 7


def test_inheritance_and_overriding():
    class Base:
        def __init__(self):
            self.made = "base"

        def inherited(self):
            return self.made, self.hook()

        def hook(self):
            return "base hook"

    @ray.remote(num_cpus=0)
    class Derived(Base):
        def __init__(self):
            super().__init__()
            self.made += "+derived"

        def hook(self):
            return "derived hook"

    assert ray.get(Derived.remote().inherited.remote()) == ("base+derived", "derived hook")


def test_class_and_static_methods():
    @ray.remote(num_cpus=0)
    class Actor:
        factor = 3

        @classmethod
        def by_class(cls, x):
            return cls.factor * x

        @staticmethod
        def by_static(x):
            return x + 1

    actor = Actor.remote()
    assert ray.get(actor.by_class.remote(2)) == 6
    assert ray.get(actor.by_static.remote(2)) == 3


def test_inheriting_from_an_actor_class_is_refused():
    with pytest.raises(TypeError):

        class Derived(Counter):
            pass

        Derived.remote()


def test_methods_with_several_returns():
    @ray.remote(num_cpus=0)
    class Actor:
        @ray.method(num_returns=2)
        def two(self):
            return 1, 2

        def one(self):
            return 3, 4

    actor = Actor.remote()
    a, b = actor.two.remote()
    assert ray.get([a, b]) == [1, 2]
    c, d = actor.one.options(num_returns=2).remote()
    assert ray.get([c, d]) == [3, 4]
    assert ray.get(actor.one.remote()) == (3, 4)


def test_actors_can_make_actors():
    @ray.remote(num_cpus=0)
    class Parent:
        def __init__(self):
            self.children = [Counter.remote(i) for i in range(3)]

        def sum(self):
            return sum(ray.get([c.get.remote() for c in self.children]))

        def child(self, i):
            return self.children[i]

    parent = Parent.remote()
    assert ray.get(parent.sum.remote()) == 3
    child = ray.get(parent.child.remote(2))
    assert ray.get(child.add.remote()) == 3


def test_an_actor_knows_its_own_handle():
    @ray.remote(num_cpus=0)
    class Actor:
        def me(self):
            return ray.get_runtime_context().current_actor

        def value(self):
            return 42

    actor = Actor.remote()
    again = ray.get(actor.me.remote())
    assert again == actor
    assert ray.get(again.value.remote()) == 42


def test_private_methods_and_call():
    @ray.remote(num_cpus=0)
    class Actor:
        def _private(self):
            return "private"

        def __call__(self, x):
            return x + 1

        def __len__(self):
            return 3

    actor = Actor.remote()
    assert ray.get(actor._private.remote()) == "private"
    assert ray.get(actor.__call__.remote(1)) == 2
    assert ray.get(actor.__len__.remote()) == 3


def test_ready():
    assert ray.get(Counter.remote().__ray_ready__.remote()) is True


def test_call_a_function_in_the_actor():
    counter = Counter.remote(5)
    assert ray.get(counter.__ray_call__.remote(lambda self, n: self.value + n, 2)) == 7


def test_repr_of_a_handle():
    text = repr(Counter.remote())
    assert text.startswith("Actor(Counter")


def test_options_of_actor_classes_leave_the_class_alone():
    named = Counter.options(name="options-test")
    assert ray.get(named.remote(1).get.remote()) == 1
    assert ray.get(Counter.remote(2).get.remote()) == 2


def test_large_arguments_and_results():
    @ray.remote(num_cpus=0)
    class Echo:
        def echo(self, x):
            return x

    echo = Echo.remote()
    data = os.urandom(2_000_000)
    assert ray.get(echo.echo.remote(data)) == data
    assert ray.get(echo.echo.remote(ray.put(data))) == data


def test_many_actors():
    counters = [Counter.remote(i) for i in range(8)]
    assert ray.get([c.get.remote() for c in counters]) == list(range(8))
    for counter in counters:
        ray.kill(counter)


def test_calls_from_several_tasks():
    counter = Counter.remote()

    @ray.remote(num_cpus=0.5)
    def add(counter, n):
        for _ in range(n):
            ray.get(counter.add.remote())

    ray.get([add.remote(counter, 10) for _ in range(4)])
    assert ray.get(counter.get.remote()) == 40


def test_properties_and_class_attributes_work_inside():
    @ray.remote(num_cpus=0)
    class Actor:
        limit = 3

        @property
        def doubled(self):
            return 2 * self.limit

        def read(self):
            return self.doubled

    assert ray.get(Actor.remote().read.remote()) == 6


def test_remote_as_a_function_on_a_class():
    class Plain:
        def __init__(self, x):
            self.x = x

        def get(self):
            return self.x

    assert ray.get(ray.remote(Plain).remote(1).get.remote()) == 1
    assert ray.get(ray.remote(num_cpus=0.5)(Plain).remote(2).get.remote()) == 2


def test_calls_before_the_constructor_has_ended_wait_for_it():
    import time

    @ray.remote(num_cpus=0)
    class Slow:
        def __init__(self):
            time.sleep(0.5)
            self.ready = True

        def look(self):
            return self.ready

    assert ray.get(Slow.remote().look.remote()) is True


def test_dataclass_and_generic_actors():
    from dataclasses import dataclass

    @ray.remote(num_cpus=0)
    @dataclass
    class Actor:
        a: int
        b: str = "b"

        def both(self):
            return self.a, self.b

    assert ray.get(Actor.remote(1).both.remote()) == (1, "b")


@pytest.mark.mobula_only("Ray knows only methods that are written in Python")
def test_methods_that_are_written_in_c():
    class Kept(list):
        def last(self):
            return self[-1]

    actor = ray.remote(num_cpus=0)(Kept).remote([3, 1])
    actor.append.remote(2)
    actor.sort.remote(reverse=True)
    assert ray.get([actor.copy.remote(), actor.last.remote()]) == [[3, 2, 1], 1]
    with pytest.raises(TypeError):
        actor.append.remote()
    assert ray.get(ray.remote(num_cpus=0)(dict).remote(a=1).fromkeys.remote([2])) == {2: None}


def test_attributes_of_a_handle_are_its_own():
    actor = Counter.remote()
    actor.label = "mine"
    assert actor.label == "mine"
    assert ray.get(actor.add.remote()) == 1
