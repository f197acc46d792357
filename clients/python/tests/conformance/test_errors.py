"""Errors of user code and of the system, and what a program sees of them."""

from __future__ import annotations

import os
import signal as signals
import sys

import pytest
import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    GetTimeoutError,
    RayActorError,
    RayError,
    RaySystemError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)

pytestmark = pytest.mark.usefixtures("cluster")


class OwnError(Exception):
    """An error of a program."""

    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code


class AwkwardError(Exception):
    """Pickles, but cannot be made again from its arguments alone."""

    def __init__(self, code, *, text):
        super().__init__(f"{code}: {text}")


def failing(error):
    @ray.remote(max_retries=0)
    def fail():
        raise error

    return fail.remote()


@pytest.mark.parametrize(
    "kind", [ValueError, KeyError, TypeError, ZeroDivisionError, RuntimeError, AttributeError, OSError, AssertionError, TimeoutError]
)
def test_exception_is_an_instance_of_its_own_class_and_of_ray_task_error(kind):
    with pytest.raises(kind) as info:
        ray.get(failing(kind("words")))
    assert isinstance(info.value, RayTaskError)
    assert isinstance(info.value, RayError)
    assert "words" in str(info.value)


def test_cause_is_the_exception_itself():
    with pytest.raises(RayTaskError) as info:
        ray.get(failing(OwnError(7, "seven")))
    assert isinstance(info.value, OwnError)
    assert type(info.value.cause) is OwnError
    assert info.value.cause.code == 7
    assert info.value.cause.args == (7, "seven")


def test_attributes_of_the_own_class_can_be_read():
    with pytest.raises(OwnError) as info:
        ray.get(failing(OwnError(7, "seven")))
    assert info.value.code == 7


def test_remote_traceback_is_in_the_text():
    @ray.remote(max_retries=0)
    def outer():
        def inner_function_of_the_task():
            raise ValueError("here")

        inner_function_of_the_task()

    with pytest.raises(ValueError) as info:
        ray.get(outer.remote())
    text = str(info.value)
    assert "inner_function_of_the_task" in text
    assert "ValueError: here" in text
    assert "outer" in text
    assert "pid=" in text


def test_as_instanceof_cause():
    with pytest.raises(RayTaskError) as info:
        ray.get(failing(ValueError("x")))
    again = info.value.as_instanceof_cause()
    assert isinstance(again, ValueError)
    assert isinstance(again, RayTaskError)


def test_error_travels_through_nested_tasks():
    @ray.remote(max_retries=0)
    def inner():
        raise KeyError("deep")

    @ray.remote(max_retries=0)
    def outer():
        return ray.get(inner.remote())

    with pytest.raises(KeyError, match="deep"):
        ray.get(outer.remote())


def test_error_can_be_caught_in_a_task():
    @ray.remote(max_retries=0)
    def inner():
        raise KeyError("deep")

    @ray.remote
    def outer():
        try:
            ray.get(inner.remote())
        except KeyError as error:
            return type(error.cause).__name__
        return None

    assert ray.get(outer.remote()) == "KeyError"


def test_exception_that_cannot_be_unpickled_is_still_a_task_error():
    with pytest.raises(RayTaskError) as info:
        ray.get(failing(AwkwardError(3, text="awkward")))
    assert "awkward" in str(info.value) or "AwkwardError" in str(info.value)


def test_exception_that_cannot_be_pickled_is_still_a_task_error():
    import threading

    @ray.remote(max_retries=0)
    def fail():
        error = ValueError("holds a lock")
        error.lock = threading.Lock()
        raise error

    with pytest.raises(RayError) as info:
        ray.get(fail.remote())
    assert "holds a lock" in str(info.value)


def test_exception_group_and_chained_exceptions():
    @ray.remote(max_retries=0)
    def chained():
        try:
            {}["missing"]
        except KeyError as error:
            raise ValueError("because") from error

    with pytest.raises(ValueError, match="because") as info:
        ray.get(chained.remote())
    assert "missing" in str(info.value)


def test_base_exceptions_do_not_kill_the_driver():
    @ray.remote(max_retries=0)
    def leave():
        sys.exit(0)

    with pytest.raises((RayError, SystemExit)):
        ray.get(leave.remote())


def test_every_return_of_a_failed_task_fails():
    @ray.remote(num_returns=2, max_retries=0)
    def fail():
        raise ValueError("both")

    for ref in fail.remote():
        with pytest.raises(ValueError, match="both"):
            ray.get(ref)


def test_a_result_that_cannot_be_pickled_is_an_error():
    import threading

    @ray.remote(max_retries=0)
    def lock():
        return threading.Lock()

    with pytest.raises((TypeError, RayError)) as info:
        ray.get(lock.remote())
    assert "lock" in str(info.value)


def test_an_argument_that_cannot_be_pickled_raises_at_the_call():
    import threading

    @ray.remote
    def f(x):
        return x

    with pytest.raises(TypeError, match="lock"):
        f.remote(threading.Lock())
    with pytest.raises(TypeError, match="lock"):
        ray.put(threading.Lock())


def test_a_function_that_cannot_be_pickled_raises_at_the_first_call():
    import threading

    lock = threading.Lock()

    @ray.remote
    def f():
        return lock

    with pytest.raises(TypeError, match="lock"):
        f.remote()


def test_a_worker_that_exits_is_a_worker_crashed_error():
    @ray.remote(max_retries=0)
    def die():
        os._exit(1)

    with pytest.raises(WorkerCrashedError) as info:
        ray.get(die.remote())
    assert isinstance(info.value, RayError)


def test_a_worker_that_is_killed_is_a_worker_crashed_error():
    @ray.remote(max_retries=0)
    def die():
        os.kill(os.getpid(), signals.SIGKILL)

    with pytest.raises(WorkerCrashedError):
        ray.get(die.remote())


def test_after_a_crash_the_next_task_runs():
    @ray.remote(max_retries=0)
    def die():
        os._exit(1)

    @ray.remote
    def live():
        return "alive"

    with pytest.raises(WorkerCrashedError):
        ray.get(die.remote())
    assert ray.get(live.remote()) == "alive"


def test_constructor_that_fails_is_an_actor_died_error_with_its_text():
    @ray.remote
    class Broken:
        def __init__(self):
            raise ValueError("constructor words")

        def method(self):
            return 1

    broken = Broken.remote()
    with pytest.raises(ActorDiedError, match="constructor words"):
        ray.get(broken.method.remote())
    with pytest.raises(RayActorError):
        ray.get(broken.method.remote())


def test_method_error_leaves_the_actor_alive():
    @ray.remote
    class Actor:
        def fail(self):
            raise OwnError(1, "method")

        def live(self):
            return "alive"

    actor = Actor.remote()
    with pytest.raises(OwnError):
        ray.get(actor.fail.remote())
    assert ray.get(actor.live.remote()) == "alive"


def test_actor_that_dies_fails_the_running_and_the_next_calls():
    @ray.remote
    class Actor:
        def die(self):
            os._exit(1)

        def live(self):
            return "alive"

    actor = Actor.remote()
    with pytest.raises(RayActorError):
        ray.get(actor.die.remote())
    with pytest.raises(ActorDiedError):
        ray.get(actor.live.remote())


def test_tree_of_exceptions():
    import ray.exceptions as e

    for name in (
        "ActorDiedError", "ActorPlacementGroupRemoved", "ActorUnavailableError", "ActorUnschedulableError", "AsyncioActorExit",
        "AuthenticationError", "CrossLanguageError", "GetTimeoutError", "LocalRayletDiedError", "NodeDiedError", "ObjectFetchTimedOutError",
        "ObjectFreedError", "ObjectLostError", "ObjectReconstructionFailedError", "ObjectStoreFullError", "OutOfDiskError", "OutOfMemoryError",
        "OwnerDiedError", "PendingCallsLimitExceeded", "PlasmaObjectNotAvailable", "RayActorError", "RayCgraphCapacityExceeded",
        "RayChannelError", "RayChannelTimeoutError", "RaySystemError", "RayTaskError", "ReferenceCountingAssertionError", "RpcError",
        "RuntimeEnvSetupError", "TaskCancelledError", "TaskPlacementGroupRemoved", "TaskUnschedulableError", "UnserializableException",
        "UserCodeException", "WorkerCrashedError",
    ):  # fmt: skip
        assert issubclass(getattr(e, name), RayError), name
    assert issubclass(ActorDiedError, RayActorError)
    assert issubclass(ActorUnavailableError, RayActorError)
    assert issubclass(GetTimeoutError, TimeoutError)
    assert issubclass(e.OwnerDiedError, e.ObjectLostError)
    assert issubclass(e.ObjectReconstructionFailedError, e.ObjectLostError)
    assert not issubclass(TaskCancelledError, RayTaskError)
    assert not issubclass(RaySystemError, RayTaskError)
    assert issubclass(RayError, Exception)


def test_errors_can_be_sent_on():
    @ray.remote
    def name(errors):
        return type(errors[0].cause).__name__

    with pytest.raises(RayTaskError) as info:
        ray.get(failing(ValueError("x")))
    assert ray.get(name.remote([info.value])) == "ValueError"
    assert isinstance(ray.cloudpickle.loads(ray.cloudpickle.dumps(info.value)), RayTaskError)


def test_error_in_unpickling_an_argument_is_a_task_error():
    class Trap:
        def __reduce__(self):
            return eval, ("1/0",)

    @ray.remote(max_retries=0)
    def f(x):
        return x

    with pytest.raises(RayError, match="division"):
        ray.get(f.remote(Trap()))


def test_stop_iteration_raised_by_a_task():
    with pytest.raises(RayTaskError, match="StopIteration"):
        ray.get(failing(StopIteration("done")))


def test_missing_module_in_the_worker_is_an_error_not_a_hang():
    class Elsewhere:
        def __reduce__(self):
            return __import__, ("no_module_of_this_name",)

    @ray.remote(max_retries=0)
    def f(x):
        return x

    with pytest.raises(RayError, match="no_module_of_this_name"):
        ray.get(f.remote(Elsewhere()))
