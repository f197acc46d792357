from mobula._gen import task_pb2 as _task_pb2
from mobula._gen import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FrameKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FRAME_KIND_UNSPECIFIED: _ClassVar[FrameKind]
    FRAME_KIND_HELLO: _ClassVar[FrameKind]
    FRAME_KIND_WELCOME: _ClassVar[FrameKind]
    FRAME_KIND_REFUSED: _ClassVar[FrameKind]
    FRAME_KIND_GOODBYE: _ClassVar[FrameKind]
    FRAME_KIND_TEMPLATE: _ClassVar[FrameKind]
    FRAME_KIND_CALL_SITE: _ClassVar[FrameKind]
    FRAME_KIND_SUBMIT: _ClassVar[FrameKind]
    FRAME_KIND_PUT: _ClassVar[FrameKind]
    FRAME_KIND_HOLD: _ClassVar[FrameKind]
    FRAME_KIND_RELEASE: _ClassVar[FrameKind]
    FRAME_KIND_GET: _ClassVar[FrameKind]
    FRAME_KIND_CANCEL: _ClassVar[FrameKind]
    FRAME_KIND_KILL_ACTOR: _ClassVar[FrameKind]
    FRAME_KIND_CREDIT: _ClassVar[FrameKind]
    FRAME_KIND_RESULT: _ClassVar[FrameKind]
    FRAME_KIND_QUERY: _ClassVar[FrameKind]
    FRAME_KIND_REPLY: _ClassVar[FrameKind]
    FRAME_KIND_NOTICE: _ClassVar[FrameKind]
    FRAME_KIND_CONSUMED: _ClassVar[FrameKind]
    FRAME_KIND_SEGMENT: _ClassVar[FrameKind]
    FRAME_KIND_GRANT_REQUEST: _ClassVar[FrameKind]
    FRAME_KIND_GRANT: _ClassVar[FrameKind]
    FRAME_KIND_FREED: _ClassVar[FrameKind]
    FRAME_KIND_UNPIN: _ClassVar[FrameKind]
    FRAME_KIND_SEGMENT_GONE: _ClassVar[FrameKind]
    FRAME_KIND_COLLECT: _ClassVar[FrameKind]
    FRAME_KIND_EXECUTE: _ClassVar[FrameKind]
    FRAME_KIND_DONE: _ClassVar[FrameKind]
    FRAME_KIND_BLOCKED: _ClassVar[FrameKind]
    FRAME_KIND_UNBLOCKED: _ClassVar[FrameKind]
    FRAME_KIND_REVOKE: _ClassVar[FrameKind]
    FRAME_KIND_REVOKED: _ClassVar[FrameKind]
    FRAME_KIND_CANCEL_TASK: _ClassVar[FrameKind]
    FRAME_KIND_EXIT: _ClassVar[FrameKind]
    FRAME_KIND_ACTOR_GONE: _ClassVar[FrameKind]
    FRAME_KIND_YIELD: _ClassVar[FrameKind]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_DRIVER: _ClassVar[Role]
    ROLE_WORKER: _ClassVar[Role]

class PlacementGroupStrategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLACEMENT_GROUP_STRATEGY_UNSPECIFIED: _ClassVar[PlacementGroupStrategy]
    PLACEMENT_GROUP_STRATEGY_PACK: _ClassVar[PlacementGroupStrategy]
    PLACEMENT_GROUP_STRATEGY_SPREAD: _ClassVar[PlacementGroupStrategy]
    PLACEMENT_GROUP_STRATEGY_STRICT_PACK: _ClassVar[PlacementGroupStrategy]
    PLACEMENT_GROUP_STRATEGY_STRICT_SPREAD: _ClassVar[PlacementGroupStrategy]
FRAME_KIND_UNSPECIFIED: FrameKind
FRAME_KIND_HELLO: FrameKind
FRAME_KIND_WELCOME: FrameKind
FRAME_KIND_REFUSED: FrameKind
FRAME_KIND_GOODBYE: FrameKind
FRAME_KIND_TEMPLATE: FrameKind
FRAME_KIND_CALL_SITE: FrameKind
FRAME_KIND_SUBMIT: FrameKind
FRAME_KIND_PUT: FrameKind
FRAME_KIND_HOLD: FrameKind
FRAME_KIND_RELEASE: FrameKind
FRAME_KIND_GET: FrameKind
FRAME_KIND_CANCEL: FrameKind
FRAME_KIND_KILL_ACTOR: FrameKind
FRAME_KIND_CREDIT: FrameKind
FRAME_KIND_RESULT: FrameKind
FRAME_KIND_QUERY: FrameKind
FRAME_KIND_REPLY: FrameKind
FRAME_KIND_NOTICE: FrameKind
FRAME_KIND_CONSUMED: FrameKind
FRAME_KIND_SEGMENT: FrameKind
FRAME_KIND_GRANT_REQUEST: FrameKind
FRAME_KIND_GRANT: FrameKind
FRAME_KIND_FREED: FrameKind
FRAME_KIND_UNPIN: FrameKind
FRAME_KIND_SEGMENT_GONE: FrameKind
FRAME_KIND_COLLECT: FrameKind
FRAME_KIND_EXECUTE: FrameKind
FRAME_KIND_DONE: FrameKind
FRAME_KIND_BLOCKED: FrameKind
FRAME_KIND_UNBLOCKED: FrameKind
FRAME_KIND_REVOKE: FrameKind
FRAME_KIND_REVOKED: FrameKind
FRAME_KIND_CANCEL_TASK: FrameKind
FRAME_KIND_EXIT: FrameKind
FRAME_KIND_ACTOR_GONE: FrameKind
FRAME_KIND_YIELD: FrameKind
ROLE_UNSPECIFIED: Role
ROLE_DRIVER: Role
ROLE_WORKER: Role
PLACEMENT_GROUP_STRATEGY_UNSPECIFIED: PlacementGroupStrategy
PLACEMENT_GROUP_STRATEGY_PACK: PlacementGroupStrategy
PLACEMENT_GROUP_STRATEGY_SPREAD: PlacementGroupStrategy
PLACEMENT_GROUP_STRATEGY_STRICT_PACK: PlacementGroupStrategy
PLACEMENT_GROUP_STRATEGY_STRICT_SPREAD: PlacementGroupStrategy

class FunctionInfo(_message.Message):
    __slots__ = ("name", "fingerprint")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    fingerprint: int
    def __init__(self, name: _Optional[str] = ..., fingerprint: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_version", "build", "role", "secret", "pid", "language", "language_version", "program", "namespace", "functions", "result_credit_bytes", "has_executable", "worker_args", "working_dir", "worker_env", "worker_id", "owns_node", "wants_logs")
    class WorkerEnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    RESULT_CREDIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    HAS_EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
    WORKER_ARGS_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    WORKER_ENV_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    OWNS_NODE_FIELD_NUMBER: _ClassVar[int]
    WANTS_LOGS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    build: str
    role: Role
    secret: bytes
    pid: int
    language: _task_pb2.Language
    language_version: str
    program: str
    namespace: str
    functions: _containers.RepeatedCompositeFieldContainer[FunctionInfo]
    result_credit_bytes: int
    has_executable: bool
    worker_args: _containers.RepeatedScalarFieldContainer[str]
    working_dir: str
    worker_env: _containers.ScalarMap[str, str]
    worker_id: bytes
    owns_node: bool
    wants_logs: bool
    def __init__(self, protocol_version: _Optional[int] = ..., build: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., secret: _Optional[bytes] = ..., pid: _Optional[int] = ..., language: _Optional[_Union[_task_pb2.Language, str]] = ..., language_version: _Optional[str] = ..., program: _Optional[str] = ..., namespace: _Optional[str] = ..., functions: _Optional[_Iterable[_Union[FunctionInfo, _Mapping]]] = ..., result_credit_bytes: _Optional[int] = ..., has_executable: _Optional[bool] = ..., worker_args: _Optional[_Iterable[str]] = ..., working_dir: _Optional[str] = ..., worker_env: _Optional[_Mapping[str, str]] = ..., worker_id: _Optional[bytes] = ..., owns_node: _Optional[bool] = ..., wants_logs: _Optional[bool] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("frame_bytes", "inline_bytes", "name_bytes", "args", "returns", "refs_per_value", "job_bytes", "job_tasks", "store_bytes")
    FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    INLINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    NAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    RETURNS_FIELD_NUMBER: _ClassVar[int]
    REFS_PER_VALUE_FIELD_NUMBER: _ClassVar[int]
    JOB_BYTES_FIELD_NUMBER: _ClassVar[int]
    JOB_TASKS_FIELD_NUMBER: _ClassVar[int]
    STORE_BYTES_FIELD_NUMBER: _ClassVar[int]
    frame_bytes: int
    inline_bytes: int
    name_bytes: int
    args: int
    returns: int
    refs_per_value: int
    job_bytes: int
    job_tasks: int
    store_bytes: int
    def __init__(self, frame_bytes: _Optional[int] = ..., inline_bytes: _Optional[int] = ..., name_bytes: _Optional[int] = ..., args: _Optional[int] = ..., returns: _Optional[int] = ..., refs_per_value: _Optional[int] = ..., job_bytes: _Optional[int] = ..., job_tasks: _Optional[int] = ..., store_bytes: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("node_id", "session_id", "job_id", "id_root", "build", "limits", "credit_bytes", "credit_count", "namespace", "address", "node_pid")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ID_ROOT_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CREDIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CREDIT_COUNT_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NODE_PID_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    session_id: int
    job_id: bytes
    id_root: bytes
    build: str
    limits: Limits
    credit_bytes: int
    credit_count: int
    namespace: str
    address: str
    node_pid: int
    def __init__(self, node_id: _Optional[bytes] = ..., session_id: _Optional[int] = ..., job_id: _Optional[bytes] = ..., id_root: _Optional[bytes] = ..., build: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., credit_bytes: _Optional[int] = ..., credit_count: _Optional[int] = ..., namespace: _Optional[str] = ..., address: _Optional[str] = ..., node_pid: _Optional[int] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: _value_pb2.ErrorValue
    def __init__(self, error: _Optional[_Union[_value_pb2.ErrorValue, _Mapping]] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class CallSite(_message.Message):
    __slots__ = ("id", "location")
    ID_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    id: int
    location: str
    def __init__(self, id: _Optional[int] = ..., location: _Optional[str] = ...) -> None: ...

class Submit(_message.Message):
    __slots__ = ("sequence", "task_id", "template", "args", "ref_args", "actor_id", "timeout_ns", "traceparent", "tracestate", "call_site", "parent", "keywords")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    REF_ARGS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TRACESTATE_FIELD_NUMBER: _ClassVar[int]
    CALL_SITE_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    task_id: bytes
    template: int
    args: bytes
    ref_args: _containers.RepeatedCompositeFieldContainer[_task_pb2.RefArg]
    actor_id: bytes
    timeout_ns: int
    traceparent: str
    tracestate: str
    call_site: int
    parent: int
    keywords: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sequence: _Optional[int] = ..., task_id: _Optional[bytes] = ..., template: _Optional[int] = ..., args: _Optional[bytes] = ..., ref_args: _Optional[_Iterable[_Union[_task_pb2.RefArg, _Mapping]]] = ..., actor_id: _Optional[bytes] = ..., timeout_ns: _Optional[int] = ..., traceparent: _Optional[str] = ..., tracestate: _Optional[str] = ..., call_site: _Optional[int] = ..., parent: _Optional[int] = ..., keywords: _Optional[_Iterable[str]] = ...) -> None: ...

class Put(_message.Message):
    __slots__ = ("object_id", "value", "call_site")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CALL_SITE_FIELD_NUMBER: _ClassVar[int]
    object_id: bytes
    value: bytes
    call_site: int
    def __init__(self, object_id: _Optional[bytes] = ..., value: _Optional[bytes] = ..., call_site: _Optional[int] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("object_ids",)
    OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    object_ids: bytes
    def __init__(self, object_ids: _Optional[bytes] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("object_ids",)
    OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    object_ids: bytes
    def __init__(self, object_ids: _Optional[bytes] = ...) -> None: ...

class Get(_message.Message):
    __slots__ = ("object_ids", "ready_only")
    OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    READY_ONLY_FIELD_NUMBER: _ClassVar[int]
    object_ids: bytes
    ready_only: bool
    def __init__(self, object_ids: _Optional[bytes] = ..., ready_only: _Optional[bool] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("object_id", "force", "recursive")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    object_id: bytes
    force: bool
    recursive: bool
    def __init__(self, object_id: _Optional[bytes] = ..., force: _Optional[bool] = ..., recursive: _Optional[bool] = ...) -> None: ...

class KillActor(_message.Message):
    __slots__ = ("actor_id", "no_restart")
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    NO_RESTART_FIELD_NUMBER: _ClassVar[int]
    actor_id: bytes
    no_restart: bool
    def __init__(self, actor_id: _Optional[bytes] = ..., no_restart: _Optional[bool] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("acked", "bytes", "count")
    ACKED_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    acked: int
    bytes: int
    count: int
    def __init__(self, acked: _Optional[int] = ..., bytes: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("sequence", "index", "object_id", "value", "size")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    index: int
    object_id: bytes
    value: bytes
    size: int
    def __init__(self, sequence: _Optional[int] = ..., index: _Optional[int] = ..., object_id: _Optional[bytes] = ..., value: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("kind", "pid", "source", "lines")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Notice.Kind]
        KIND_STDOUT: _ClassVar[Notice.Kind]
        KIND_STDERR: _ClassVar[Notice.Kind]
        KIND_WARNING: _ClassVar[Notice.Kind]
    KIND_UNSPECIFIED: Notice.Kind
    KIND_STDOUT: Notice.Kind
    KIND_STDERR: Notice.Kind
    KIND_WARNING: Notice.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    kind: Notice.Kind
    pid: int
    source: str
    lines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[_Union[Notice.Kind, str]] = ..., pid: _Optional[int] = ..., source: _Optional[str] = ..., lines: _Optional[_Iterable[str]] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("id", "get_actor", "key_value", "resources", "explain", "state", "create_placement_group", "remove_placement_group", "list_placement_groups", "list_named_actors")
    ID_FIELD_NUMBER: _ClassVar[int]
    GET_ACTOR_FIELD_NUMBER: _ClassVar[int]
    KEY_VALUE_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_PLACEMENT_GROUP_FIELD_NUMBER: _ClassVar[int]
    REMOVE_PLACEMENT_GROUP_FIELD_NUMBER: _ClassVar[int]
    LIST_PLACEMENT_GROUPS_FIELD_NUMBER: _ClassVar[int]
    LIST_NAMED_ACTORS_FIELD_NUMBER: _ClassVar[int]
    id: int
    get_actor: GetActor
    key_value: KeyValue
    resources: ResourcesQuery
    explain: ExplainTask
    state: StateCall
    create_placement_group: CreatePlacementGroup
    remove_placement_group: RemovePlacementGroup
    list_placement_groups: ListPlacementGroups
    list_named_actors: ListNamedActors
    def __init__(self, id: _Optional[int] = ..., get_actor: _Optional[_Union[GetActor, _Mapping]] = ..., key_value: _Optional[_Union[KeyValue, _Mapping]] = ..., resources: _Optional[_Union[ResourcesQuery, _Mapping]] = ..., explain: _Optional[_Union[ExplainTask, _Mapping]] = ..., state: _Optional[_Union[StateCall, _Mapping]] = ..., create_placement_group: _Optional[_Union[CreatePlacementGroup, _Mapping]] = ..., remove_placement_group: _Optional[_Union[RemovePlacementGroup, _Mapping]] = ..., list_placement_groups: _Optional[_Union[ListPlacementGroups, _Mapping]] = ..., list_named_actors: _Optional[_Union[ListNamedActors, _Mapping]] = ...) -> None: ...

class StateCall(_message.Message):
    __slots__ = ("method", "request")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    method: str
    request: bytes
    def __init__(self, method: _Optional[str] = ..., request: _Optional[bytes] = ...) -> None: ...

class CreatePlacementGroup(_message.Message):
    __slots__ = ("placement_group_id", "bundles", "strategy", "name", "detached")
    PLACEMENT_GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    placement_group_id: bytes
    bundles: _containers.RepeatedCompositeFieldContainer[Bundle]
    strategy: PlacementGroupStrategy
    name: str
    detached: bool
    def __init__(self, placement_group_id: _Optional[bytes] = ..., bundles: _Optional[_Iterable[_Union[Bundle, _Mapping]]] = ..., strategy: _Optional[_Union[PlacementGroupStrategy, str]] = ..., name: _Optional[str] = ..., detached: _Optional[bool] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("resources",)
    class ResourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    resources: _containers.ScalarMap[str, int]
    def __init__(self, resources: _Optional[_Mapping[str, int]] = ...) -> None: ...

class RemovePlacementGroup(_message.Message):
    __slots__ = ("placement_group_id",)
    PLACEMENT_GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    placement_group_id: bytes
    def __init__(self, placement_group_id: _Optional[bytes] = ...) -> None: ...

class ListPlacementGroups(_message.Message):
    __slots__ = ("placement_group_id", "name")
    PLACEMENT_GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    placement_group_id: bytes
    name: str
    def __init__(self, placement_group_id: _Optional[bytes] = ..., name: _Optional[str] = ...) -> None: ...

class PlacementGroupInfo(_message.Message):
    __slots__ = ("placement_group_id", "name", "strategy", "state", "bundles", "bundle_nodes", "reason")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[PlacementGroupInfo.State]
        STATE_PENDING: _ClassVar[PlacementGroupInfo.State]
        STATE_CREATED: _ClassVar[PlacementGroupInfo.State]
        STATE_REMOVED: _ClassVar[PlacementGroupInfo.State]
    STATE_UNSPECIFIED: PlacementGroupInfo.State
    STATE_PENDING: PlacementGroupInfo.State
    STATE_CREATED: PlacementGroupInfo.State
    STATE_REMOVED: PlacementGroupInfo.State
    PLACEMENT_GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_NODES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    placement_group_id: bytes
    name: str
    strategy: PlacementGroupStrategy
    state: PlacementGroupInfo.State
    bundles: _containers.RepeatedCompositeFieldContainer[Bundle]
    bundle_nodes: _containers.RepeatedScalarFieldContainer[bytes]
    reason: str
    def __init__(self, placement_group_id: _Optional[bytes] = ..., name: _Optional[str] = ..., strategy: _Optional[_Union[PlacementGroupStrategy, str]] = ..., state: _Optional[_Union[PlacementGroupInfo.State, str]] = ..., bundles: _Optional[_Iterable[_Union[Bundle, _Mapping]]] = ..., bundle_nodes: _Optional[_Iterable[bytes]] = ..., reason: _Optional[str] = ...) -> None: ...

class ListNamedActors(_message.Message):
    __slots__ = ("all_namespaces",)
    ALL_NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    all_namespaces: bool
    def __init__(self, all_namespaces: _Optional[bool] = ...) -> None: ...

class NamedActor(_message.Message):
    __slots__ = ("name", "namespace")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    namespace: str
    def __init__(self, name: _Optional[str] = ..., namespace: _Optional[str] = ...) -> None: ...

class GetActor(_message.Message):
    __slots__ = ("name", "namespace")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    namespace: str
    def __init__(self, name: _Optional[str] = ..., namespace: _Optional[str] = ...) -> None: ...

class KeyValue(_message.Message):
    __slots__ = ("op", "namespace", "key", "value", "version")
    class Op(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OP_UNSPECIFIED: _ClassVar[KeyValue.Op]
        OP_GET: _ClassVar[KeyValue.Op]
        OP_PUT: _ClassVar[KeyValue.Op]
        OP_PUT_IF_ABSENT: _ClassVar[KeyValue.Op]
        OP_COMPARE_AND_SET: _ClassVar[KeyValue.Op]
        OP_DELETE: _ClassVar[KeyValue.Op]
        OP_LIST: _ClassVar[KeyValue.Op]
    OP_UNSPECIFIED: KeyValue.Op
    OP_GET: KeyValue.Op
    OP_PUT: KeyValue.Op
    OP_PUT_IF_ABSENT: KeyValue.Op
    OP_COMPARE_AND_SET: KeyValue.Op
    OP_DELETE: KeyValue.Op
    OP_LIST: KeyValue.Op
    OP_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    op: KeyValue.Op
    namespace: str
    key: str
    value: bytes
    version: int
    def __init__(self, op: _Optional[_Union[KeyValue.Op, str]] = ..., namespace: _Optional[str] = ..., key: _Optional[str] = ..., value: _Optional[bytes] = ..., version: _Optional[int] = ...) -> None: ...

class ResourcesQuery(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExplainTask(_message.Message):
    __slots__ = ("object_id",)
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    object_id: bytes
    def __init__(self, object_id: _Optional[bytes] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("id", "error", "actor", "entries", "total", "available", "text", "state", "placement_groups", "named_actors")
    class TotalEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class AvailableEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_GROUPS_FIELD_NUMBER: _ClassVar[int]
    NAMED_ACTORS_FIELD_NUMBER: _ClassVar[int]
    id: int
    error: _value_pb2.ErrorValue
    actor: ActorFound
    entries: _containers.RepeatedCompositeFieldContainer[KeyValueEntry]
    total: _containers.ScalarMap[str, int]
    available: _containers.ScalarMap[str, int]
    text: str
    state: bytes
    placement_groups: _containers.RepeatedCompositeFieldContainer[PlacementGroupInfo]
    named_actors: _containers.RepeatedCompositeFieldContainer[NamedActor]
    def __init__(self, id: _Optional[int] = ..., error: _Optional[_Union[_value_pb2.ErrorValue, _Mapping]] = ..., actor: _Optional[_Union[ActorFound, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[KeyValueEntry, _Mapping]]] = ..., total: _Optional[_Mapping[str, int]] = ..., available: _Optional[_Mapping[str, int]] = ..., text: _Optional[str] = ..., state: _Optional[bytes] = ..., placement_groups: _Optional[_Iterable[_Union[PlacementGroupInfo, _Mapping]]] = ..., named_actors: _Optional[_Iterable[_Union[NamedActor, _Mapping]]] = ...) -> None: ...

class ActorFound(_message.Message):
    __slots__ = ("actor_id", "template")
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    actor_id: bytes
    template: _task_pb2.Template
    def __init__(self, actor_id: _Optional[bytes] = ..., template: _Optional[_Union[_task_pb2.Template, _Mapping]] = ..., **kwargs) -> None: ...

class KeyValueEntry(_message.Message):
    __slots__ = ("key", "value", "version")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: bytes
    version: int
    def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ..., version: _Optional[int] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("segment", "size")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    segment: int
    size: int
    def __init__(self, segment: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class GrantRequest(_message.Message):
    __slots__ = ("id", "bytes", "call_site", "timeout_ns", "withdraw")
    ID_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    CALL_SITE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NS_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    id: int
    bytes: int
    call_site: int
    timeout_ns: int
    withdraw: bool
    def __init__(self, id: _Optional[int] = ..., bytes: _Optional[int] = ..., call_site: _Optional[int] = ..., timeout_ns: _Optional[int] = ..., withdraw: _Optional[bool] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("id", "bytes", "segment", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    bytes: int
    segment: int
    error: _value_pb2.ErrorValue
    def __init__(self, id: _Optional[int] = ..., bytes: _Optional[int] = ..., segment: _Optional[int] = ..., error: _Optional[_Union[_value_pb2.ErrorValue, _Mapping]] = ...) -> None: ...

class Freed(_message.Message):
    __slots__ = ("blocks", "give_back")
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    GIVE_BACK_FIELD_NUMBER: _ClassVar[int]
    blocks: _containers.RepeatedCompositeFieldContainer[_value_pb2.Block]
    give_back: bool
    def __init__(self, blocks: _Optional[_Iterable[_Union[_value_pb2.Block, _Mapping]]] = ..., give_back: _Optional[bool] = ...) -> None: ...

class Unpin(_message.Message):
    __slots__ = ("object_ids",)
    OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    object_ids: bytes
    def __init__(self, object_ids: _Optional[bytes] = ...) -> None: ...

class SegmentGone(_message.Message):
    __slots__ = ("segment",)
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    segment: int
    def __init__(self, segment: _Optional[int] = ...) -> None: ...

class Collect(_message.Message):
    __slots__ = ("held_bytes",)
    HELD_BYTES_FIELD_NUMBER: _ClassVar[int]
    held_bytes: int
    def __init__(self, held_bytes: _Optional[int] = ...) -> None: ...

class Execute(_message.Message):
    __slots__ = ("handle", "lane", "template", "task_id", "attempt", "args", "resolved", "actor_id", "incarnation", "timeout_ns", "traceparent", "tracestate", "resources", "gpus", "keywords", "may_run_again", "queued_ns")
    class ResourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TRACESTATE_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    MAY_RUN_AGAIN_FIELD_NUMBER: _ClassVar[int]
    QUEUED_NS_FIELD_NUMBER: _ClassVar[int]
    handle: int
    lane: int
    template: int
    task_id: bytes
    attempt: int
    args: bytes
    resolved: _containers.RepeatedCompositeFieldContainer[_task_pb2.ResolvedArg]
    actor_id: bytes
    incarnation: int
    timeout_ns: int
    traceparent: str
    tracestate: str
    resources: _containers.ScalarMap[str, int]
    gpus: _containers.RepeatedScalarFieldContainer[int]
    keywords: _containers.RepeatedScalarFieldContainer[str]
    may_run_again: bool
    queued_ns: int
    def __init__(self, handle: _Optional[int] = ..., lane: _Optional[int] = ..., template: _Optional[int] = ..., task_id: _Optional[bytes] = ..., attempt: _Optional[int] = ..., args: _Optional[bytes] = ..., resolved: _Optional[_Iterable[_Union[_task_pb2.ResolvedArg, _Mapping]]] = ..., actor_id: _Optional[bytes] = ..., incarnation: _Optional[int] = ..., timeout_ns: _Optional[int] = ..., traceparent: _Optional[str] = ..., tracestate: _Optional[str] = ..., resources: _Optional[_Mapping[str, int]] = ..., gpus: _Optional[_Iterable[int]] = ..., keywords: _Optional[_Iterable[str]] = ..., may_run_again: _Optional[bool] = ..., queued_ns: _Optional[int] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("handle", "results", "failed", "run_ns", "exit_actor", "error_names", "exit_worker")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    RUN_NS_FIELD_NUMBER: _ClassVar[int]
    EXIT_ACTOR_FIELD_NUMBER: _ClassVar[int]
    ERROR_NAMES_FIELD_NUMBER: _ClassVar[int]
    EXIT_WORKER_FIELD_NUMBER: _ClassVar[int]
    handle: int
    results: _containers.RepeatedScalarFieldContainer[bytes]
    failed: bool
    run_ns: int
    exit_actor: bool
    error_names: _containers.RepeatedScalarFieldContainer[str]
    exit_worker: bool
    def __init__(self, handle: _Optional[int] = ..., results: _Optional[_Iterable[bytes]] = ..., failed: _Optional[bool] = ..., run_ns: _Optional[int] = ..., exit_actor: _Optional[bool] = ..., error_names: _Optional[_Iterable[str]] = ..., exit_worker: _Optional[bool] = ...) -> None: ...

class Yield(_message.Message):
    __slots__ = ("handle", "index", "value")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    handle: int
    index: int
    value: bytes
    def __init__(self, handle: _Optional[int] = ..., index: _Optional[int] = ..., value: _Optional[bytes] = ...) -> None: ...

class Consumed(_message.Message):
    __slots__ = ("object_id", "items", "handle")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    object_id: bytes
    items: int
    handle: int
    def __init__(self, object_id: _Optional[bytes] = ..., items: _Optional[int] = ..., handle: _Optional[int] = ...) -> None: ...

class Blocked(_message.Message):
    __slots__ = ("handle", "returned")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    handle: int
    returned: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, handle: _Optional[int] = ..., returned: _Optional[_Iterable[int]] = ...) -> None: ...

class Unblocked(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: int
    def __init__(self, handle: _Optional[int] = ...) -> None: ...

class Revoke(_message.Message):
    __slots__ = ("lane",)
    LANE_FIELD_NUMBER: _ClassVar[int]
    lane: int
    def __init__(self, lane: _Optional[int] = ...) -> None: ...

class Revoked(_message.Message):
    __slots__ = ("lane", "returned")
    LANE_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    lane: int
    returned: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, lane: _Optional[int] = ..., returned: _Optional[_Iterable[int]] = ...) -> None: ...

class CancelTask(_message.Message):
    __slots__ = ("handle", "reason")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    handle: int
    reason: str
    def __init__(self, handle: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ActorGone(_message.Message):
    __slots__ = ("actor_id",)
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    actor_id: bytes
    def __init__(self, actor_id: _Optional[bytes] = ...) -> None: ...

class Exit(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...
