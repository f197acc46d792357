"""What this process is: its session, the task that runs at the moment, and what programs may ask about both."""

from __future__ import annotations

import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from mobula import exceptions

if TYPE_CHECKING:
    from mobula._gen import task_pb2
    from mobula._logs import Printer
    from mobula._session import Session
    from mobula._tracing import Span, Tracer
    from mobula._worker import Worker


class Process:
    """The one default session of a process, and whether the process is a worker."""

    __slots__ = ("capture", "forked", "info", "kept", "lock", "node", "printer", "session", "tracer", "worker")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.worker: Worker | None = None  # set in a worker process
        self.capture: Capture | None = None  # where the running task or actor has what it submits run
        self.tracer: Tracer | None = None  # of spans; None while tracing is off
        self.info: dict[str, Any] = {}  # what init returned as address_info
        self.node: Any = None  # the embedded node, when this driver started one
        self.printer: Printer | None = None  # of what workers print
        self.kept: dict[bytes, object] = {}  # refs and handles in pickles that user code made itself, by id, until the session ends
        self.forked = False  # from a process that had a session, and without one of its own
        self.lock = threading.RLock()  # orders init and shutdown


process = Process()


def session() -> Session:
    """Returns the session of this process; a driver without one gets it by ``init()``."""
    s = process.session
    if s is None:
        check_running()
        from mobula import _init

        _init.auto_init()
        s = process.session
        assert s is not None
    return s


def check_running() -> None:
    """Refuses to use a session that cannot be: in a finaliser at the interpreter's end, when nothing can be imported, and in a forked child."""
    if sys.is_finalizing():
        raise exceptions.SessionClosedError("the interpreter is ending, and Mobula's session with it: a finaliser came too late to use it")
    if process.forked:
        raise exceptions.SessionClosedError(
            "this process was forked from one that uses Mobula: it has no session, and cannot share its parent's. "
            "Start it with multiprocessing's 'spawn' method, or call init() in it"
        )


class Capture:
    """The placement group of a task or actor that has what it submits run there too."""

    __slots__ = ("id",)

    def __init__(self, id: bytes) -> None:
        self.id = id


class Task:
    """One attempt of a task while it runs in this process."""

    __slots__ = ("actor_id", "cancelled", "execute", "exits", "handle", "span", "template")

    def __init__(self, m: Any, template: task_pb2.Template) -> None:
        self.execute = m  # the message of the node; what is asked rarely is read out of it then
        self.handle: int = m.handle
        self.actor_id: bytes = m.actor_id
        self.template = template
        self.cancelled = False
        self.exits = False  # whether the actor ends itself in this call
        self.span: Span | None = None  # of the trace, while tracing is on

    @property
    def attempt(self) -> int:
        """The attempt, from 1."""
        return self.execute.attempt  # type: ignore[no-any-return]

    @property
    def traceparent(self) -> str:
        """The span of the caller, empty when it is not traced."""
        return self.execute.traceparent  # type: ignore[no-any-return]

    @property
    def tracestate(self) -> str:
        """What goes with traceparent."""
        return self.execute.tracestate  # type: ignore[no-any-return]

    @property
    def task_id(self) -> bytes:
        """The task's id, 16 bytes."""
        return self.execute.task_id  # type: ignore[no-any-return]

    @property
    def incarnation(self) -> int:
        """The life of the actor, from 1."""
        return self.execute.incarnation  # type: ignore[no-any-return]

    @property
    def resources(self) -> Any:
        """What the node says is assigned, name to units; empty when it is one CPU."""
        return self.execute.resources


current: ContextVar[Task | None] = ContextVar("mobula_task", default=None)
"""The task in which the calling code runs; None in a driver, and in threads that user code started."""


def running() -> Task | None:
    """Returns the task of the calling code; in a thread that user code started, the one that the process runs, if it is one."""
    task = current.get()
    if task is None and process.worker is not None:
        return process.worker.sole_task()
    return task


class RuntimeContext:
    """What a program may ask about where it runs. Ids are hexadecimal."""

    def get(self) -> dict[str, Any]:
        """Returns the ids of the job, the node, the task and the actor, and the namespace, as far as there are such."""
        out = {"job_id": self.job_id, "node_id": self.node_id, "namespace": self.namespace}
        for key, value in (("task_id", self.task_id), ("actor_id", self.actor_id)):
            if value is not None:
                out[key] = value
        return out

    def get_job_id(self) -> str:
        """Returns the id of the job: of the driver, or of the driver for which this worker works."""
        return self._session("Job ID").job_id.hex()

    def get_node_id(self) -> str:
        """Returns the id of the node on which this process runs."""
        return self._session("Node ID").node_id.hex()

    def get_worker_id(self) -> str:
        """Returns the id of this process."""
        s = self._session("Worker ID")
        return (s.job_id if process.worker is None else process.worker.worker_id).hex()

    def get_session_name(self) -> str:
        """Returns a name of this life of the cluster."""
        return f"session_{self._session('Session name').node_id.hex()}"

    def get_temp_dir(self) -> str:
        """Returns the directory for temporary files."""
        import tempfile

        return tempfile.gettempdir()

    @property
    def worker(self) -> Any:
        """Returns what Ray calls the worker of this process; programs ask for its ``mode``."""
        from mobula.ray._private.worker import global_worker

        return global_worker

    def _session(self, what: str) -> Session:
        if process.session is None:
            raise RuntimeError(f"{what} is not available because Ray has not been initialized.")
        return process.session

    def _task_id(self) -> str | None:
        task = running()
        return None if task is None else task.task_id.hex()

    def get_task_id(self) -> str | None:
        """Returns the id of the running task; None in a driver."""
        return self._task_id()

    def get_task_name(self) -> str | None:
        """Returns the name that the task was given, else that of its function; None in a driver."""
        task = running()
        if task is None:
            return None
        return task.template.options.name or _task_name(task.template)

    def get_task_function_name(self) -> str | None:
        """Returns the name of the task's function with its module; None in a driver."""
        task = running()
        return None if task is None else task.template.name

    def get_actor_id(self) -> str | None:
        """Returns the id of the actor in which this runs; None outside of one."""
        actor_id = self._actor_id()
        return actor_id.hex() if actor_id else None

    def _actor_id(self) -> bytes:
        task = running()
        if task is not None:
            return task.actor_id
        return process.worker.actor_id if process.worker is not None else b""

    def get_actor_name(self) -> str | None:
        """Returns the name of the actor in which this runs: empty if it has none, None outside of an actor."""
        if not self._actor_id() or process.worker is None:
            return None
        return process.worker.actor_name

    @property
    def namespace(self) -> str:
        """The namespace of the job."""
        return session().namespace

    @property
    def job_id(self) -> Any:
        """The job's id as an object; ``get_job_id`` returns it in hexadecimal."""
        from mobula._refs import JobID

        return JobID(self._session("Job ID").job_id)

    @property
    def node_id(self) -> Any:
        """The node's id as an object; ``get_node_id`` returns it in hexadecimal."""
        from mobula._refs import NodeID

        return NodeID(self._session("Node ID").node_id)

    @property
    def task_id(self) -> Any:
        """The task's id as an object, None if there is none."""
        from mobula._refs import TaskID

        task = running()
        return None if task is None else TaskID(task.task_id)

    @property
    def actor_id(self) -> Any:
        """The actor's id as an object, None if there is none."""
        from mobula._refs import ActorID

        actor_id = self._actor_id()
        return ActorID(actor_id) if actor_id else None

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether the actor in which this runs was restarted."""
        if not self._actor_id():
            raise RuntimeError("This method shouldn't be called inside Ray tasks.")
        task = running()
        return (task.incarnation if task is not None else process.worker.incarnation if process.worker else 1) > 1

    @property
    def current_actor(self) -> Any:
        """A handle of the actor in which this runs. It does not keep the actor alive."""
        if not self._actor_id() or process.worker is None:
            raise RuntimeError("This method is only available in an actor.")
        return process.worker.own_handle()

    def get_placement_group_id(self) -> str | None:
        """Returns the id of the placement group in which the task runs; None outside of one."""
        group = self._group()
        return None if group is None else group.placement_group_id.hex()

    @property
    def current_placement_group_id(self) -> str | None:
        """As ``get_placement_group_id``."""
        return self.get_placement_group_id()

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Whether what this task submits runs in its placement group."""
        group = self._group()
        return False if group is None else group.capture_child_tasks

    def _group(self) -> Any:
        template = process.worker.actor_template if process.worker is not None else None
        if template is None:
            task = running()
            template = None if task is None else task.template
        if template is None or template.options.scheduling_strategy.WhichOneof("kind") != "placement_group":
            return None
        return template.options.scheduling_strategy.placement_group

    def get_assigned_resources(self) -> dict[str, float]:
        """Returns the resources that the task or the actor has; memory in bytes."""
        if process.worker is None:
            raise AssertionError("This method is only available when the process is a worker.")
        return process.worker.assigned_resources()

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """Returns the ids of the accelerators that the task or the actor has, by resource; only GPUs are known here."""
        others: dict[str, list[str]] = {name: [] for name in ("HPU", "NPU", "TPU", "neuron_cores")}
        return {"GPU": [str(i) for i in assigned_gpus()], **others}

    def get_resource_ids(self) -> dict[str, list[str]]:
        """As ``get_accelerator_ids``."""
        return self.get_accelerator_ids()

    def get_runtime_env_string(self) -> str:
        """Returns the runtime environment of this process as JSON."""
        import json

        return json.dumps(self.runtime_env)

    @property
    def runtime_env(self) -> dict[str, Any]:
        """The runtime environment of this process."""
        if process.worker is not None:
            return process.worker.runtime_env()
        if not process.info.get("runtime_env"):
            return {}
        from mobula import _runtime_env

        return _runtime_env.inherited()

    def get_node_labels(self) -> dict[str, str]:
        """Returns the labels of the node."""
        from mobula import _cluster

        own = self.get_node_id()
        return next((dict(n["Labels"]) for n in _cluster.nodes() if n["NodeID"] == own), {})

    @property
    def gcs_address(self) -> str:
        """The address of the cluster."""
        return str(process.info.get("address") or getattr(session(), "address", ""))

    def is_canceled(self) -> bool:
        """Reports whether the running task was cancelled. Tasks and methods that are not async may look now and then."""
        if process.worker is None:
            raise RuntimeError("This method is only available when the process is a worker.")
        if process.worker.is_async:
            raise RuntimeError("This method is not supported in an async actor.")
        task = running()
        return task is not None and task.cancelled


_runtime_context = RuntimeContext()


def get_runtime_context() -> RuntimeContext:
    """Returns what a program may ask about the driver, task or actor in which it runs."""
    session()
    return _runtime_context


def short_name(name: str) -> str:
    """Returns a function's name without its module and without the functions in which it was defined."""
    return name.rpartition("<locals>.")[2] if "<locals>." in name else name.rpartition(".")[2]


def _task_name(t: task_pb2.Template) -> str:
    """Returns ``f`` of a function, ``C.__init__`` of the creation of an actor, ``C.m`` of a call of a method."""
    from mobula._gen import task_pb2

    if t.kind == task_pb2.TEMPLATE_KIND_ACTOR:
        return f"{short_name(t.name)}.__init__"
    if t.kind == task_pb2.TEMPLATE_KIND_METHOD:
        cls, _, method = t.name.rpartition(".")
        return f"{short_name(cls)}.{method}"
    return short_name(t.name)


def assigned_gpus() -> list[int | str]:
    """Returns the GPUs of the running task or actor, by their number or, if CUDA_VISIBLE_DEVICES names them otherwise, by name."""
    return process.worker.gpu_ids() if process.worker is not None else []


def get_gpu_ids() -> list[int | str]:
    """Returns the ids of the GPUs that the running task or actor may use; none in a driver."""
    session()
    return assigned_gpus()
