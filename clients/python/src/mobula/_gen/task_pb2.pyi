from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Language(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANGUAGE_UNSPECIFIED: _ClassVar[Language]
    LANGUAGE_GO: _ClassVar[Language]
    LANGUAGE_PYTHON: _ClassVar[Language]
    LANGUAGE_TYPESCRIPT: _ClassVar[Language]

class Isolation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ISOLATION_UNSPECIFIED: _ClassVar[Isolation]
    ISOLATION_SHARED: _ClassVar[Isolation]
    ISOLATION_PROCESS: _ClassVar[Isolation]

class Lifetime(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIFETIME_UNSPECIFIED: _ClassVar[Lifetime]
    LIFETIME_NON_DETACHED: _ClassVar[Lifetime]
    LIFETIME_DETACHED: _ClassVar[Lifetime]

class TemplateKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEMPLATE_KIND_UNSPECIFIED: _ClassVar[TemplateKind]
    TEMPLATE_KIND_FUNCTION: _ClassVar[TemplateKind]
    TEMPLATE_KIND_ACTOR: _ClassVar[TemplateKind]
    TEMPLATE_KIND_METHOD: _ClassVar[TemplateKind]
LANGUAGE_UNSPECIFIED: Language
LANGUAGE_GO: Language
LANGUAGE_PYTHON: Language
LANGUAGE_TYPESCRIPT: Language
ISOLATION_UNSPECIFIED: Isolation
ISOLATION_SHARED: Isolation
ISOLATION_PROCESS: Isolation
LIFETIME_UNSPECIFIED: Lifetime
LIFETIME_NON_DETACHED: Lifetime
LIFETIME_DETACHED: Lifetime
TEMPLATE_KIND_UNSPECIFIED: TemplateKind
TEMPLATE_KIND_FUNCTION: TemplateKind
TEMPLATE_KIND_ACTOR: TemplateKind
TEMPLATE_KIND_METHOD: TemplateKind

class SchedulingStrategy(_message.Message):
    __slots__ = ("spread", "node_affinity", "placement_group", "node_labels")
    class NodeAffinity(_message.Message):
        __slots__ = ("node_id", "soft")
        NODE_ID_FIELD_NUMBER: _ClassVar[int]
        SOFT_FIELD_NUMBER: _ClassVar[int]
        node_id: bytes
        soft: bool
        def __init__(self, node_id: _Optional[bytes] = ..., soft: _Optional[bool] = ...) -> None: ...
    class PlacementGroup(_message.Message):
        __slots__ = ("placement_group_id", "bundle_index", "capture_child_tasks")
        PLACEMENT_GROUP_ID_FIELD_NUMBER: _ClassVar[int]
        BUNDLE_INDEX_FIELD_NUMBER: _ClassVar[int]
        CAPTURE_CHILD_TASKS_FIELD_NUMBER: _ClassVar[int]
        placement_group_id: bytes
        bundle_index: int
        capture_child_tasks: bool
        def __init__(self, placement_group_id: _Optional[bytes] = ..., bundle_index: _Optional[int] = ..., capture_child_tasks: _Optional[bool] = ...) -> None: ...
    class NodeLabels(_message.Message):
        __slots__ = ("hard", "soft")
        class HardEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        class SoftEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        HARD_FIELD_NUMBER: _ClassVar[int]
        SOFT_FIELD_NUMBER: _ClassVar[int]
        hard: _containers.ScalarMap[str, str]
        soft: _containers.ScalarMap[str, str]
        def __init__(self, hard: _Optional[_Mapping[str, str]] = ..., soft: _Optional[_Mapping[str, str]] = ...) -> None: ...
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    NODE_AFFINITY_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_GROUP_FIELD_NUMBER: _ClassVar[int]
    NODE_LABELS_FIELD_NUMBER: _ClassVar[int]
    spread: bool
    node_affinity: SchedulingStrategy.NodeAffinity
    placement_group: SchedulingStrategy.PlacementGroup
    node_labels: SchedulingStrategy.NodeLabels
    def __init__(self, spread: _Optional[bool] = ..., node_affinity: _Optional[_Union[SchedulingStrategy.NodeAffinity, _Mapping]] = ..., placement_group: _Optional[_Union[SchedulingStrategy.PlacementGroup, _Mapping]] = ..., node_labels: _Optional[_Union[SchedulingStrategy.NodeLabels, _Mapping]] = ...) -> None: ...

class Options(_message.Message):
    __slots__ = ("num_cpus", "num_gpus", "memory", "resources", "accelerator_type", "label_selector", "fallback_strategy", "scheduling_strategy", "num_returns", "streaming", "generator_backpressure", "max_retries", "retry_exceptions", "retry_exception_names", "max_calls", "max_restarts", "max_task_retries", "max_pending_calls", "max_concurrency", "concurrency_groups", "concurrency_group", "allow_out_of_order_execution", "lifetime", "name", "namespace", "get_if_exists", "env", "runtime_env", "isolation", "labels", "no_task_events", "tensor_transport", "object_store_memory")
    class ResourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LabelSelectorEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ConcurrencyGroupsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NUM_CPUS_FIELD_NUMBER: _ClassVar[int]
    NUM_GPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    LABEL_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_STRATEGY_FIELD_NUMBER: _ClassVar[int]
    SCHEDULING_STRATEGY_FIELD_NUMBER: _ClassVar[int]
    NUM_RETURNS_FIELD_NUMBER: _ClassVar[int]
    STREAMING_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_BACKPRESSURE_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
    RETRY_EXCEPTIONS_FIELD_NUMBER: _ClassVar[int]
    RETRY_EXCEPTION_NAMES_FIELD_NUMBER: _ClassVar[int]
    MAX_CALLS_FIELD_NUMBER: _ClassVar[int]
    MAX_RESTARTS_FIELD_NUMBER: _ClassVar[int]
    MAX_TASK_RETRIES_FIELD_NUMBER: _ClassVar[int]
    MAX_PENDING_CALLS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_GROUPS_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_GROUP_FIELD_NUMBER: _ClassVar[int]
    ALLOW_OUT_OF_ORDER_EXECUTION_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    GET_IF_EXISTS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_ENV_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    NO_TASK_EVENTS_FIELD_NUMBER: _ClassVar[int]
    TENSOR_TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    OBJECT_STORE_MEMORY_FIELD_NUMBER: _ClassVar[int]
    num_cpus: int
    num_gpus: int
    memory: int
    resources: _containers.ScalarMap[str, int]
    accelerator_type: str
    label_selector: _containers.ScalarMap[str, str]
    fallback_strategy: _containers.RepeatedScalarFieldContainer[str]
    scheduling_strategy: SchedulingStrategy
    num_returns: int
    streaming: bool
    generator_backpressure: int
    max_retries: int
    retry_exceptions: bool
    retry_exception_names: _containers.RepeatedScalarFieldContainer[str]
    max_calls: int
    max_restarts: int
    max_task_retries: int
    max_pending_calls: int
    max_concurrency: int
    concurrency_groups: _containers.ScalarMap[str, int]
    concurrency_group: str
    allow_out_of_order_execution: bool
    lifetime: Lifetime
    name: str
    namespace: str
    get_if_exists: bool
    env: _containers.ScalarMap[str, str]
    runtime_env: str
    isolation: Isolation
    labels: _containers.ScalarMap[str, str]
    no_task_events: bool
    tensor_transport: bool
    object_store_memory: int
    def __init__(self, num_cpus: _Optional[int] = ..., num_gpus: _Optional[int] = ..., memory: _Optional[int] = ..., resources: _Optional[_Mapping[str, int]] = ..., accelerator_type: _Optional[str] = ..., label_selector: _Optional[_Mapping[str, str]] = ..., fallback_strategy: _Optional[_Iterable[str]] = ..., scheduling_strategy: _Optional[_Union[SchedulingStrategy, _Mapping]] = ..., num_returns: _Optional[int] = ..., streaming: _Optional[bool] = ..., generator_backpressure: _Optional[int] = ..., max_retries: _Optional[int] = ..., retry_exceptions: _Optional[bool] = ..., retry_exception_names: _Optional[_Iterable[str]] = ..., max_calls: _Optional[int] = ..., max_restarts: _Optional[int] = ..., max_task_retries: _Optional[int] = ..., max_pending_calls: _Optional[int] = ..., max_concurrency: _Optional[int] = ..., concurrency_groups: _Optional[_Mapping[str, int]] = ..., concurrency_group: _Optional[str] = ..., allow_out_of_order_execution: _Optional[bool] = ..., lifetime: _Optional[_Union[Lifetime, str]] = ..., name: _Optional[str] = ..., namespace: _Optional[str] = ..., get_if_exists: _Optional[bool] = ..., env: _Optional[_Mapping[str, str]] = ..., runtime_env: _Optional[str] = ..., isolation: _Optional[_Union[Isolation, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., no_task_events: _Optional[bool] = ..., tensor_transport: _Optional[bool] = ..., object_store_memory: _Optional[int] = ...) -> None: ...

class Template(_message.Message):
    __slots__ = ("id", "kind", "name", "language", "fingerprint", "num_returns", "options", "definition", "portable")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    NUM_RETURNS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    PORTABLE_FIELD_NUMBER: _ClassVar[int]
    id: int
    kind: TemplateKind
    name: str
    language: Language
    fingerprint: int
    num_returns: int
    options: Options
    definition: bytes
    portable: bool
    def __init__(self, id: _Optional[int] = ..., kind: _Optional[_Union[TemplateKind, str]] = ..., name: _Optional[str] = ..., language: _Optional[_Union[Language, str]] = ..., fingerprint: _Optional[int] = ..., num_returns: _Optional[int] = ..., options: _Optional[_Union[Options, _Mapping]] = ..., definition: _Optional[bytes] = ..., portable: _Optional[bool] = ..., **kwargs) -> None: ...

class RefArg(_message.Message):
    __slots__ = ("position", "object_id")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    position: int
    object_id: bytes
    def __init__(self, position: _Optional[int] = ..., object_id: _Optional[bytes] = ...) -> None: ...

class ResolvedArg(_message.Message):
    __slots__ = ("position", "value")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    position: int
    value: bytes
    def __init__(self, position: _Optional[int] = ..., value: _Optional[bytes] = ...) -> None: ...
