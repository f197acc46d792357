"""Everything that programs commonly import from ray, by the statements that they have."""

from __future__ import annotations

import pytest

IMPORTS = """
from ray import ObjectRef, ObjectID, ActorID, TaskID, NodeID, JobID, WorkerID, PlacementGroupID, UniqueID, FunctionID, ActorClassID
from ray import remote, get, put, wait, init, shutdown, kill, cancel, get_actor, method, nodes, timeline, is_initialized
from ray import available_resources, cluster_resources, get_gpu_ids, get_runtime_context, actor, util, exceptions, cloudpickle
from ray import ObjectRefGenerator, DynamicObjectRefGenerator, Language, LoggingConfig, java_function, java_actor_class
from ray.actor import ActorHandle, ActorClass, ActorMethod, exit_actor, method
from ray.types import ObjectRef
from ray._raylet import ObjectRef, ObjectID, ActorID, ObjectRefGenerator, DynamicObjectRefGenerator, Language
from ray.remote_function import RemoteFunction
from ray.runtime_context import RuntimeContext, get_runtime_context
from ray.runtime_env import RuntimeEnv, RuntimeEnvConfig
from ray.job_config import JobConfig
from ray.exceptions import RayError, RayTaskError, RayActorError, ActorDiedError, GetTimeoutError, TaskCancelledError, WorkerCrashedError
from ray.exceptions import ObjectStoreFullError, OutOfMemoryError, ObjectLostError, OwnerDiedError, RuntimeEnvSetupError, ActorUnavailableError
from ray.exceptions import TaskUnschedulableError, ActorUnschedulableError, CrossLanguageError, AsyncioActorExit, OutOfDiskError, RpcError
from ray.exceptions import ObjectFetchTimedOutError, ReferenceCountingAssertionError, ObjectReconstructionFailedError, NodeDiedError
from ray.exceptions import UserCodeException, PendingCallsLimitExceeded, RayChannelError, RayChannelTimeoutError, LocalRayletDiedError
from ray.exceptions import PlasmaObjectNotAvailable, UnserializableException, RaySystemError, ObjectRefStreamEndOfStreamError
from ray.util import ActorPool, get_node_ip_address, list_named_actors, placement_group, remove_placement_group, get_current_placement_group
from ray.util import inspect_serializability, register_serializer, deregister_serializer, placement_group_table, get_placement_group
from ray.util import log_once, as_completed, map_unordered, get_node_instance_id, accelerators, collective
from ray.util import disable_log_once_globally, enable_periodic_logging, metrics, queue, state
from ray.util.actor_pool import ActorPool
from ray.util.queue import Queue, Empty, Full
from ray.util.multiprocessing import Pool, TimeoutError
from ray.util.multiprocessing.pool import Pool, AsyncResult
from ray.util.placement_group import placement_group, PlacementGroup, placement_group_table, remove_placement_group
from ray.util.placement_group import get_current_placement_group, get_placement_group, VALID_PLACEMENT_GROUP_STRATEGIES
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy, NodeAffinitySchedulingStrategy, NodeLabelSchedulingStrategy
from ray.util.scheduling_strategies import In, NotIn, Exists, DoesNotExist
from ray.util.metrics import Counter, Gauge, Histogram
from ray.util.state import list_actors, list_tasks, list_objects, list_nodes, list_workers, list_jobs, list_placement_groups
from ray.util.state import get_actor, get_task, get_node, get_worker, get_objects, get_placement_group
from ray.util.state import summarize_tasks, summarize_actors, summarize_objects
from ray.util.state.common import ActorState, TaskState
from ray.util.state.exception import RayStateApiException
from ray.util.annotations import PublicAPI, DeveloperAPI, Deprecated
from ray.util.debug import log_once, disable_log_once_globally, enable_periodic_logging
from ray.util.check_serialize import inspect_serializability
from ray.util.serialization import register_serializer, deregister_serializer
from ray.util.accelerators import NVIDIA_TESLA_V100, NVIDIA_TESLA_A100, NVIDIA_H100, NVIDIA_TESLA_T4, NVIDIA_A100, NVIDIA_L4, GOOGLE_TPU_V4
from ray.util.collective import init_collective_group, allreduce, broadcast, barrier, create_collective_group
from ray.util.collective.types import ReduceOp, Backend
from ray.util.helpers import as_completed, map_unordered
from ray.cluster_utils import Cluster
from ray.cross_language import java_function, java_actor_class
from ray.cloudpickle import dumps, loads, dump, load
import ray.cloudpickle as pickle
import ray._private.ray_constants as ray_constants
from ray._private.ray_constants import RAY_ADDRESS_ENVIRONMENT_VARIABLE, DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES, ID_SIZE, env_integer, env_bool
from ray._private.worker import global_worker, init, get, put, wait, shutdown
from ray._private.services import get_node_ip_address
from ray._private.state import state, actors, jobs, nodes, workers, available_resources_per_node, total_resources_per_node, GlobalState
from ray._private.async_compat import is_async_func, sync_to_async, has_async_methods
from ray._private.test_utils import generate_system_config_map, wait_for_num_actors, run_string_as_driver_nonblocking, wait_for_pid_to_exit
from ray._private.test_utils import convert_actor_state, get_actor_node_id, kill_actor_and_wait_for_failure, same_elements, wait_for_assertion
from ray._private.test_utils import placement_group_assert_no_leak, wait_until_succeeded_without_exception, client_test_enabled
from ray._common.test_utils import SignalActor, Semaphore, wait_for_condition, async_wait_for_condition, run_string_as_driver
from ray._common.utils import hex_to_binary, binary_to_hex, get_or_create_event_loop, get_system_memory, import_attr, load_class, env_bool
from ray._common.network_utils import build_address, parse_address, is_ipv6, is_localhost, find_free_port
""".strip().splitlines()


@pytest.mark.parametrize("statement", IMPORTS)
def test_imports(statement):
    names = {}
    exec(statement, names)
    for name in statement.partition(" import ")[2].split(", "):
        if name and " as " not in name:
            assert name in names


@pytest.mark.mobula_only("Ray's own list names a module that it has removed, and the statement raises")
def test_everything_at_once():
    names = {}
    exec("from ray import *", names)
    assert {"get", "put", "wait", "remote", "ObjectRef", "util"} <= set(names)


@pytest.mark.parametrize("name", ["nosuch", "_nosuch"])
def test_what_ray_does_not_have_is_an_attribute_error(name):
    import ray

    with pytest.raises(AttributeError, match=name):
        getattr(ray, name)
    assert getattr(ray, name, None) is None
    with pytest.raises(ImportError):
        exec(f"from ray import {name}")
    with pytest.raises(ModuleNotFoundError):
        exec(f"import ray.{name}")


@pytest.mark.parametrize(
    ("address", "parts"),
    [("a:1", ("a", "1")), ("[::1]:2", ("::1", "2")), ("::1", None), ("host", None), (":1", ("", "1")), ("1.2.3.4:5", ("1.2.3.4", "5"))],
)
def test_addresses(address, parts):
    from ray._common.network_utils import build_address, parse_address

    assert parse_address(address) == parts
    if parts:
        assert build_address(*parts) == address


def test_what_is_asynchronous():
    from ray._private.async_compat import has_async_methods, is_async_func, sync_to_async

    async def coroutine():
        return 1

    async def generator():
        yield 1

    class Sync:
        def f(self):
            return 1

    class Async(Sync):
        async def g(self):
            return 1

    assert is_async_func(coroutine)
    assert is_async_func(generator)
    assert not is_async_func(Sync.f)
    assert has_async_methods(Async)
    assert not has_async_methods(Sync)
    assert is_async_func(sync_to_async(Sync().f))
    assert sync_to_async(coroutine) is coroutine
