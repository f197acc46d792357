"""Objects of the API that do nothing by themselves: environments, configurations, errors, decorators of annotations, signatures."""

from __future__ import annotations

import inspect

import pytest
import ray
from ray import exceptions as e
from ray.job_config import JobConfig
from ray.runtime_env import RuntimeEnv, RuntimeEnvConfig
from ray.util.annotations import Deprecated, DeveloperAPI, PublicAPI
from ray.util.debug import log_once
from ray.util.placement_group import PlacementGroup

ENV = {"env_vars": {"a": "b"}}

EQUAL = {
    "an environment is a dict": (lambda: (isinstance(RuntimeEnv(), dict), RuntimeEnv(**ENV) == ENV), (True, True)),
    "its fields": (lambda: RuntimeEnv(**ENV)["env_vars"], {"a": "b"}),
    "its fields as methods": (
        lambda: (RuntimeEnv(**ENV).env_vars(), RuntimeEnv(working_dir="s3://x/y.zip").working_dir()),
        ({"a": "b"}, "s3://x/y.zip"),
    ),
    "what pip gets": (lambda: RuntimeEnv(pip=["x"]).get("pip")["packages"], ["x"]),
    "an environment as text": (lambda: RuntimeEnv.deserialize(RuntimeEnv(**ENV).serialize()) == RuntimeEnv(**ENV), True),
    "an empty environment as text": (lambda: RuntimeEnv().serialize(), "{}"),
    "its configuration": (lambda: RuntimeEnv(config={"setup_timeout_seconds": 5}).get("config")["setup_timeout_seconds"], 5),
    "its configuration as an object": (
        lambda: RuntimeEnv(config=RuntimeEnvConfig(setup_timeout_seconds=5)).get("config")["setup_timeout_seconds"],
        5,
    ),
    "the configuration's default": (lambda: RuntimeEnvConfig().to_dict()["setup_timeout_seconds"], 600),
    "a job's namespace": (lambda: JobConfig(ray_namespace="x").ray_namespace, "x"),
    "a job's metadata": (lambda: JobConfig(metadata={"a": "b"}).metadata, {"a": "b"}),
    "no group": (lambda: (PlacementGroup.empty().is_empty, PlacementGroup.empty() == PlacementGroup.empty()), (True, True)),
    "a public function": (lambda: PublicAPI(lambda: 1)(), 1),
    "a public function with its stability": (lambda: PublicAPI(stability="beta")(lambda: 1)(), 1),
    "a class of developers": (lambda: DeveloperAPI(type("Own", (), {})).__name__, "Own"),
    "a deprecated function": (lambda: Deprecated(message="use another")(lambda: 1)(), 1),
    "log once": (lambda: [log_once("of this test"), log_once("of this test"), log_once("another of it")], [True, False, True]),
    "no actor": (lambda: (e.ActorDiedError().actor_id, e.RayActorError().actor_init_failed, e.RayActorError().preempted), (None, False, False)),
    "an actor": (lambda: e.RayActorError("ab", "words").actor_id, "ab"),
    "a cause": (lambda: repr(e.RayTaskError("f", "trace", ValueError("v")).cause), "ValueError('v')"),
    "as its cause": (lambda: type(e.RayTaskError("f", "trace", ValueError("v")).as_instanceof_cause()).__name__, "RayTaskError(ValueError)"),
    "is its cause": (lambda: isinstance(e.RayTaskError("f", "trace", ValueError("v")).as_instanceof_cause(), ValueError), True),
    "a system error with its trace": (lambda: "trace" in str(e.RaySystemError("words", "trace")), True),
}


@pytest.mark.parametrize(("make", "expected"), EQUAL.values(), ids=EQUAL)
def test_equal(make, expected):
    assert make() == expected


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: RuntimeEnv(env_vars={"a": 1}), TypeError),
        (lambda: RuntimeEnv(pip=[], conda={}), ValueError),
        (lambda: RuntimeEnv(working_dir=5), TypeError),
        (lambda: RuntimeEnv(py_modules="x"), TypeError),
        (lambda: RuntimeEnvConfig(setup_timeout_seconds=0), ValueError),
        (lambda: RuntimeEnvConfig(setup_timeout_seconds="a"), TypeError),
        (lambda: RuntimeEnvConfig(setup_timeout_seconds=-5), ValueError),
        (lambda: RuntimeEnvConfig(eager_install="x"), TypeError),
        (lambda: JobConfig(default_actor_lifetime="x"), ValueError),
        (lambda: JobConfig(code_search_path="x"), TypeError),
    ],
)
def test_what_cannot_be(make, error):
    with pytest.raises(error):
        make()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (e.RayActorError(), "The actor experienced an error before finishing this task."),
        (e.ActorDiedError(), "The actor died unexpectedly before finishing this task."),
        (e.WorkerCrashedError(), "The worker died unexpectedly while executing this task."),
        (e.GetTimeoutError("words"), "words"),
        (e.PendingCallsLimitExceeded("words"), "words"),
        (e.RaySystemError("words"), "System error: words"),
        (e.TaskUnschedulableError("words"), "The task is not schedulable: words"),
        (e.ActorUnschedulableError("words"), "The actor is not schedulable: words"),
        (e.NodeDiedError("words"), "words"),
        (e.OutOfMemoryError("words"), "words"),
        (e.RuntimeEnvSetupError("words"), "words"),
        (e.TaskCancelledError(error_message="words"), "words"),
        (e.ActorUnavailableError("words", b"\x01" * 16), f"The actor {'01' * 16} is unavailable: words"),
        (e.TaskPlacementGroupRemoved(), "The placement group corresponding to this task has been removed."),
        (e.ActorPlacementGroupRemoved(), "The placement group corresponding to this Actor has been removed."),
        (e.ObjectLostError("aa", None, ""), "Failed to retrieve object aa."),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_words_of_errors_that_a_program_makes(made, words):
    assert words in str(made)
    assert isinstance(made, e.RayError)


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (e.ActorDiedError, e.RayActorError),
        (e.ActorUnavailableError, e.RayActorError),
        (e.OwnerDiedError, e.ObjectLostError),
        (e.ObjectFreedError, e.ObjectLostError),
        (e.ObjectFetchTimedOutError, e.ObjectLostError),
        (e.ReferenceCountingAssertionError, e.ObjectLostError),
        (e.ReferenceCountingAssertionError, AssertionError),
        (e.GetTimeoutError, TimeoutError),
        (e.RayChannelTimeoutError, TimeoutError),
        (e.RayTaskError, e.RayError),
        (e.RayError, Exception),
    ],
    ids=lambda x: x.__name__,
)
def test_what_errors_are(cls, base):
    assert issubclass(cls, base)


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (ray.get, ["object_refs", "timeout"]),
        (ray.wait, ["ray_waitables", "num_returns", "timeout", "fetch_local"]),
        (ray.put, ["value", "_owner"]),
        (ray.kill, ["actor", "no_restart"]),
        (ray.cancel, ["ray_waitable", "force", "recursive"]),
        (ray.get_actor, ["name", "namespace"]),
        (ray.timeline, ["filename"]),
        (ray.shutdown, ["_exiting_interpreter"]),
        (
            ray.init,
            ["address", "num_cpus", "num_gpus", "resources", "labels", "object_store_memory", "local_mode", "ignore_reinit_error", "namespace"],
        ),
        (ray.util.placement_group, ["bundles", "strategy", "name", "lifetime"]),
        (ray.util.list_named_actors, ["all_namespaces"]),
        (ray.util.ActorPool.get_next, ["timeout", "ignore_if_timedout"]),
        (ray.util.as_completed, ["chunk_size", "yield_obj_refs"]),
        (ray.util.map_unordered, ["fn", "items", "backpressure_size", "chunk_size", "yield_obj_refs"]),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_names_of_parameters(function, names):
    parameters = inspect.signature(function).parameters
    assert set(names) <= set(parameters)
    assert [name for name in parameters if name in names] == names
