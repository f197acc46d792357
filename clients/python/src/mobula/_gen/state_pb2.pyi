from mobula._gen import controlplane_pb2 as _controlplane_pb2
from mobula._gen import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_WAITING: _ClassVar[TaskState]
    TASK_STATE_QUEUED: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_BLOCKED: _ClassVar[TaskState]
    TASK_STATE_FINISHED: _ClassVar[TaskState]
    TASK_STATE_FAILED: _ClassVar[TaskState]

class ObjectState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBJECT_STATE_UNSPECIFIED: _ClassVar[ObjectState]
    OBJECT_STATE_PENDING: _ClassVar[ObjectState]
    OBJECT_STATE_READY: _ClassVar[ObjectState]
    OBJECT_STATE_FAILED: _ClassVar[ObjectState]

class WorkerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_STATE_UNSPECIFIED: _ClassVar[WorkerState]
    WORKER_STATE_STARTING: _ClassVar[WorkerState]
    WORKER_STATE_IDLE: _ClassVar[WorkerState]
    WORKER_STATE_BUSY: _ClassVar[WorkerState]
    WORKER_STATE_ENDING: _ClassVar[WorkerState]
    WORKER_STATE_ENDED: _ClassVar[WorkerState]
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_WAITING: TaskState
TASK_STATE_QUEUED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_BLOCKED: TaskState
TASK_STATE_FINISHED: TaskState
TASK_STATE_FAILED: TaskState
OBJECT_STATE_UNSPECIFIED: ObjectState
OBJECT_STATE_PENDING: ObjectState
OBJECT_STATE_READY: ObjectState
OBJECT_STATE_FAILED: ObjectState
WORKER_STATE_UNSPECIFIED: WorkerState
WORKER_STATE_STARTING: WorkerState
WORKER_STATE_IDLE: WorkerState
WORKER_STATE_BUSY: WorkerState
WORKER_STATE_ENDING: WorkerState
WORKER_STATE_ENDED: WorkerState

class ResourceUse(_message.Message):
    __slots__ = ("name", "total", "free")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    name: str
    total: int
    free: int
    def __init__(self, name: _Optional[str] = ..., total: _Optional[int] = ..., free: _Optional[int] = ...) -> None: ...

class StoreUse(_message.Message):
    __slots__ = ("capacity_bytes", "used_bytes", "object_bytes", "pinned_bytes", "segments", "objects", "waiting")
    CAPACITY_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    OBJECT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PINNED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    capacity_bytes: int
    used_bytes: int
    object_bytes: int
    pinned_bytes: int
    segments: int
    objects: int
    waiting: int
    def __init__(self, capacity_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., object_bytes: _Optional[int] = ..., pinned_bytes: _Optional[int] = ..., segments: _Optional[int] = ..., objects: _Optional[int] = ..., waiting: _Optional[int] = ...) -> None: ...

class NodeInfo(_message.Message):
    __slots__ = ("record", "resources", "store")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    record: _controlplane_pb2.NodeRecord
    resources: _containers.RepeatedCompositeFieldContainer[ResourceUse]
    store: StoreUse
    def __init__(self, record: _Optional[_Union[_controlplane_pb2.NodeRecord, _Mapping]] = ..., resources: _Optional[_Iterable[_Union[ResourceUse, _Mapping]]] = ..., store: _Optional[_Union[StoreUse, _Mapping]] = ...) -> None: ...

class TaskCounts(_message.Message):
    __slots__ = ("waiting", "queued", "running")
    WAITING_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    waiting: int
    queued: int
    running: int
    def __init__(self, waiting: _Optional[int] = ..., queued: _Optional[int] = ..., running: _Optional[int] = ...) -> None: ...

class WorkerCounts(_message.Message):
    __slots__ = ("starting", "idle", "busy")
    STARTING_FIELD_NUMBER: _ClassVar[int]
    IDLE_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    starting: int
    idle: int
    busy: int
    def __init__(self, starting: _Optional[int] = ..., idle: _Optional[int] = ..., busy: _Optional[int] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("node", "started_unix_ns", "tasks", "workers", "jobs", "actors", "objects", "resident_bytes", "control_dir")
    NODE_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTROL_DIR_FIELD_NUMBER: _ClassVar[int]
    node: NodeInfo
    started_unix_ns: int
    tasks: TaskCounts
    workers: WorkerCounts
    jobs: int
    actors: int
    objects: int
    resident_bytes: int
    control_dir: str
    def __init__(self, node: _Optional[_Union[NodeInfo, _Mapping]] = ..., started_unix_ns: _Optional[int] = ..., tasks: _Optional[_Union[TaskCounts, _Mapping]] = ..., workers: _Optional[_Union[WorkerCounts, _Mapping]] = ..., jobs: _Optional[int] = ..., actors: _Optional[int] = ..., objects: _Optional[int] = ..., resident_bytes: _Optional[int] = ..., control_dir: _Optional[str] = ...) -> None: ...

class TaskInfo(_message.Message):
    __slots__ = ("task_id", "job_id", "function", "kind", "state", "attempt", "actor_id", "worker_id", "pid", "submitted_unix_ns", "missing_args", "call_site", "error", "name", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    MISSING_ARGS_FIELD_NUMBER: _ClassVar[int]
    CALL_SITE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    task_id: bytes
    job_id: bytes
    function: str
    kind: _task_pb2.TemplateKind
    state: TaskState
    attempt: int
    actor_id: bytes
    worker_id: bytes
    pid: int
    submitted_unix_ns: int
    missing_args: int
    call_site: str
    error: str
    name: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, task_id: _Optional[bytes] = ..., job_id: _Optional[bytes] = ..., function: _Optional[str] = ..., kind: _Optional[_Union[_task_pb2.TemplateKind, str]] = ..., state: _Optional[_Union[TaskState, str]] = ..., attempt: _Optional[int] = ..., actor_id: _Optional[bytes] = ..., worker_id: _Optional[bytes] = ..., pid: _Optional[int] = ..., submitted_unix_ns: _Optional[int] = ..., missing_args: _Optional[int] = ..., call_site: _Optional[str] = ..., error: _Optional[str] = ..., name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("limit", "state", "job_id", "function")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    limit: int
    state: TaskState
    job_id: bytes
    function: str
    def __init__(self, limit: _Optional[int] = ..., state: _Optional[_Union[TaskState, str]] = ..., job_id: _Optional[bytes] = ..., function: _Optional[str] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "total")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskInfo]
    total: int
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskInfo, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class ActorInfo(_message.Message):
    __slots__ = ("record", "waiting_calls", "running_calls", "call_site", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RECORD_FIELD_NUMBER: _ClassVar[int]
    WAITING_CALLS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_CALLS_FIELD_NUMBER: _ClassVar[int]
    CALL_SITE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    record: _controlplane_pb2.ActorRecord
    waiting_calls: int
    running_calls: int
    call_site: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, record: _Optional[_Union[_controlplane_pb2.ActorRecord, _Mapping]] = ..., waiting_calls: _Optional[int] = ..., running_calls: _Optional[int] = ..., call_site: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ListActorsRequest(_message.Message):
    __slots__ = ("limit", "status", "job_id")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    limit: int
    status: _controlplane_pb2.ActorStatus
    job_id: bytes
    def __init__(self, limit: _Optional[int] = ..., status: _Optional[_Union[_controlplane_pb2.ActorStatus, str]] = ..., job_id: _Optional[bytes] = ..., **kwargs) -> None: ...

class ListActorsResponse(_message.Message):
    __slots__ = ("actors", "total")
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    actors: _containers.RepeatedCompositeFieldContainer[ActorInfo]
    total: int
    def __init__(self, actors: _Optional[_Iterable[_Union[ActorInfo, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class ObjectHolder(_message.Message):
    __slots__ = ("pid", "worker", "holds")
    PID_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    pid: int
    worker: bool
    holds: int
    def __init__(self, pid: _Optional[int] = ..., worker: _Optional[bool] = ..., holds: _Optional[int] = ...) -> None: ...

class ObjectInfo(_message.Message):
    __slots__ = ("object_id", "job_id", "state", "size_bytes", "stored", "pins", "holders", "internal_holds", "call_site", "function")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    PINS_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_HOLDS_FIELD_NUMBER: _ClassVar[int]
    CALL_SITE_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    object_id: bytes
    job_id: bytes
    state: ObjectState
    size_bytes: int
    stored: bool
    pins: int
    holders: _containers.RepeatedCompositeFieldContainer[ObjectHolder]
    internal_holds: int
    call_site: str
    function: str
    def __init__(self, object_id: _Optional[bytes] = ..., job_id: _Optional[bytes] = ..., state: _Optional[_Union[ObjectState, str]] = ..., size_bytes: _Optional[int] = ..., stored: _Optional[bool] = ..., pins: _Optional[int] = ..., holders: _Optional[_Iterable[_Union[ObjectHolder, _Mapping]]] = ..., internal_holds: _Optional[int] = ..., call_site: _Optional[str] = ..., function: _Optional[str] = ...) -> None: ...

class ListObjectsRequest(_message.Message):
    __slots__ = ("limit", "state", "job_id", "min_size_bytes")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    MIN_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    limit: int
    state: ObjectState
    job_id: bytes
    min_size_bytes: int
    def __init__(self, limit: _Optional[int] = ..., state: _Optional[_Union[ObjectState, str]] = ..., job_id: _Optional[bytes] = ..., min_size_bytes: _Optional[int] = ...) -> None: ...

class ListObjectsResponse(_message.Message):
    __slots__ = ("objects", "total")
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[ObjectInfo]
    total: int
    def __init__(self, objects: _Optional[_Iterable[_Union[ObjectInfo, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class ListNodesRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes", "total")
    NODES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeInfo]
    total: int
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeInfo, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class JobInfo(_message.Message):
    __slots__ = ("record", "tasks", "workers", "inline_bytes")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    INLINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    record: _controlplane_pb2.JobRecord
    tasks: int
    workers: int
    inline_bytes: int
    def __init__(self, record: _Optional[_Union[_controlplane_pb2.JobRecord, _Mapping]] = ..., tasks: _Optional[int] = ..., workers: _Optional[int] = ..., inline_bytes: _Optional[int] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("limit", "status")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    limit: int
    status: _controlplane_pb2.JobStatus
    def __init__(self, limit: _Optional[int] = ..., status: _Optional[_Union[_controlplane_pb2.JobStatus, str]] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "total")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobInfo]
    total: int
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobInfo, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class WorkerInfo(_message.Message):
    __slots__ = ("worker_id", "job_id", "pid", "state", "language", "isolation", "tasks", "actors", "started_unix_ns", "ended_unix_ns", "exit")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    worker_id: bytes
    job_id: bytes
    pid: int
    state: WorkerState
    language: _task_pb2.Language
    isolation: _task_pb2.Isolation
    tasks: int
    actors: int
    started_unix_ns: int
    ended_unix_ns: int
    exit: str
    def __init__(self, worker_id: _Optional[bytes] = ..., job_id: _Optional[bytes] = ..., pid: _Optional[int] = ..., state: _Optional[_Union[WorkerState, str]] = ..., language: _Optional[_Union[_task_pb2.Language, str]] = ..., isolation: _Optional[_Union[_task_pb2.Isolation, str]] = ..., tasks: _Optional[int] = ..., actors: _Optional[int] = ..., started_unix_ns: _Optional[int] = ..., ended_unix_ns: _Optional[int] = ..., exit: _Optional[str] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ("limit", "state", "job_id")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    limit: int
    state: WorkerState
    job_id: bytes
    def __init__(self, limit: _Optional[int] = ..., state: _Optional[_Union[WorkerState, str]] = ..., job_id: _Optional[bytes] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers", "total")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerInfo]
    total: int
    def __init__(self, workers: _Optional[_Iterable[_Union[WorkerInfo, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    def __init__(self, id: _Optional[bytes] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ShutdownRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class ShutdownResponse(_message.Message):
    __slots__ = ("pid",)
    PID_FIELD_NUMBER: _ClassVar[int]
    pid: int
    def __init__(self, pid: _Optional[int] = ...) -> None: ...
