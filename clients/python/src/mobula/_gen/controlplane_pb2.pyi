from mobula._gen import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Table(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TABLE_UNSPECIFIED: _ClassVar[Table]
    TABLE_NODES: _ClassVar[Table]
    TABLE_JOBS: _ClassVar[Table]
    TABLE_ACTORS: _ClassVar[Table]
    TABLE_NAMES: _ClassVar[Table]
    TABLE_FUNCTIONS: _ClassVar[Table]
    TABLE_KEYS: _ClassVar[Table]
    TABLE_LINEAGE: _ClassVar[Table]

class CauseKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAUSE_KIND_UNSPECIFIED: _ClassVar[CauseKind]
    CAUSE_KIND_EXITED: _ClassVar[CauseKind]
    CAUSE_KIND_FAILED: _ClassVar[CauseKind]
    CAUSE_KIND_KILLED: _ClassVar[CauseKind]
    CAUSE_KIND_CRASHED: _ClassVar[CauseKind]
    CAUSE_KIND_NODE_LOST: _ClassVar[CauseKind]
    CAUSE_KIND_JOB_ENDED: _ClassVar[CauseKind]
    CAUSE_KIND_OUT_OF_SCOPE: _ClassVar[CauseKind]
    CAUSE_KIND_CREATION_FAILED: _ClassVar[CauseKind]
    CAUSE_KIND_SUPERSEDED: _ClassVar[CauseKind]

class NodeStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_STATUS_UNSPECIFIED: _ClassVar[NodeStatus]
    NODE_STATUS_ALIVE: _ClassVar[NodeStatus]
    NODE_STATUS_DRAINING: _ClassVar[NodeStatus]
    NODE_STATUS_DEAD: _ClassVar[NodeStatus]

class JobStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATUS_UNSPECIFIED: _ClassVar[JobStatus]
    JOB_STATUS_RUNNING: _ClassVar[JobStatus]
    JOB_STATUS_SUCCEEDED: _ClassVar[JobStatus]
    JOB_STATUS_FAILED: _ClassVar[JobStatus]
    JOB_STATUS_STOPPED: _ClassVar[JobStatus]

class ActorStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTOR_STATUS_UNSPECIFIED: _ClassVar[ActorStatus]
    ACTOR_STATUS_PENDING: _ClassVar[ActorStatus]
    ACTOR_STATUS_ALIVE: _ClassVar[ActorStatus]
    ACTOR_STATUS_RESTARTING: _ClassVar[ActorStatus]
    ACTOR_STATUS_DEAD: _ClassVar[ActorStatus]

class ResultCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESULT_CODE_UNSPECIFIED: _ClassVar[ResultCode]
    RESULT_CODE_OK: _ClassVar[ResultCode]
    RESULT_CODE_INVALID_ARGUMENT: _ClassVar[ResultCode]
    RESULT_CODE_NOT_FOUND: _ClassVar[ResultCode]
    RESULT_CODE_ALREADY_EXISTS: _ClassVar[ResultCode]
    RESULT_CODE_CONFLICT: _ClassVar[ResultCode]
    RESULT_CODE_STALE: _ClassVar[ResultCode]
    RESULT_CODE_ENDED: _ClassVar[ResultCode]
    RESULT_CODE_LIMIT_EXCEEDED: _ClassVar[ResultCode]
    RESULT_CODE_WRONG_SHARD: _ClassVar[ResultCode]
    RESULT_CODE_FORGOTTEN: _ClassVar[ResultCode]

class Consistency(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSISTENCY_UNSPECIFIED: _ClassVar[Consistency]
    CONSISTENCY_LINEARIZABLE: _ClassVar[Consistency]
    CONSISTENCY_STALE: _ClassVar[Consistency]

class EventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_TYPE_UNSPECIFIED: _ClassVar[EventType]
    EVENT_TYPE_PUT: _ClassVar[EventType]
    EVENT_TYPE_DELETE: _ClassVar[EventType]
TABLE_UNSPECIFIED: Table
TABLE_NODES: Table
TABLE_JOBS: Table
TABLE_ACTORS: Table
TABLE_NAMES: Table
TABLE_FUNCTIONS: Table
TABLE_KEYS: Table
TABLE_LINEAGE: Table
CAUSE_KIND_UNSPECIFIED: CauseKind
CAUSE_KIND_EXITED: CauseKind
CAUSE_KIND_FAILED: CauseKind
CAUSE_KIND_KILLED: CauseKind
CAUSE_KIND_CRASHED: CauseKind
CAUSE_KIND_NODE_LOST: CauseKind
CAUSE_KIND_JOB_ENDED: CauseKind
CAUSE_KIND_OUT_OF_SCOPE: CauseKind
CAUSE_KIND_CREATION_FAILED: CauseKind
CAUSE_KIND_SUPERSEDED: CauseKind
NODE_STATUS_UNSPECIFIED: NodeStatus
NODE_STATUS_ALIVE: NodeStatus
NODE_STATUS_DRAINING: NodeStatus
NODE_STATUS_DEAD: NodeStatus
JOB_STATUS_UNSPECIFIED: JobStatus
JOB_STATUS_RUNNING: JobStatus
JOB_STATUS_SUCCEEDED: JobStatus
JOB_STATUS_FAILED: JobStatus
JOB_STATUS_STOPPED: JobStatus
ACTOR_STATUS_UNSPECIFIED: ActorStatus
ACTOR_STATUS_PENDING: ActorStatus
ACTOR_STATUS_ALIVE: ActorStatus
ACTOR_STATUS_RESTARTING: ActorStatus
ACTOR_STATUS_DEAD: ActorStatus
RESULT_CODE_UNSPECIFIED: ResultCode
RESULT_CODE_OK: ResultCode
RESULT_CODE_INVALID_ARGUMENT: ResultCode
RESULT_CODE_NOT_FOUND: ResultCode
RESULT_CODE_ALREADY_EXISTS: ResultCode
RESULT_CODE_CONFLICT: ResultCode
RESULT_CODE_STALE: ResultCode
RESULT_CODE_ENDED: ResultCode
RESULT_CODE_LIMIT_EXCEEDED: ResultCode
RESULT_CODE_WRONG_SHARD: ResultCode
RESULT_CODE_FORGOTTEN: ResultCode
CONSISTENCY_UNSPECIFIED: Consistency
CONSISTENCY_LINEARIZABLE: Consistency
CONSISTENCY_STALE: Consistency
EVENT_TYPE_UNSPECIFIED: EventType
EVENT_TYPE_PUT: EventType
EVENT_TYPE_DELETE: EventType

class RecordKey(_message.Message):
    __slots__ = ("table", "id", "namespace", "name")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    table: Table
    id: bytes
    namespace: str
    name: str
    def __init__(self, table: _Optional[_Union[Table, str]] = ..., id: _Optional[bytes] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("node", "job", "actor", "name", "function", "key", "lineage")
    NODE_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    node: NodeRecord
    job: JobRecord
    actor: ActorRecord
    name: NameRecord
    function: FunctionRecord
    key: KeyRecord
    lineage: LineageRecord
    def __init__(self, node: _Optional[_Union[NodeRecord, _Mapping]] = ..., job: _Optional[_Union[JobRecord, _Mapping]] = ..., actor: _Optional[_Union[ActorRecord, _Mapping]] = ..., name: _Optional[_Union[NameRecord, _Mapping]] = ..., function: _Optional[_Union[FunctionRecord, _Mapping]] = ..., key: _Optional[_Union[KeyRecord, _Mapping]] = ..., lineage: _Optional[_Union[LineageRecord, _Mapping]] = ...) -> None: ...

class NodeRef(_message.Message):
    __slots__ = ("node_id", "epoch")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    epoch: int
    def __init__(self, node_id: _Optional[bytes] = ..., epoch: _Optional[int] = ...) -> None: ...

class Cause(_message.Message):
    __slots__ = ("kind", "message", "node")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    kind: CauseKind
    message: str
    node: NodeRef
    def __init__(self, kind: _Optional[_Union[CauseKind, str]] = ..., message: _Optional[str] = ..., node: _Optional[_Union[NodeRef, _Mapping]] = ...) -> None: ...

class Quantity(_message.Message):
    __slots__ = ("name", "units")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    units: int
    def __init__(self, name: _Optional[str] = ..., units: _Optional[int] = ...) -> None: ...

class NodeLabel(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class NodeRecord(_message.Message):
    __slots__ = ("ref", "status", "address", "hostname", "build", "pid", "resources", "labels", "registered_unix_ns", "ended_unix_ns", "ended_revision", "cause", "drain_reason")
    REF_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_REVISION_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_REASON_FIELD_NUMBER: _ClassVar[int]
    ref: NodeRef
    status: NodeStatus
    address: str
    hostname: str
    build: str
    pid: int
    resources: _containers.RepeatedCompositeFieldContainer[Quantity]
    labels: _containers.RepeatedCompositeFieldContainer[NodeLabel]
    registered_unix_ns: int
    ended_unix_ns: int
    ended_revision: int
    cause: Cause
    drain_reason: str
    def __init__(self, ref: _Optional[_Union[NodeRef, _Mapping]] = ..., status: _Optional[_Union[NodeStatus, str]] = ..., address: _Optional[str] = ..., hostname: _Optional[str] = ..., build: _Optional[str] = ..., pid: _Optional[int] = ..., resources: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., labels: _Optional[_Iterable[_Union[NodeLabel, _Mapping]]] = ..., registered_unix_ns: _Optional[int] = ..., ended_unix_ns: _Optional[int] = ..., ended_revision: _Optional[int] = ..., cause: _Optional[_Union[Cause, _Mapping]] = ..., drain_reason: _Optional[str] = ...) -> None: ...

class JobRecord(_message.Message):
    __slots__ = ("job_id", "status", "namespace", "program", "language", "pid", "node", "started_unix_ns", "ended_unix_ns", "ended_revision", "cause")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_REVISION_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    job_id: bytes
    status: JobStatus
    namespace: str
    program: str
    language: _task_pb2.Language
    pid: int
    node: NodeRef
    started_unix_ns: int
    ended_unix_ns: int
    ended_revision: int
    cause: Cause
    def __init__(self, job_id: _Optional[bytes] = ..., status: _Optional[_Union[JobStatus, str]] = ..., namespace: _Optional[str] = ..., program: _Optional[str] = ..., language: _Optional[_Union[_task_pb2.Language, str]] = ..., pid: _Optional[int] = ..., node: _Optional[_Union[NodeRef, _Mapping]] = ..., started_unix_ns: _Optional[int] = ..., ended_unix_ns: _Optional[int] = ..., ended_revision: _Optional[int] = ..., cause: _Optional[_Union[Cause, _Mapping]] = ...) -> None: ...

class ActorRecord(_message.Message):
    __slots__ = ("actor_id", "job_id", "status", "name", "namespace", "detached", "max_restarts", "restarts", "incarnation", "node", "worker_id", "pid", "spec", "created_unix_ns", "ended_unix_ns", "ended_revision", "cause")
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    MAX_RESTARTS_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_REVISION_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    actor_id: bytes
    job_id: bytes
    status: ActorStatus
    name: str
    namespace: str
    detached: bool
    max_restarts: int
    restarts: int
    incarnation: int
    node: NodeRef
    worker_id: bytes
    pid: int
    spec: bytes
    created_unix_ns: int
    ended_unix_ns: int
    ended_revision: int
    cause: Cause
    def __init__(self, actor_id: _Optional[bytes] = ..., job_id: _Optional[bytes] = ..., status: _Optional[_Union[ActorStatus, str]] = ..., name: _Optional[str] = ..., namespace: _Optional[str] = ..., detached: _Optional[bool] = ..., max_restarts: _Optional[int] = ..., restarts: _Optional[int] = ..., incarnation: _Optional[int] = ..., node: _Optional[_Union[NodeRef, _Mapping]] = ..., worker_id: _Optional[bytes] = ..., pid: _Optional[int] = ..., spec: _Optional[bytes] = ..., created_unix_ns: _Optional[int] = ..., ended_unix_ns: _Optional[int] = ..., ended_revision: _Optional[int] = ..., cause: _Optional[_Union[Cause, _Mapping]] = ..., **kwargs) -> None: ...

class NameRecord(_message.Message):
    __slots__ = ("namespace", "name", "actor_id", "actor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    actor_id: bytes
    actor: ActorRecord
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., actor_id: _Optional[bytes] = ..., actor: _Optional[_Union[ActorRecord, _Mapping]] = ...) -> None: ...

class FunctionRecord(_message.Message):
    __slots__ = ("job_id", "name", "fingerprint", "language")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    job_id: bytes
    name: str
    fingerprint: int
    language: _task_pb2.Language
    def __init__(self, job_id: _Optional[bytes] = ..., name: _Optional[str] = ..., fingerprint: _Optional[int] = ..., language: _Optional[_Union[_task_pb2.Language, str]] = ...) -> None: ...

class KeyRecord(_message.Message):
    __slots__ = ("namespace", "key", "value", "version")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    key: str
    value: bytes
    version: int
    def __init__(self, namespace: _Optional[str] = ..., key: _Optional[str] = ..., value: _Optional[bytes] = ..., version: _Optional[int] = ...) -> None: ...

class LineageRecord(_message.Message):
    __slots__ = ("task_id", "job_id", "spec")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    task_id: bytes
    job_id: bytes
    spec: bytes
    def __init__(self, task_id: _Optional[bytes] = ..., job_id: _Optional[bytes] = ..., spec: _Optional[bytes] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("sequence", "register_node", "drain_node", "mark_node_dead", "start_job", "finish_job", "create_actor", "mark_actor_alive", "mark_actor_dead", "end_actor", "put_functions", "put_key", "delete_key", "put_lineage", "delete_lineage", "ack_effects", "set_limits")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REGISTER_NODE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_NODE_FIELD_NUMBER: _ClassVar[int]
    MARK_NODE_DEAD_FIELD_NUMBER: _ClassVar[int]
    START_JOB_FIELD_NUMBER: _ClassVar[int]
    FINISH_JOB_FIELD_NUMBER: _ClassVar[int]
    CREATE_ACTOR_FIELD_NUMBER: _ClassVar[int]
    MARK_ACTOR_ALIVE_FIELD_NUMBER: _ClassVar[int]
    MARK_ACTOR_DEAD_FIELD_NUMBER: _ClassVar[int]
    END_ACTOR_FIELD_NUMBER: _ClassVar[int]
    PUT_FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    PUT_KEY_FIELD_NUMBER: _ClassVar[int]
    DELETE_KEY_FIELD_NUMBER: _ClassVar[int]
    PUT_LINEAGE_FIELD_NUMBER: _ClassVar[int]
    DELETE_LINEAGE_FIELD_NUMBER: _ClassVar[int]
    ACK_EFFECTS_FIELD_NUMBER: _ClassVar[int]
    SET_LIMITS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    register_node: RegisterNode
    drain_node: DrainNode
    mark_node_dead: MarkNodeDead
    start_job: StartJob
    finish_job: FinishJob
    create_actor: CreateActor
    mark_actor_alive: MarkActorAlive
    mark_actor_dead: MarkActorDead
    end_actor: EndActor
    put_functions: PutFunctions
    put_key: PutKey
    delete_key: DeleteKey
    put_lineage: PutLineage
    delete_lineage: DeleteLineage
    ack_effects: AckEffects
    set_limits: SetLimits
    def __init__(self, sequence: _Optional[int] = ..., register_node: _Optional[_Union[RegisterNode, _Mapping]] = ..., drain_node: _Optional[_Union[DrainNode, _Mapping]] = ..., mark_node_dead: _Optional[_Union[MarkNodeDead, _Mapping]] = ..., start_job: _Optional[_Union[StartJob, _Mapping]] = ..., finish_job: _Optional[_Union[FinishJob, _Mapping]] = ..., create_actor: _Optional[_Union[CreateActor, _Mapping]] = ..., mark_actor_alive: _Optional[_Union[MarkActorAlive, _Mapping]] = ..., mark_actor_dead: _Optional[_Union[MarkActorDead, _Mapping]] = ..., end_actor: _Optional[_Union[EndActor, _Mapping]] = ..., put_functions: _Optional[_Union[PutFunctions, _Mapping]] = ..., put_key: _Optional[_Union[PutKey, _Mapping]] = ..., delete_key: _Optional[_Union[DeleteKey, _Mapping]] = ..., put_lineage: _Optional[_Union[PutLineage, _Mapping]] = ..., delete_lineage: _Optional[_Union[DeleteLineage, _Mapping]] = ..., ack_effects: _Optional[_Union[AckEffects, _Mapping]] = ..., set_limits: _Optional[_Union[SetLimits, _Mapping]] = ...) -> None: ...

class RegisterNode(_message.Message):
    __slots__ = ("ref", "address", "hostname", "build", "pid", "resources", "labels")
    REF_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ref: NodeRef
    address: str
    hostname: str
    build: str
    pid: int
    resources: _containers.RepeatedCompositeFieldContainer[Quantity]
    labels: _containers.RepeatedCompositeFieldContainer[NodeLabel]
    def __init__(self, ref: _Optional[_Union[NodeRef, _Mapping]] = ..., address: _Optional[str] = ..., hostname: _Optional[str] = ..., build: _Optional[str] = ..., pid: _Optional[int] = ..., resources: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., labels: _Optional[_Iterable[_Union[NodeLabel, _Mapping]]] = ...) -> None: ...

class DrainNode(_message.Message):
    __slots__ = ("ref", "reason")
    REF_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ref: NodeRef
    reason: str
    def __init__(self, ref: _Optional[_Union[NodeRef, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class MarkNodeDead(_message.Message):
    __slots__ = ("ref", "cause")
    REF_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ref: NodeRef
    cause: Cause
    def __init__(self, ref: _Optional[_Union[NodeRef, _Mapping]] = ..., cause: _Optional[_Union[Cause, _Mapping]] = ...) -> None: ...

class StartJob(_message.Message):
    __slots__ = ("job_id", "namespace", "program", "language", "pid", "node")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    job_id: bytes
    namespace: str
    program: str
    language: _task_pb2.Language
    pid: int
    node: NodeRef
    def __init__(self, job_id: _Optional[bytes] = ..., namespace: _Optional[str] = ..., program: _Optional[str] = ..., language: _Optional[_Union[_task_pb2.Language, str]] = ..., pid: _Optional[int] = ..., node: _Optional[_Union[NodeRef, _Mapping]] = ...) -> None: ...

class FinishJob(_message.Message):
    __slots__ = ("job_id", "status", "cause")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    job_id: bytes
    status: JobStatus
    cause: Cause
    def __init__(self, job_id: _Optional[bytes] = ..., status: _Optional[_Union[JobStatus, str]] = ..., cause: _Optional[_Union[Cause, _Mapping]] = ...) -> None: ...

class CreateActor(_message.Message):
    __slots__ = ("actor_id", "job_id", "name", "namespace", "detached", "max_restarts", "node", "spec", "get_if_exists")
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    MAX_RESTARTS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    GET_IF_EXISTS_FIELD_NUMBER: _ClassVar[int]
    actor_id: bytes
    job_id: bytes
    name: str
    namespace: str
    detached: bool
    max_restarts: int
    node: NodeRef
    spec: bytes
    get_if_exists: bool
    def __init__(self, actor_id: _Optional[bytes] = ..., job_id: _Optional[bytes] = ..., name: _Optional[str] = ..., namespace: _Optional[str] = ..., detached: _Optional[bool] = ..., max_restarts: _Optional[int] = ..., node: _Optional[_Union[NodeRef, _Mapping]] = ..., spec: _Optional[bytes] = ..., get_if_exists: _Optional[bool] = ..., **kwargs) -> None: ...

class MarkActorAlive(_message.Message):
    __slots__ = ("actor_id", "incarnation", "node", "worker_id", "pid")
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    actor_id: bytes
    incarnation: int
    node: NodeRef
    worker_id: bytes
    pid: int
    def __init__(self, actor_id: _Optional[bytes] = ..., incarnation: _Optional[int] = ..., node: _Optional[_Union[NodeRef, _Mapping]] = ..., worker_id: _Optional[bytes] = ..., pid: _Optional[int] = ...) -> None: ...

class MarkActorDead(_message.Message):
    __slots__ = ("actor_id", "incarnation", "cause", "no_restart")
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    NO_RESTART_FIELD_NUMBER: _ClassVar[int]
    actor_id: bytes
    incarnation: int
    cause: Cause
    no_restart: bool
    def __init__(self, actor_id: _Optional[bytes] = ..., incarnation: _Optional[int] = ..., cause: _Optional[_Union[Cause, _Mapping]] = ..., no_restart: _Optional[bool] = ...) -> None: ...

class EndActor(_message.Message):
    __slots__ = ("actor_id", "no_restart", "reason")
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    NO_RESTART_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    actor_id: bytes
    no_restart: bool
    reason: str
    def __init__(self, actor_id: _Optional[bytes] = ..., no_restart: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class PutFunctions(_message.Message):
    __slots__ = ("functions",)
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedCompositeFieldContainer[FunctionRecord]
    def __init__(self, functions: _Optional[_Iterable[_Union[FunctionRecord, _Mapping]]] = ...) -> None: ...

class PutKey(_message.Message):
    __slots__ = ("namespace", "key", "value", "condition", "version")
    class Condition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CONDITION_UNSPECIFIED: _ClassVar[PutKey.Condition]
        CONDITION_ABSENT: _ClassVar[PutKey.Condition]
        CONDITION_VERSION: _ClassVar[PutKey.Condition]
    CONDITION_UNSPECIFIED: PutKey.Condition
    CONDITION_ABSENT: PutKey.Condition
    CONDITION_VERSION: PutKey.Condition
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    key: str
    value: bytes
    condition: PutKey.Condition
    version: int
    def __init__(self, namespace: _Optional[str] = ..., key: _Optional[str] = ..., value: _Optional[bytes] = ..., condition: _Optional[_Union[PutKey.Condition, str]] = ..., version: _Optional[int] = ...) -> None: ...

class DeleteKey(_message.Message):
    __slots__ = ("namespace", "key", "version")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    key: str
    version: int
    def __init__(self, namespace: _Optional[str] = ..., key: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class PutLineage(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[LineageRecord]
    def __init__(self, records: _Optional[_Iterable[_Union[LineageRecord, _Mapping]]] = ...) -> None: ...

class DeleteLineage(_message.Message):
    __slots__ = ("task_ids",)
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    task_ids: bytes
    def __init__(self, task_ids: _Optional[bytes] = ...) -> None: ...

class AckEffects(_message.Message):
    __slots__ = ("node", "through")
    NODE_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    node: NodeRef
    through: int
    def __init__(self, node: _Optional[_Union[NodeRef, _Mapping]] = ..., through: _Optional[int] = ...) -> None: ...

class StateLimits(_message.Message):
    __slots__ = ("dead_nodes", "ended_jobs", "dead_actors", "clients", "results_per_client", "key_bytes", "lineage_bytes", "effects", "live_actors", "functions_per_job", "results")
    DEAD_NODES_FIELD_NUMBER: _ClassVar[int]
    ENDED_JOBS_FIELD_NUMBER: _ClassVar[int]
    DEAD_ACTORS_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_PER_CLIENT_FIELD_NUMBER: _ClassVar[int]
    KEY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    EFFECTS_FIELD_NUMBER: _ClassVar[int]
    LIVE_ACTORS_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_PER_JOB_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    dead_nodes: int
    ended_jobs: int
    dead_actors: int
    clients: int
    results_per_client: int
    key_bytes: int
    lineage_bytes: int
    effects: int
    live_actors: int
    functions_per_job: int
    results: int
    def __init__(self, dead_nodes: _Optional[int] = ..., ended_jobs: _Optional[int] = ..., dead_actors: _Optional[int] = ..., clients: _Optional[int] = ..., results_per_client: _Optional[int] = ..., key_bytes: _Optional[int] = ..., lineage_bytes: _Optional[int] = ..., effects: _Optional[int] = ..., live_actors: _Optional[int] = ..., functions_per_job: _Optional[int] = ..., results: _Optional[int] = ...) -> None: ...

class SetLimits(_message.Message):
    __slots__ = ("limits",)
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    limits: StateLimits
    def __init__(self, limits: _Optional[_Union[StateLimits, _Mapping]] = ...) -> None: ...

class CommandResult(_message.Message):
    __slots__ = ("code", "message", "revision", "epoch", "actor_id", "existed", "version", "incarnation")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    EXISTED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    code: ResultCode
    message: str
    revision: int
    epoch: int
    actor_id: bytes
    existed: bool
    version: int
    incarnation: int
    def __init__(self, code: _Optional[_Union[ResultCode, str]] = ..., message: _Optional[str] = ..., revision: _Optional[int] = ..., epoch: _Optional[int] = ..., actor_id: _Optional[bytes] = ..., existed: _Optional[bool] = ..., version: _Optional[int] = ..., incarnation: _Optional[int] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("client_id", "acked", "commands")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACKED_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    client_id: bytes
    acked: int
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    def __init__(self, client_id: _Optional[bytes] = ..., acked: _Optional[int] = ..., commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CommandResult]
    def __init__(self, results: _Optional[_Iterable[_Union[CommandResult, _Mapping]]] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("version", "time_unix_ns", "batches")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_unix_ns: int
    batches: _containers.RepeatedCompositeFieldContainer[Batch]
    def __init__(self, version: _Optional[int] = ..., time_unix_ns: _Optional[int] = ..., batches: _Optional[_Iterable[_Union[Batch, _Mapping]]] = ...) -> None: ...

class Effect(_message.Message):
    __slots__ = ("id", "node", "drain", "end_actor", "end_job")
    ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    END_ACTOR_FIELD_NUMBER: _ClassVar[int]
    END_JOB_FIELD_NUMBER: _ClassVar[int]
    id: int
    node: NodeRef
    drain: DrainEffect
    end_actor: EndActorEffect
    end_job: EndJobEffect
    def __init__(self, id: _Optional[int] = ..., node: _Optional[_Union[NodeRef, _Mapping]] = ..., drain: _Optional[_Union[DrainEffect, _Mapping]] = ..., end_actor: _Optional[_Union[EndActorEffect, _Mapping]] = ..., end_job: _Optional[_Union[EndJobEffect, _Mapping]] = ...) -> None: ...

class DrainEffect(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class EndActorEffect(_message.Message):
    __slots__ = ("actor_id", "incarnation", "reason")
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    actor_id: bytes
    incarnation: int
    reason: str
    def __init__(self, actor_id: _Optional[bytes] = ..., incarnation: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class EndJobEffect(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: bytes
    def __init__(self, job_id: _Optional[bytes] = ...) -> None: ...

class ClientRecord(_message.Message):
    __slots__ = ("client_id", "floor", "last_batch", "results")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    LAST_BATCH_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    client_id: bytes
    floor: int
    last_batch: int
    results: int
    def __init__(self, client_id: _Optional[bytes] = ..., floor: _Optional[int] = ..., last_batch: _Optional[int] = ..., results: _Optional[int] = ...) -> None: ...

class ResultRecord(_message.Message):
    __slots__ = ("client_id", "sequence", "result")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    client_id: bytes
    sequence: int
    result: CommandResult
    def __init__(self, client_id: _Optional[bytes] = ..., sequence: _Optional[int] = ..., result: _Optional[_Union[CommandResult, _Mapping]] = ...) -> None: ...

class StateHeader(_message.Message):
    __slots__ = ("shard", "slots", "revision", "last_effect", "batches", "limits", "sweeping_jobs")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LAST_EFFECT_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SWEEPING_JOBS_FIELD_NUMBER: _ClassVar[int]
    shard: int
    slots: bytes
    revision: int
    last_effect: int
    batches: int
    limits: StateLimits
    sweeping_jobs: bytes
    def __init__(self, shard: _Optional[int] = ..., slots: _Optional[bytes] = ..., revision: _Optional[int] = ..., last_effect: _Optional[int] = ..., batches: _Optional[int] = ..., limits: _Optional[_Union[StateLimits, _Mapping]] = ..., sweeping_jobs: _Optional[bytes] = ...) -> None: ...

class SnapshotRecord(_message.Message):
    __slots__ = ("header", "record", "client", "result", "effect", "trailer")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    TRAILER_FIELD_NUMBER: _ClassVar[int]
    header: StateHeader
    record: Record
    client: ClientRecord
    result: ResultRecord
    effect: Effect
    trailer: SnapshotTrailer
    def __init__(self, header: _Optional[_Union[StateHeader, _Mapping]] = ..., record: _Optional[_Union[Record, _Mapping]] = ..., client: _Optional[_Union[ClientRecord, _Mapping]] = ..., result: _Optional[_Union[ResultRecord, _Mapping]] = ..., effect: _Optional[_Union[Effect, _Mapping]] = ..., trailer: _Optional[_Union[SnapshotTrailer, _Mapping]] = ...) -> None: ...

class SnapshotTrailer(_message.Message):
    __slots__ = ("frames", "hash")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    frames: int
    hash: bytes
    def __init__(self, frames: _Optional[int] = ..., hash: _Optional[bytes] = ...) -> None: ...

class ApplyCommandsRequest(_message.Message):
    __slots__ = ("batch",)
    BATCH_FIELD_NUMBER: _ClassVar[int]
    batch: Batch
    def __init__(self, batch: _Optional[_Union[Batch, _Mapping]] = ...) -> None: ...

class ApplyCommandsResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: BatchResult
    def __init__(self, result: _Optional[_Union[BatchResult, _Mapping]] = ...) -> None: ...

class GetRecordsRequest(_message.Message):
    __slots__ = ("consistency", "keys")
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    consistency: Consistency
    keys: _containers.RepeatedCompositeFieldContainer[RecordKey]
    def __init__(self, consistency: _Optional[_Union[Consistency, str]] = ..., keys: _Optional[_Iterable[_Union[RecordKey, _Mapping]]] = ...) -> None: ...

class GetRecordsResponse(_message.Message):
    __slots__ = ("records", "revision")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    revision: int
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class ListRecordsRequest(_message.Message):
    __slots__ = ("consistency", "prefix", "page_size", "page_token", "live_only", "job_id", "keys_only")
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LIVE_ONLY_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_ONLY_FIELD_NUMBER: _ClassVar[int]
    consistency: Consistency
    prefix: RecordKey
    page_size: int
    page_token: bytes
    live_only: bool
    job_id: bytes
    keys_only: bool
    def __init__(self, consistency: _Optional[_Union[Consistency, str]] = ..., prefix: _Optional[_Union[RecordKey, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[bytes] = ..., live_only: _Optional[bool] = ..., job_id: _Optional[bytes] = ..., keys_only: _Optional[bool] = ...) -> None: ...

class ListRecordsResponse(_message.Message):
    __slots__ = ("records", "next_page_token", "revision")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    next_page_token: bytes
    revision: int
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ..., next_page_token: _Optional[bytes] = ..., revision: _Optional[int] = ...) -> None: ...

class WatchRecordsRequest(_message.Message):
    __slots__ = ("prefix", "after_revision", "include_existing")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_EXISTING_FIELD_NUMBER: _ClassVar[int]
    prefix: RecordKey
    after_revision: int
    include_existing: bool
    def __init__(self, prefix: _Optional[_Union[RecordKey, _Mapping]] = ..., after_revision: _Optional[int] = ..., include_existing: _Optional[bool] = ...) -> None: ...

class WatchRecordsResponse(_message.Message):
    __slots__ = ("events", "revision", "synced", "cut")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[RecordEvent]
    revision: int
    synced: bool
    cut: bool
    def __init__(self, events: _Optional[_Iterable[_Union[RecordEvent, _Mapping]]] = ..., revision: _Optional[int] = ..., synced: _Optional[bool] = ..., cut: _Optional[bool] = ...) -> None: ...

class RecordEvent(_message.Message):
    __slots__ = ("type", "key", "record", "revision")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    type: EventType
    key: RecordKey
    record: Record
    revision: int
    def __init__(self, type: _Optional[_Union[EventType, str]] = ..., key: _Optional[_Union[RecordKey, _Mapping]] = ..., record: _Optional[_Union[Record, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class WatchEffectsRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: NodeRef
    def __init__(self, node: _Optional[_Union[NodeRef, _Mapping]] = ...) -> None: ...

class WatchEffectsResponse(_message.Message):
    __slots__ = ("effects",)
    EFFECTS_FIELD_NUMBER: _ClassVar[int]
    effects: _containers.RepeatedCompositeFieldContainer[Effect]
    def __init__(self, effects: _Optional[_Iterable[_Union[Effect, _Mapping]]] = ...) -> None: ...

class GetShardRequest(_message.Message):
    __slots__ = ("with_hash",)
    WITH_HASH_FIELD_NUMBER: _ClassVar[int]
    with_hash: bool
    def __init__(self, with_hash: _Optional[bool] = ...) -> None: ...

class GetShardResponse(_message.Message):
    __slots__ = ("shard", "slots", "revision", "applied_index", "term", "leader", "hash", "limits", "records")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    shard: int
    slots: bytes
    revision: int
    applied_index: int
    term: int
    leader: bool
    hash: bytes
    limits: StateLimits
    records: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, shard: _Optional[int] = ..., slots: _Optional[bytes] = ..., revision: _Optional[int] = ..., applied_index: _Optional[int] = ..., term: _Optional[int] = ..., leader: _Optional[bool] = ..., hash: _Optional[bytes] = ..., limits: _Optional[_Union[StateLimits, _Mapping]] = ..., records: _Optional[_Iterable[int]] = ...) -> None: ...
