"""Actors: order, concurrency, names, lives and deaths."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from eventually import eventually

import mobula
from mobula import exceptions

pytestmark = pytest.mark.usefixtures("node")


@mobula.remote
class Counter:
    def __init__(self, start: int = 0) -> None:
        self.n = start

    def add(self, k: int = 1) -> int:
        self.n += k
        return self.n

    def fail(self) -> None:
        raise KeyError("no")

    def pid(self) -> int:
        return os.getpid()

    def crash(self) -> None:
        os._exit(7)

    @mobula.method(num_returns=2)
    def pair(self) -> tuple[int, int]:
        return self.n, -self.n

    def items(self, n: int) -> Iterator[int]:
        yield from range(n)

    @staticmethod
    def static(x: int) -> int:
        return x + 1

    @classmethod
    def name_of(cls) -> str:
        return cls.__name__


def test_calls_of_one_caller_run_in_their_order() -> None:
    c = Counter.remote(10)
    assert mobula.get([c.add.remote() for _ in range(100)]) == list(range(11, 111))
    assert mobula.get(c.add.remote(k=-110)) == 0


def test_the_error_of_a_method_leaves_the_actor_alive() -> None:
    c = Counter.remote()
    with pytest.raises(KeyError):
        mobula.get(c.fail.remote())
    assert mobula.get(c.add.remote()) == 1


def test_methods_of_all_kinds_can_be_called() -> None:
    c = Counter.remote(3)
    assert mobula.get(c.static.remote(1)) == 2
    assert mobula.get(c.name_of.remote()) == "Counter"
    assert mobula.get(list(c.pair.remote())) == [3, -3]
    assert [mobula.get(r) for r in c.items.remote(3)] == [0, 1, 2]
    assert mobula.get(c.__ray_ready__.remote()) is True
    assert mobula.get(c.__ray_call__.remote(lambda self, k: self.n * k, 2)) == 6
    a, b = c.pair.options(num_returns=2).remote()
    assert mobula.get([a, b]) == [3, -3]


def test_wrong_calls_are_refused_where_they_are_made() -> None:
    c = Counter.remote()
    with pytest.raises(TypeError, match="cannot be called directly"):
        c.add()
    with pytest.raises(TypeError, match="too many"):
        c.add.remote(1, 2)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        c.nothing.remote()
    with pytest.raises(TypeError, match="too many"):
        Counter.remote(1, 2)
    with pytest.raises(ValueError, match="Invalid option"):
        c.add.options(nonsense=1)
    with pytest.raises(ValueError, match="generator"):
        c.add.options(num_returns="streaming")


def test_handles_can_be_passed_and_kept() -> None:
    c = Counter.remote()

    @mobula.remote
    def use(handle: Any) -> int:
        return mobula.get(handle.add.remote(5))

    @mobula.remote
    class Keeper:
        def __init__(self, handle: Any) -> None:
            self.handle = handle

        def get(self) -> Any:
            return self.handle

    assert mobula.get(use.remote(c)) == 5
    keeper = Keeper.remote(c)
    again = mobula.get(keeper.get.remote())
    assert again == c and hash(again) == hash(c)
    del c
    assert mobula.get(again.add.remote()) == 6
    assert mobula.get(use.remote([again][0])) == 11
    assert mobula.get(mobula.put({"h": again}))["h"] == again


def test_an_actor_ends_when_no_handle_is_left_and_its_calls_are_done() -> None:
    c = Counter.remote()
    pid = mobula.get(c.pid.remote())
    ref = c.add.remote(7)
    del c
    assert mobula.get(ref) == 7
    eventually(lambda: not alive(pid), "the actor's process ends")
    assert mobula.get(Counter.remote(5).add.remote()) == 6


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_constructor_that_fails_shows_with_the_first_call() -> None:
    @mobula.remote
    class Bad:
        def __init__(self) -> None:
            raise ValueError("in the constructor")

        def m(self) -> int:
            return 1

    b = Bad.remote()
    with pytest.raises(exceptions.ActorDiedError, match="in the constructor"):
        mobula.get(b.m.remote())
    with pytest.raises(exceptions.RayActorError):
        mobula.get(b.m.remote())


def test_a_killed_actor_is_dead() -> None:
    c = Counter.remote()
    mobula.get(c.add.remote())
    mobula.kill(c)
    with pytest.raises(exceptions.ActorDiedError):
        mobula.get(c.add.remote())
    with pytest.raises(ValueError, match="only supported for actors"):
        mobula.kill("x")


def test_the_death_of_its_process_is_the_actors() -> None:
    c = Counter.remote()
    with pytest.raises(exceptions.RayActorError):
        mobula.get(c.crash.remote())
    with pytest.raises(exceptions.ActorDiedError):
        mobula.get(c.add.remote())


def test_an_actor_restarts_as_often_as_it_may_and_methods_run_again_as_they_may() -> None:
    c = Counter.options(max_restarts=1, max_task_retries=0).remote(3)
    first = mobula.get(c.pid.remote())
    with pytest.raises(exceptions.RayActorError):
        mobula.get(c.crash.remote())
    assert mobula.get(c.add.remote()) == 4
    assert mobula.get(c.pid.remote()) != first
    with pytest.raises(exceptions.RayActorError):
        mobula.get(c.crash.remote())
    with pytest.raises(exceptions.ActorDiedError):
        mobula.get(c.add.remote())


def test_a_method_with_retries_runs_again_after_a_crash(tmp_path: Any) -> None:
    @mobula.remote(max_restarts=2, max_task_retries=2)
    class Flaky:
        def once(self, path: str) -> str:
            with open(path, "a") as f:
                f.write("x")
            if os.path.getsize(path) < 2:
                os._exit(1)
            return "done"

        @mobula.method(max_task_retries=3, retry_exceptions=[KeyError])
        def error(self, path: str) -> int:
            with open(path, "a") as f:
                f.write("x")
            if os.path.getsize(path) < 3:
                raise KeyError("again")
            return os.path.getsize(path)

    f = Flaky.remote()
    assert mobula.get(f.once.remote(str(tmp_path / "a"))) == "done"
    assert mobula.get(f.error.remote(str(tmp_path / "b"))) == 3


def test_exit_actor_ends_it_after_the_call() -> None:
    @mobula.remote(max_restarts=-1)
    class Exits:
        def leave(self) -> None:
            mobula.exit_actor()

        def m(self) -> int:
            return 1

    for end in ("leave", "__ray_terminate__"):
        e = Exits.remote()
        assert mobula.get(e.m.remote()) == 1
        with pytest.raises(exceptions.ActorDiedError):
            mobula.get(getattr(e, end).remote())
        with pytest.raises(exceptions.ActorDiedError):
            mobula.get(e.m.remote())
    with pytest.raises(TypeError, match="non-actor"):
        mobula.exit_actor()


def test_exit_handlers_run_when_an_actor_ends_in_order(tmp_path: Any) -> None:
    @mobula.remote
    class Handler:
        def __init__(self, path: str) -> None:
            import atexit

            atexit.register(lambda: open(path, "w").close())

        def m(self) -> int:
            return 1

    h = Handler.remote(str(tmp_path / "a"))
    mobula.get(h.m.remote())
    h.__ray_terminate__.remote()
    eventually((tmp_path / "a").exists, "the handler runs")


def test_named_actors_are_found_by_their_name() -> None:
    c = Counter.options(name="one").remote(1)
    found = mobula.get_actor("one")
    assert found == c
    assert mobula.get(found.add.remote()) == 2
    with pytest.raises(TypeError, match="too many"):
        found.add.remote(1, 2)
    with pytest.raises(ValueError, match="already taken"):
        Counter.options(name="one").remote()
    other = Counter.options(name="one", namespace="elsewhere").remote(5)
    assert mobula.get(mobula.get_actor("one", "elsewhere").add.remote()) == 6
    assert "one" in mobula.list_named_actors()
    assert {"name": "one", "namespace": "elsewhere"} in mobula.list_named_actors(all_namespaces=True)
    again = Counter.options(name="one", get_if_exists=True).remote(100)
    assert again == c
    mobula.kill(c)
    with pytest.raises(ValueError, match="Failed to look up"):
        eventually(lambda: mobula.get_actor("one") and None, "the name is free")
    del other
    with pytest.raises(ValueError):
        mobula.get_actor("never")
    with pytest.raises(ValueError):
        mobula.get_actor("")
    with pytest.raises(ValueError):
        Counter.options(name="").remote()


def test_threads_run_methods_side_by_side() -> None:
    @mobula.remote(max_concurrency=4)
    class Threaded:
        def __init__(self) -> None:
            self.barrier = threading.Barrier(4)

        def meet(self) -> str:
            self.barrier.wait(20)
            return threading.current_thread().name

    t = Threaded.remote()
    assert len(set(mobula.get([t.meet.remote() for _ in range(4)]))) == 4


def test_async_methods_run_side_by_side_a_thousand_at_once() -> None:
    @mobula.remote
    class Async:
        def __init__(self) -> None:
            self.waiting = 0
            self.most = 0
            self.loop = asyncio.get_running_loop()
            self.event = asyncio.Event()

        async def wait(self) -> int:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            if self.waiting == 1000:
                self.event.set()
            await self.event.wait()
            self.waiting -= 1
            return 1

        def seen(self) -> tuple[int, bool]:
            return self.most, asyncio.get_running_loop() is self.loop

        async def items(self, n: int) -> AsyncIterator[int]:
            for i in range(n):
                await asyncio.sleep(0)
                yield i

        async def call(self, x: Any) -> Any:
            return await echo.remote(x)

        async def sleep(self) -> None:
            await asyncio.sleep(60)

    a = Async.remote()
    assert sum(mobula.get([a.wait.remote() for _ in range(1000)])) == 1000
    assert mobula.get(a.seen.remote()) == (1000, True)
    assert [mobula.get(r) for r in a.items.remote(4)] == [0, 1, 2, 3]
    assert mobula.get([a.call.remote(i) for i in range(20)]) == list(range(20))
    ref = a.sleep.remote()
    mobula.get(a.seen.remote())
    mobula.cancel(ref)
    with pytest.raises(exceptions.TaskCancelledError):
        mobula.get(ref, timeout=20)
    assert mobula.get(a.call.remote("alive")) == "alive"


@mobula.remote
def echo(x: Any) -> Any:
    return x


def test_concurrency_groups_have_limits_of_their_own() -> None:
    @mobula.remote(concurrency_groups={"io": 2, "compute": 1})
    class Grouped:
        def __init__(self) -> None:
            self.barrier = threading.Barrier(3)

        @mobula.method(concurrency_group="io")
        def io(self) -> str:
            self.barrier.wait(20)
            return threading.current_thread().name

        @mobula.method(concurrency_group="compute")
        def compute(self) -> str:
            self.barrier.wait(20)
            return threading.current_thread().name

    g = Grouped.remote()
    assert len(set(mobula.get([g.io.remote(), g.io.remote(), g.compute.remote()]))) == 3
    names = mobula.get([g.io.options(concurrency_group="compute").remote() for _ in range(1)] + [g.io.remote(), g.io.remote()])
    assert len(set(names)) == 3


def test_pending_calls_are_limited_at_the_caller() -> None:
    @mobula.remote(max_pending_calls=2)
    class Slow:
        def wait(self, seconds: float) -> float:
            time.sleep(seconds)
            return seconds

    s = Slow.remote()
    refs = [s.wait.remote(1), s.wait.remote(0)]
    with pytest.raises(exceptions.PendingCallsLimitExceeded):
        s.wait.remote(0)
    assert mobula.get(refs) == [1, 0]
    assert mobula.get(s.wait.remote(0)) == 0


def test_a_method_learns_that_it_was_cancelled() -> None:
    @mobula.remote
    class Patient:
        def begin(self, path: str) -> bool:
            open(path, "w").close()
            for _ in range(500):
                if mobula.get_runtime_context().is_canceled():
                    open(path + "-cancelled", "w").close()
                    return True
                time.sleep(0.01)
            return False

    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        p = Patient.remote()
        path = os.path.join(directory, "x")
        ref = p.begin.remote(path)
        waiting = p.begin.remote(path + "y")
        eventually(lambda: os.path.exists(path), "it begins")
        mobula.cancel(waiting)
        with pytest.raises(exceptions.TaskCancelledError):
            mobula.get(waiting, timeout=20)
        mobula.cancel(ref)
        with pytest.raises(exceptions.TaskCancelledError):  # it runs to its end, and its result is not wanted
            mobula.get(ref, timeout=20)
        eventually(lambda: os.path.exists(path + "-cancelled"), "it learns of it")
        with pytest.raises(ValueError, match="force=True is not supported"):
            mobula.cancel(p.begin.remote(os.path.join(directory, "none", "x")), force=True)


def test_inheritance_works_below_the_decorator() -> None:
    class Base:
        def __init__(self, x: int) -> None:
            self.x = x

        def who(self) -> str:
            return f"{type(self).__name__} {self.x}"

    @mobula.remote
    class Derived(Base):
        def __init__(self) -> None:
            super().__init__(4)

    assert mobula.get(Derived.remote().who.remote()) == "Derived 4"


def test_an_actor_can_have_a_handle_of_itself_and_ends_all_the_same() -> None:
    @mobula.remote
    class Selfish:
        def __init__(self) -> None:
            self.me = mobula.get_runtime_context().current_actor

        def me_again(self) -> Any:
            return self.me

        def pid(self) -> int:
            return os.getpid()

    s = Selfish.remote()
    assert mobula.get(s.me_again.remote()) == s
    pid = mobula.get(s.pid.remote())
    del s
    eventually(lambda: not alive(pid), "the actor ends")


def test_calls_with_refs_wait_for_them_in_order() -> None:
    @mobula.remote
    def slow(x: int) -> int:
        time.sleep(0.2)
        return x

    c = Counter.remote()
    refs = [c.add.remote(slow.remote(1)), c.add.remote(10)]
    assert mobula.get(refs) == [1, 11]
