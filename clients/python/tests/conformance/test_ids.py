"""The API of refs and ids, as programs use it beside get and wait."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace

import pytest
import ray
from ray.actor import ActorClass, ActorHandle, ActorMethod
from ray.remote_function import RemoteFunction

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def t(cluster):
    """A ref that was put, one of a task, an actor, and what they are made of."""

    @ray.remote
    def identity(x):
        return x

    @ray.remote(num_cpus=0)
    class Actor:
        """Is an actor."""

        def get(self):
            return 1

    actor = Actor.remote()
    return SimpleNamespace(
        identity=identity, Actor=Actor, actor=actor, ref=ray.put(1), result=identity.remote(1), job=ray.get_runtime_context().get_job_id()
    )


TRUE = {
    "a ref is its class": lambda t: isinstance(t.ref, ray.ObjectRef) and type(t.ref).__name__ == "ObjectRef",
    "ObjectID is ObjectRef": lambda t: ray.ObjectID is ray.ObjectRef,
    "the same class everywhere": lambda t: ray._raylet.ObjectRef is ray.ObjectRef,
    "ids are the same classes": lambda t: ray._raylet.ActorID is ray.ActorID and ray._raylet.TaskID is ray.TaskID,
    "from binary": lambda t: ray.ObjectRef.from_binary(t.ref.binary()) == t.ref,
    "by its constructor": lambda t: ray.ObjectRef(t.ref.binary()) == t.ref,
    "got by another ref of the same id": lambda t: ray.get(ray.ObjectRef(t.ref.binary())) == 1,
    "nil": lambda t: ray.ObjectRef.nil().is_nil() and ray.ObjectRef.nil() == ray.ObjectRef.nil(),
    "nil in hexadecimal": lambda t: ray.ObjectRef.nil().hex() == "f" * (2 * ray.ObjectRef.size()),
    "random": lambda t: ray.ObjectRef.from_random() != ray.ObjectRef.from_random(),
    "size": lambda t: t.ref.size() == len(t.ref.binary()) == ray.ObjectRef.size(),
    "hexadecimal": lambda t: bytes.fromhex(t.ref.hex()) == t.ref.binary(),
    "not another type's": lambda t: t.ref != 1 and t.ref != t.ref.hex() and t.ref is not None,
    "hash": lambda t: hash(t.ref) == hash(ray.ObjectRef(t.ref.binary())),
    "in sets and dicts": lambda t: t.ref in {t.ref} and {t.ref: 1}[ray.ObjectRef(t.ref.binary())] == 1,
    "in lists": lambda t: [t.result, t.ref].index(t.ref) == 1 and t.ref in [t.ref],
    "true": lambda t: bool(t.ref),
    "text": lambda t: str(t.ref) == repr(t.ref) == f"{t.ref}" == f"ObjectRef({t.ref.hex()})",
    "copy": lambda t: copy.copy(t.ref) == t.ref and copy.deepcopy([t.ref]) == [t.ref],
    "cloudpickle": lambda t: ray.cloudpickle.loads(ray.cloudpickle.dumps(t.ref)) == t.ref,
    "call site is a text": lambda t: isinstance(t.ref.call_site(), str),
    "task of a result": lambda t: isinstance(t.result.task_id(), ray.TaskID) and not t.result.task_id().is_nil(),
    "task of two results": lambda t: len({r.task_id() for r in t.identity.options(num_returns=2).remote([1, 2])}) == 1,
    "task ids are apart": lambda t: t.identity.remote(1).task_id() != t.identity.remote(1).task_id(),
    "job of a ref": lambda t: t.result.job_id().hex() == t.job,
    "job of a task": lambda t: t.result.task_id().job_id().hex() == t.job,
    "job of an actor": lambda t: t.actor._actor_id.job_id.hex() == t.job,
    "task id size": lambda t: ray.TaskID.size() == len(t.result.task_id().binary()),
    "task id text": lambda t: repr(t.result.task_id()) == f"TaskID({t.result.task_id().hex()})",
    "task id hashes": lambda t: {t.result.task_id(): 1}[t.result.task_id()] == 1,
    "task id is no text": lambda t: t.result.task_id() != t.result.task_id().hex(),
    "task id pickles": lambda t: pickle.loads(pickle.dumps(t.result.task_id())) == t.result.task_id(),
    "task id from hex": lambda t: ray.TaskID.from_hex(t.result.task_id().hex()) == t.result.task_id(),
    "actor id": lambda t: isinstance(t.actor._actor_id, ray.ActorID) and t.actor._ray_actor_id == t.actor._actor_id,
    "actor id from hex": lambda t: ray.ActorID.from_hex(t.actor._actor_id.hex()) == t.actor._actor_id,
    "actor id from binary": lambda t: ray.ActorID(t.actor._actor_id.binary()) == t.actor._actor_id,
    "actor id nil": lambda t: ray.ActorID.nil().is_nil() and ray.ActorID.nil().hex() == "f" * (2 * ray.ActorID.size()),
    "job id of a number": lambda t: ray.JobID.from_int(7).int() == 7 and ray.JobID.from_int(7) != ray.JobID.from_int(8),
    "node id": lambda t: ray.NodeID.from_hex(ray.get_runtime_context().get_node_id()).hex() == ray.nodes()[0]["NodeID"],
    "ids of one kind are not of another": lambda t: ray.NodeID.nil() != ray.JobID.nil() and ray.NodeID.nil() != ray.UniqueID.nil(),
    "handle is a handle": lambda t: isinstance(t.actor, ActorHandle) and not isinstance(t.Actor, type),
    "class is an actor class": lambda t: isinstance(t.Actor, ActorClass),
    "class with options is made again": lambda t: isinstance(t.Actor.options(num_cpus=0).remote(), ActorHandle),
    "method is a method": lambda t: isinstance(t.actor.get, ActorMethod),
    "function is a function": lambda t: isinstance(t.identity, RemoteFunction),
    "functions are callable": lambda t: callable(t.identity) and callable(t.Actor) and callable(t.actor.get),
    "the function inside": lambda t: t.identity._function(4) == 4,
    "the class inside": lambda t: t.Actor.__ray_actor_class__().get() == 1 and t.Actor.__ray_metadata__.modified_class().get() == 1,
    "name of the class": lambda t: t.Actor.__ray_metadata__.class_name.endswith("Actor"),
    "methods of a handle": lambda t: "get" in dir(t.actor) and "nosuch" not in dir(t.actor),
    "hasattr": lambda t: hasattr(t.actor, "get") and not hasattr(t.actor, "nosuch"),
    "a handle equals its copies": lambda t: copy.copy(t.actor) == t.actor and copy.deepcopy(t.actor) == t.actor,
    "a handle pickles": lambda t: ray.cloudpickle.loads(ray.cloudpickle.dumps(t.actor)) == t.actor,
    "a handle comes back": lambda t: ray.get(t.identity.remote(t.actor)) == t.actor and ray.get(ray.put([t.actor]))[0] == t.actor,
    "handles hash": lambda t: {t.actor: 1}[ray.get(t.identity.remote(t.actor))] == 1,
    "handles are apart": lambda t: t.actor != t.Actor.remote(),
    "text of a handle": lambda t: repr(t.actor).startswith("Actor(") and t.actor._actor_id.hex() in repr(t.actor),
    "a function comes back": lambda t: ray.get(ray.get(t.identity.remote(t.identity)).remote(3)) == 3,
    "an actor class comes back": lambda t: ray.get(ray.get(t.identity.remote(t.Actor)).remote().get.remote()) == 1,
    "version": lambda t: ray.__version__.count(".") == 2 and isinstance(ray.__commit__, str),
    "modes": lambda t: (ray.SCRIPT_MODE, ray.WORKER_MODE) == (0, 1),
    "worker of this process": lambda t: ray._private.worker.global_worker.connected and ray._private.worker.global_worker.mode == ray.SCRIPT_MODE,
    "node of this process": lambda t: ray._private.worker._global_node.address_info["node_ip_address"] == ray.util.get_node_ip_address(),
    "logger": lambda t: ray.logger.name == "ray",
    "names of the package": lambda t: {"get", "put", "wait", "remote", "ObjectRef", "util"} <= set(ray.__all__),
}


@pytest.mark.parametrize("holds", TRUE.values(), ids=TRUE)
def test_that(t, holds):
    assert holds(t)


@pytest.mark.parametrize("kind", ["NodeID", "WorkerID", "FunctionID", "ActorClassID", "PlacementGroupID", "JobID", "TaskID", "ActorID"])
def test_ids_of_every_kind(kind):
    cls = getattr(ray, kind)
    nil = cls.nil()
    assert nil.is_nil()
    assert nil == cls.nil()
    assert nil == cls(nil.binary())
    assert cls.from_hex(nil.hex()) == nil
    assert len(nil.binary()) == cls.size()
    assert repr(nil) == f"{kind}({nil.hex()})"
    assert len({nil, cls.nil()}) == 1
