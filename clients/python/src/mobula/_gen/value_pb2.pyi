from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ValueFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALUE_FORMAT_UNSPECIFIED: _ClassVar[ValueFormat]
    VALUE_FORMAT_MSGPACK: _ClassVar[ValueFormat]
    VALUE_FORMAT_PICKLE5: _ClassVar[ValueFormat]
    VALUE_FORMAT_ERROR: _ClassVar[ValueFormat]

class ErrorKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_KIND_UNSPECIFIED: _ClassVar[ErrorKind]
    ERROR_KIND_TASK_FAILED: _ClassVar[ErrorKind]
    ERROR_KIND_WORKER_CRASHED: _ClassVar[ErrorKind]
    ERROR_KIND_ACTOR_DIED: _ClassVar[ErrorKind]
    ERROR_KIND_ACTOR_UNAVAILABLE: _ClassVar[ErrorKind]
    ERROR_KIND_CANCELLED: _ClassVar[ErrorKind]
    ERROR_KIND_DEADLINE_EXCEEDED: _ClassVar[ErrorKind]
    ERROR_KIND_UNSCHEDULABLE: _ClassVar[ErrorKind]
    ERROR_KIND_QUEUE_FULL: _ClassVar[ErrorKind]
    ERROR_KIND_STORE_FULL: _ClassVar[ErrorKind]
    ERROR_KIND_OBJECT_LOST: _ClassVar[ErrorKind]
    ERROR_KIND_NODE_LOST: _ClassVar[ErrorKind]
    ERROR_KIND_INVALID_ARGUMENT: _ClassVar[ErrorKind]
    ERROR_KIND_NOT_FOUND: _ClassVar[ErrorKind]
    ERROR_KIND_ALREADY_EXISTS: _ClassVar[ErrorKind]
    ERROR_KIND_STALE_STUBS: _ClassVar[ErrorKind]
    ERROR_KIND_BAD_VALUE: _ClassVar[ErrorKind]
    ERROR_KIND_OUT_OF_DISK: _ClassVar[ErrorKind]
    ERROR_KIND_INTERNAL: _ClassVar[ErrorKind]
    ERROR_KIND_WORKER_START: _ClassVar[ErrorKind]
    ERROR_KIND_PENDING_CALLS_LIMIT: _ClassVar[ErrorKind]
    ERROR_KIND_PERMISSION_DENIED: _ClassVar[ErrorKind]
    ERROR_KIND_UNAVAILABLE: _ClassVar[ErrorKind]
    ERROR_KIND_SESSION_CLOSED: _ClassVar[ErrorKind]
    ERROR_KIND_OUT_OF_MEMORY: _ClassVar[ErrorKind]
    ERROR_KIND_RUNTIME_ENV: _ClassVar[ErrorKind]
    ERROR_KIND_PLACEMENT_GROUP_REMOVED: _ClassVar[ErrorKind]

class Execution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTION_UNSPECIFIED: _ClassVar[Execution]
    EXECUTION_NOT_EXECUTED: _ClassVar[Execution]
    EXECUTION_MAY_HAVE_EXECUTED: _ClassVar[Execution]
    EXECUTION_FAILED: _ClassVar[Execution]
VALUE_FORMAT_UNSPECIFIED: ValueFormat
VALUE_FORMAT_MSGPACK: ValueFormat
VALUE_FORMAT_PICKLE5: ValueFormat
VALUE_FORMAT_ERROR: ValueFormat
ERROR_KIND_UNSPECIFIED: ErrorKind
ERROR_KIND_TASK_FAILED: ErrorKind
ERROR_KIND_WORKER_CRASHED: ErrorKind
ERROR_KIND_ACTOR_DIED: ErrorKind
ERROR_KIND_ACTOR_UNAVAILABLE: ErrorKind
ERROR_KIND_CANCELLED: ErrorKind
ERROR_KIND_DEADLINE_EXCEEDED: ErrorKind
ERROR_KIND_UNSCHEDULABLE: ErrorKind
ERROR_KIND_QUEUE_FULL: ErrorKind
ERROR_KIND_STORE_FULL: ErrorKind
ERROR_KIND_OBJECT_LOST: ErrorKind
ERROR_KIND_NODE_LOST: ErrorKind
ERROR_KIND_INVALID_ARGUMENT: ErrorKind
ERROR_KIND_NOT_FOUND: ErrorKind
ERROR_KIND_ALREADY_EXISTS: ErrorKind
ERROR_KIND_STALE_STUBS: ErrorKind
ERROR_KIND_BAD_VALUE: ErrorKind
ERROR_KIND_OUT_OF_DISK: ErrorKind
ERROR_KIND_INTERNAL: ErrorKind
ERROR_KIND_WORKER_START: ErrorKind
ERROR_KIND_PENDING_CALLS_LIMIT: ErrorKind
ERROR_KIND_PERMISSION_DENIED: ErrorKind
ERROR_KIND_UNAVAILABLE: ErrorKind
ERROR_KIND_SESSION_CLOSED: ErrorKind
ERROR_KIND_OUT_OF_MEMORY: ErrorKind
ERROR_KIND_RUNTIME_ENV: ErrorKind
ERROR_KIND_PLACEMENT_GROUP_REMOVED: ErrorKind
EXECUTION_UNSPECIFIED: Execution
EXECUTION_NOT_EXECUTED: Execution
EXECUTION_MAY_HAVE_EXECUTED: Execution
EXECUTION_FAILED: Execution

class Block(_message.Message):
    __slots__ = ("segment", "offset", "size")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    segment: int
    offset: int
    size: int
    def __init__(self, segment: _Optional[int] = ..., offset: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("format", "meta", "buffers", "refs", "block")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    BUFFERS_FIELD_NUMBER: _ClassVar[int]
    REFS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    format: ValueFormat
    meta: bytes
    buffers: _containers.RepeatedScalarFieldContainer[bytes]
    refs: bytes
    block: Block
    def __init__(self, format: _Optional[_Union[ValueFormat, str]] = ..., meta: _Optional[bytes] = ..., buffers: _Optional[_Iterable[bytes]] = ..., refs: _Optional[bytes] = ..., block: _Optional[_Union[Block, _Mapping]] = ...) -> None: ...

class ErrorLink(_message.Message):
    __slots__ = ("message", "type_name", "registered", "payload")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    message: str
    type_name: str
    registered: str
    payload: Value
    def __init__(self, message: _Optional[str] = ..., type_name: _Optional[str] = ..., registered: _Optional[str] = ..., payload: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...

class ErrorValue(_message.Message):
    __slots__ = ("kind", "message", "execution", "function", "task_id", "attempt", "pid", "node", "stack", "chain", "hint", "call_site", "cause")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    CALL_SITE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    kind: ErrorKind
    message: str
    execution: Execution
    function: str
    task_id: bytes
    attempt: int
    pid: int
    node: str
    stack: str
    chain: _containers.RepeatedCompositeFieldContainer[ErrorLink]
    hint: str
    call_site: str
    cause: ErrorValue
    def __init__(self, kind: _Optional[_Union[ErrorKind, str]] = ..., message: _Optional[str] = ..., execution: _Optional[_Union[Execution, str]] = ..., function: _Optional[str] = ..., task_id: _Optional[bytes] = ..., attempt: _Optional[int] = ..., pid: _Optional[int] = ..., node: _Optional[str] = ..., stack: _Optional[str] = ..., chain: _Optional[_Iterable[_Union[ErrorLink, _Mapping]]] = ..., hint: _Optional[str] = ..., call_site: _Optional[str] = ..., cause: _Optional[_Union[ErrorValue, _Mapping]] = ...) -> None: ...
