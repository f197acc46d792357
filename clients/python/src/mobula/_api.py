"""The verbs of the API: init, get, put, wait, cancel, kill and what belongs to them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from mobula import _values
from mobula._actor import ActorHandle
from mobula._context import process, session
from mobula._refs import ObjectRef, ObjectRefGenerator
from mobula._remote import definitions

if TYPE_CHECKING:
    import socket
    from types import TracebackType

    from mobula._session import Session

T = TypeVar("T")

_UNITS = 10_000.0

# Options of ray.init that change nothing here. Each is accepted so that programs run as they are.
_HARMLESS = frozenset({
    "allow_multiple", "cgroup_path", "configure_logging", "dashboard_host", "dashboard_port", "enable_resource_isolation", "include_dashboard",
    "job_config", "logging_config", "logging_format", "logging_level", "proxy_server_url", "system_reserved_cpu", "system_reserved_memory",
    "_driver_object_store_memory", "_enable_object_reconstruction", "_metrics_export_port", "_node_ip_address", "_node_name",
    "_plasma_directory", "_redis_password", "_redis_username", "_skip_env_hook", "_system_config", "_temp_dir",
    "object_spilling_directory",
})  # fmt: skip


class Context(Mapping[str, Any]):
    """What ``init`` returns: where the session is. As a context manager it ends the session."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        from mobula._version import __version__

        self.address_info = dict(info)
        self.dashboard_url: str = self.address_info.get("webui_url") or ""
        self.python_version = ".".join(str(n) for n in sys.version_info[:3])
        self.mobula_version = __version__
        self.ray_version = "2.60.0"
        self.ray_commit = "mobula"

    def __getitem__(self, key: str) -> Any:
        return self.address_info[key]

    def __len__(self) -> int:
        return len(self.address_info)

    def __iter__(self) -> Iterator[str]:
        return iter(self.address_info)

    def __enter__(self) -> Context:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutdown()

    def disconnect(self) -> None:
        """Ends the session."""
        shutdown()

    def __repr__(self) -> str:
        return f"Context(address={self.address_info.get('address')!r}, node_id={self.address_info.get('node_id')!r})"


def init(
    address: str | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    object_store_memory: int | None = None,
    local_mode: bool = False,
    ignore_reinit_error: bool = False,
    log_to_driver: bool | None = None,
    namespace: str | None = None,
    runtime_env: Mapping[str, Any] | None = None,
    _memory: int | None = None,
    **options: Any,
) -> Context:
    """Opens this program's session: joins a node, or starts one that ends with this process.

    Args:
        address: of a running node, as ``mobula up`` prints it, or its directory. ``"local"`` starts a node of its own, ``"auto"`` only joins.
            Without it MOBULA_ADDRESS and RAY_ADDRESS are looked at, then a node that ``mobula up`` has started; else a node is started.
        num_cpus: CPUs of the node that is started; default what the machine, or the container, has.
        num_gpus: GPUs of it.
        resources: custom resources of it, name to quantity.
        labels: labels of it, by which tasks and actors may choose a node.
        object_store_memory: capacity of its object store in bytes.
        local_mode: refused, as Ray does.
        ignore_reinit_error: whether a second call returns instead of raising.
        log_to_driver: whether what workers print is printed here; default yes.
        namespace: namespace of named actors; default one of its own.
        runtime_env: environment of the workers of this program.
        _memory: memory in bytes that tasks may ask for.
        options: ``_tracing_startup_hook``, "module:function" that sets OpenTelemetry up in the driver and in workers; and other options of
            Ray's, which change nothing here.

    Raises:
        RuntimeError: when a session is open, or an option is unknown.
        ConnectionError: when there is no node to join.
        ValueError: when resources are given for a node that runs already.
    """
    unknown = [k for k in options if k not in _HARMLESS and k != "_tracing_startup_hook"]
    if unknown:
        raise RuntimeError(f"Unknown keyword argument(s): {', '.join(unknown)}")
    if local_mode:
        raise RuntimeError("`local_mode` is no longer supported: run the functions themselves to debug them in one process.")
    from mobula._actor import check_namespace

    check_namespace(namespace)
    with process.lock:
        if process.session is not None and not process.session.closed:
            if ignore_reinit_error:
                return Context(process.info)
            raise RuntimeError(
                "Maybe you called ray.init twice by accident? This error can be suppressed by passing in 'ignore_reinit_error=True' or by "
                "calling 'ray.shutdown()' prior to 'ray.init()'."
            )
        if process.worker is not None:
            raise RuntimeError("the session of this worker has ended")
        if process.session is not None:
            shutdown()
        settings = _settings(num_cpus, num_gpus, resources, object_store_memory, _memory)
        if labels:
            settings["Labels"] = {str(k): str(v) for k, v in labels.items()}
        if log_to_driver is None:
            log_to_driver = os.environ.get("RAY_LOG_TO_DRIVER", "1") != "0"
        config = getattr(options.get("job_config"), "runtime_env", None)
        return _open(address, settings, log_to_driver, namespace, runtime_env or config, options.get("_tracing_startup_hook"))


def _settings(
    num_cpus: float | None, num_gpus: float | None, resources: Mapping[str, float] | None, store: int | None, memory: int | None
) -> dict[str, object]:
    """Returns the settings of a node, by the node's own names, that were asked for."""
    settings: dict[str, object] = {}
    for name, value in (("CPUs", num_cpus), ("GPUs", num_gpus), ("StoreBytes", store), ("Memory", memory)):
        if value is None:
            continue
        if value < 0:
            raise ValueError(f"{name} of a node cannot be negative, but is {value}")
        settings[name] = value if name == "CPUs" else int(value)
    if resources is not None:
        reserved = {"CPU", "GPU", "memory", "object_store_memory"} & set(resources)
        if reserved:
            raise ValueError(f"{', '.join(sorted(reserved))} of a node are set by num_cpus, num_gpus, _memory and object_store_memory")
        settings["Resources"] = dict(resources)
    return settings


def auto_init() -> None:
    """Opens the session when an API is used before ``init``."""
    if process.worker is not None:
        raise RuntimeError("the session of this worker has ended")
    if _forked_pid is not None and _forked_pid == os.getpid():
        raise RuntimeError(
            "this process was forked from one that uses Mobula: it has no session, and cannot share its parent's. "
            "Start it with multiprocessing's 'spawn' method, or call init() in it"
        )
    init()


def default_directory() -> str:
    """Returns the directory of a node that ``mobula up`` started without naming one."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return os.path.join(runtime, "mobula")
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "mobula")


def _find(address: str | None) -> str | None:
    """Returns the directory of the node to join, None when one is to be started. Raises ConnectionError when there is none to join."""
    if address in (None, "auto"):
        address = os.environ.get("MOBULA_ADDRESS") or os.environ.get("RAY_ADDRESS") or address
    if address == "local":
        return None
    if address in (None, "auto"):
        directory = default_directory()
        if _answers(directory):
            return directory
        if address == "auto":
            raise ConnectionError(
                "Could not find any running Mobula node. Start one with `mobula up`, or name it: init(address=…) or MOBULA_ADDRESS."
            )
        return None
    assert address is not None
    path = address.removeprefix("unix:")
    if os.path.isdir(path):
        return path
    if os.path.exists(path):
        return os.path.dirname(path)
    raise ConnectionError(f"there is no Mobula node at {address!r}: an address is what `mobula up` prints, or the node's directory")


def _answers(directory: str) -> bool:
    import socket

    path = os.path.join(directory, "node.sock")
    if not os.path.exists(path):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _open(
    address: str | None,
    settings: dict[str, object],
    logs: bool,
    namespace: str | None,
    runtime_env: Mapping[str, Any] | None,
    tracing_hook: str | None,
) -> Context:
    from mobula import _takeover
    from mobula._logs import Printer
    from mobula._session import Refused, Session, SessionLost, connect
    from mobula.exceptions import RayError

    environment = _check_environment(runtime_env)
    directory = _find(address)
    hello = _hello(namespace, logs, whole_environment=directory is None)
    if tracing_hook:
        from mobula import _tracing

        _tracing.call_hook(tracing_hook)
        hello.worker_env["MOBULA_TRACING_HOOK"] = tracing_hook
    node = None
    if directory is not None:
        if settings:
            raise ValueError("When connecting to an existing cluster, num_cpus, num_gpus, resources and object_store_memory must not be provided.")
        try:
            hello.secret = _takeover.read_token(directory)
            connection = connect(os.path.join(directory, "node.sock"))
        except OSError as e:
            raise ConnectionError(f"there is no Mobula node at {directory}: {e}") from e
    else:
        connection, node = _start(settings)
        hello.owns_node = True
    printer = Printer() if logs else None
    try:
        environment = _add_environment(hello, environment, node.directory if node is not None else directory or "")
        s = Session(connection, hello, notice=printer.notice if printer is not None else None)
    except (Refused, SessionLost) as e:
        if node is not None:
            node.stop()
        raise ConnectionError(f"the node refused the session: {e}") from e
    except (OSError, RayError):
        connection.close()
        if node is not None:
            node.stop()
        raise
    process.session, process.node, process.printer = s, node, printer
    if "opentelemetry.trace" in sys.modules or any(name.startswith("OTEL_") for name in os.environ):
        from mobula import _tracing

        process.tracer = _tracing.open_tracer("driver")
    process.info = {
        "address": directory or s.address,
        "gcs_address": directory or s.address,
        "node_ip_address": "127.0.0.1",
        "node_id": s.node_id.hex(),
        "namespace": s.namespace,
        "session_dir": directory or os.path.dirname(s.address.removeprefix("unix:")),
        "webui_url": "",
        "runtime_env": environment,
    }
    _at_exit()
    return Context(process.info)


def _start(settings: dict[str, object]) -> tuple[socket.socket, Any]:
    from mobula import _takeover
    from mobula._version import __version__

    try:
        return _takeover.start_node(_takeover.find_binary(), {**settings, "Build": f"mobula {__version__} (Python)"})
    except _takeover.StartError as e:
        raise RuntimeError(str(e)) from e


def _check_environment(runtime_env: Mapping[str, Any] | None) -> dict[str, Any]:
    if not runtime_env:
        return {}
    from mobula import _runtime_env

    return _runtime_env.check_job(runtime_env)


def _add_environment(hello: Any, environment: dict[str, Any], directory: str) -> dict[str, Any]:
    """Writes the environment of the job into its Hello and returns it as tasks inherit it."""
    if not environment:
        return {}
    import json

    from mobula import _runtime_env

    environment = _runtime_env.resolve(environment, directory)
    text = _runtime_env.encode(environment)
    hello.worker_env[_runtime_env.VARIABLE] = text
    return json.loads(text)  # type: ignore[no-any-return]


def _hello(namespace: str | None, logs: bool, *, whole_environment: bool) -> Any:
    from mobula._gen import session_pb2
    from mobula._version import __version__

    hello = session_pb2.Hello(
        role=session_pb2.ROLE_DRIVER,
        build=f"mobula {__version__}",
        program=(sys.argv[0] if sys.argv else "") or "python",
        namespace=namespace or "",
        wants_logs=logs,
        worker_args=[sys.executable],
    )
    try:
        hello.working_dir = os.getcwd()
    except OSError:  # it was removed: workers start in the node's directory
        pass
    for name, value in os.environ.items():  # workers of a node of its own are this program's; those of another node have that node's environment
        if name.startswith(("OTEL_", "PYTHON")) or name in _PASSED_ON or (whole_environment and _is_ordinary(name, value)):
            hello.worker_env[name] = value
    hello.worker_env["MOBULA_DRIVER_PATH"] = os.pathsep.join(_import_path())
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.basename(home) not in ("site-packages", "dist-packages"):  # workers must find this package before they know that path
        paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
        if home not in paths:
            hello.worker_env["PYTHONPATH"] = os.pathsep.join([*paths, home])
    return hello


_VARIABLE_MAX = 32 << 10


def _is_ordinary(name: str, value: str) -> bool:
    """Reports whether a variable goes to workers: not the runtime's own, and not what would fill the frame."""
    if name.startswith(("MOBULA_ROLE", "MOBULA_PROCESS", "MOBULA_RUNTIME")) or len(value) > _VARIABLE_MAX:
        return False
    try:
        (name + value).encode()
    except UnicodeEncodeError:  # bytes that are no text, which a frame cannot carry
        return False
    return True


_PASSED_ON = ("MOBULA_CACHE_DIR", "MOBULA_RUNTIME_ENV_MAX_BYTES", "MOBULA_RAY", "MOBULA_TASK_MAX_RETRIES", "RAY_TASK_MAX_RETRIES", "VIRTUAL_ENV")


def _import_path() -> list[str]:
    """Returns from where the driver imports: absolute, its script's directory first."""
    path: list[str] = []
    for entry in sys.path:
        absolute = os.path.abspath(entry) if entry else os.getcwd()
        if absolute not in path:
            path.append(absolute)
    return path


_exit_registered = False
_forked_pid: int | None = None


def _at_exit() -> None:
    """Has the session ended before the interpreter is."""
    global _exit_registered
    if _exit_registered:
        return
    _exit_registered = True
    import atexit

    atexit.register(_exit_shutdown)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _exit_shutdown() -> None:
    try:
        shutdown()
    except KeyboardInterrupt:  # a second Ctrl-C: the node ends with this process's socket
        pass


def _after_fork() -> None:
    """A forked child has no session: its parent's is not its own."""
    global _forked_pid
    process.lock = threading.RLock()
    if process.session is not None:
        _forked_pid = os.getpid()
    process.session, process.node, process.printer, process.info = None, None, None, {}
    process.kept = {}


def shutdown(*, wait_for_processes: bool = True, _exiting_interpreter: bool = False) -> None:
    """Ends the session, and the node if ``init`` started it: its actors and workers end. Does nothing without a session."""
    if process.worker is not None:
        return
    with process.lock:
        s, node, printer = process.session, process.node, process.printer
        tracer, process.tracer = process.tracer, None
        process.session, process.node, process.printer, process.info = None, None, None, {}
        process.kept = {}
        if tracer is not None:
            tracer.close()
        if s is None:
            return
        try:
            if printer is not None and definitions.used(s) and not s.closed:
                printer.settle()
            s.close()
        finally:
            if node is not None:
                node.stop()
            if printer is not None:
                printer.close()


def is_initialized() -> bool:
    """Reports whether this process has a session."""
    return process.session is not None and not process.session.closed


def _value(stored: Any) -> Any:
    """Returns a value that has arrived, or raises the error that stands for it."""
    value = _values.unpack(stored.format, stored.meta, stored.buffers, stored.refs)
    if stored.format == _values.ERROR:
        raise value  # type: ignore[misc]
    return value


_REF_ONLY = {ObjectRef}


@overload
def get(object_refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...
@overload
def get(object_refs: Sequence[ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...
@overload
def get(object_refs: Sequence[ObjectRef[Any]], *, timeout: float | None = None) -> list[Any]: ...
def get(object_refs: Any, *, timeout: float | None = None, _use_object_store: bool = False) -> Any:
    """Returns the value of a ref, or the values of a list of refs, in order.

    Arrays come as read-only views of shared memory. Waits for as long as it takes, or ``timeout`` seconds; 0 asks only for what is there.

    Raises:
        GetTimeoutError: when the time has passed.
        ValueError, TypeError: for what is not a ref or a list of refs.
        Exception: the first failed one's, at once: for a task that raised it is a RayTaskError and an instance of the task's exception.
    """
    from mobula._session import GetTimeout

    try:
        if isinstance(object_refs, ObjectRef):
            s = object_refs._session
            if s is not process.session:
                _check_session(s)
            if process.worker is not None:
                _warn_in_loop()
            return _value(s.get_one(object_refs._id, timeout))
        if not isinstance(object_refs, list):
            return _get_other(object_refs)
        if not object_refs:
            session()
            return []
        if set(map(type, object_refs)) != _REF_ONLY:
            for ref in object_refs:
                if not isinstance(ref, ObjectRef):
                    raise TypeError(f"Attempting to call `get` on the value {ref}, which is not an ray.ObjectRef.")
        s = object_refs[0]._session
        if s is not process.session:
            _check_session(s)
        if process.worker is not None:
            _warn_in_loop()
        stored = s.get([ref._id for ref in object_refs], timeout)
        if stored[-1].format == _values.ERROR:
            _value(stored[-1])
        return [_values.unpack(v.format, v.meta, v.buffers, v.refs) for v in stored]
    except GetTimeout as e:
        from mobula.exceptions import GetTimeoutError

        raise GetTimeoutError(f"Get timed out: some object(s) not ready after {timeout} seconds.") from e


def _check_session(s: Any) -> None:
    """Refuses refs of a session that has ended: what they stood for is gone with it."""
    from mobula import exceptions

    if getattr(s, "closed", True):
        raise exceptions.SessionClosedError("the ref is of a session that has ended: its object is gone. Make it again in the present session.")


def _get_other(x: Any) -> Any:
    if isinstance(x, ObjectRefGenerator):
        return x
    session()
    raise ValueError(f"Invalid type of object refs, {type(x)}, is given. 'object_refs' must either be an ObjectRef or a list of ObjectRefs. ")


def _warn_in_loop() -> None:
    """Says once that a blocking get keeps an async actor from doing anything else."""
    worker = process.worker
    if worker is None or not worker.is_async or worker.warned or threading.current_thread() is not threading.main_thread():
        return
    worker.warned = True
    if os.environ.get("RAY_WARN_BLOCKING_GET_INSIDE_ASYNC") == "0":
        return
    import warnings

    warnings.warn(
        "Using blocking ray.get inside async actor. This blocks the event loop. Please use `await` on object ref with asyncio.gather if you "
        "want to yield execution to the event loop instead.",
        stacklevel=3,
    )


def put(value: T, *, portable: bool = False, _owner: Any = None, _tensor_transport: str | None = None) -> ObjectRef[T]:
    """Makes an object of a value and returns its ref; with ``portable`` one that every language reads.

    Raises TypeError for a ref and for what cannot be sent, ObjectStoreFullError.
    """
    if isinstance(value, ObjectRef):
        raise TypeError(
            "Calling 'put' on an ray.ObjectRef is not allowed. If you really want to do this, you can wrap the ray.ObjectRef in a list and "
            "call 'put' on it."
        )
    if _owner is not None:
        raise ValueError("_owner is not supported: objects do not belong to processes, so they outlive whoever put them")
    s = process.session or session()
    packed = _values.pack(value, portable=portable)
    return ObjectRef(s.put(packed), s)


def wait(ray_waitables: list[Any], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True) -> tuple[list[Any], list[Any]]:
    """Waits until ``num_returns`` of the refs are ready, or for ``timeout`` seconds.

    A stream is ready when its next item is. Returns the ready ones, never more than ``num_returns``, and the rest, both in the order given.
    Raises TypeError for what is not a list of refs, ValueError for duplicates and counts that cannot be.
    """
    if isinstance(ray_waitables, (ObjectRef, ObjectRefGenerator)):
        raise TypeError(f"wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got a single one: {ray_waitables}")
    if not isinstance(ray_waitables, list):
        raise TypeError(f"wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got {type(ray_waitables)}")
    if timeout is not None and timeout < 0:
        raise ValueError(f"The 'timeout' argument must be nonnegative. Received {timeout}")
    streams = False
    kinds = set(map(type, ray_waitables))
    if kinds != _REF_ONLY:
        for x in ray_waitables:
            if not isinstance(x, (ObjectRef, ObjectRefGenerator)):
                raise TypeError(f"wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got list containing {type(x)}")
        streams = ObjectRefGenerator in kinds
    s = session()
    if not ray_waitables:
        return [], []
    ids = [r._id for r in ray_waitables] if not streams else ray_waitables
    if len(set(ids)) != len(ids):
        raise ValueError("Wait requires a list of unique ray_waitables.")
    if num_returns <= 0:
        raise ValueError(f"Invalid number of objects to return {num_returns}.")
    if num_returns > len(ray_waitables):
        raise ValueError("num_returns cannot be greater than the number of ray_waitables provided to ray.wait.")
    if streams:
        ready = _wait_streams(s, ray_waitables, num_returns, timeout, fetch_local)
    else:
        chosen = s.wait_first(ids, num_returns, timeout)
        if len(chosen) == 1:
            at = chosen[0]
            return [ray_waitables[at]], ray_waitables[:at] + ray_waitables[at + 1 :]
        ready = [False] * len(ids)
        for at in chosen:
            ready[at] = True
    done: list[Any] = []
    rest: list[Any] = []
    for x, is_ready in zip(ray_waitables, ready, strict=True):
        (done if is_ready and len(done) < num_returns else rest).append(x)
    return done, rest


def _wait_streams(s: Session, waitables: Sequence[Any], count: int, timeout: float | None, fetch_local: bool) -> list[bool]:
    """Waits for refs and streams together: for the next change, over and over, until enough are ready."""
    import time

    deadline = None if timeout is None else time.monotonic() + timeout
    changed = threading.Event()
    for x in waitables:
        if isinstance(x, ObjectRef):
            s.on_ready(x._id, lambda _: changed.set())
        else:
            x._stream.on_next(changed.set)
    while True:
        changed.clear()
        ready = [x._ready() if isinstance(x, ObjectRefGenerator) else s.peek(x._id) is not None for x in waitables]
        left = None if deadline is None else deadline - time.monotonic()
        if sum(ready) >= count or (left is not None and left <= 0):
            return ready
        changed.wait(left)


def cancel(ray_waitable: Any, *, force: bool = False, recursive: bool = True) -> None:
    """Cancels a task: one that has not begun is dropped, one that runs gets a KeyboardInterrupt, or is killed with ``force``.

    A method that runs is told by ``get_runtime_context().is_canceled()``; if it is async, its asyncio task is cancelled. With ``recursive``
    the tasks that it submitted are cancelled too. Its refs raise TaskCancelledError, unless it ended first.
    Raises TypeError for what is not a ref, ValueError for ``force`` with a method.
    """
    if isinstance(ray_waitable, ObjectRefGenerator):
        ray_waitable = ray_waitable._generator_ref
    if not isinstance(ray_waitable, ObjectRef):
        raise TypeError(f"ray.cancel() only supported for object refs. For actors, try ray.kill(). Got: {type(ray_waitable)}.")
    if force and ray_waitable._method:
        raise ValueError("force=True is not supported for actor tasks.")
    session().cancel(ray_waitable._id, force=force, recursive=recursive)


def kill(actor: ActorHandle[Any], *, no_restart: bool = True) -> None:
    """Ends an actor at once: running calls fail and exit handlers do not run. ``no_restart=False`` uses up one of its restarts.

    Raises ValueError for what is not a handle.
    """
    s = session()
    if not isinstance(actor, ActorHandle):
        raise ValueError(f"ray.kill() only supported for actors. For tasks, try ray.cancel(). Got: {type(actor)}.")
    hold = actor._mobula_hold
    if hold is not None and hold._session is not s:
        from mobula.exceptions import ActorHandleNotFoundError

        raise ActorHandleNotFoundError(
            "ActorHandle objects are not valid across Ray sessions. The actor handle was created in an earlier session, which was ended by "
            "ray.shutdown(). Please create a new actor handle in the current session."
        )
    s.kill_actor(actor._mobula_id, no_restart=no_restart)
    s.flush()


def _query(**kind: Any) -> Any:
    from mobula import _errors
    from mobula._gen import session_pb2

    reply = session().query(session_pb2.Query(**kind), timeout=30)
    if reply.HasField("error"):
        raise _errors.from_error_value(reply.error)
    return reply


def state_call(method: str, request: Any, response: Any) -> Any:
    """Calls a method of the node's state service; ``response`` is the class of the message that it answers with."""
    from mobula._gen import session_pb2

    reply = _query(state=session_pb2.StateCall(method=method, request=request.SerializeToString()))
    return response.FromString(reply.state)


def _quantities(units: Mapping[str, int]) -> dict[str, float]:
    return {k: float(v) if k in ("memory", "object_store_memory") else v / _UNITS for k, v in units.items() if v > 0}


def _require_init(name: str) -> None:
    if process.session is None:
        raise RuntimeError(f"ray.{name}() was called before ray.init(): there is no cluster yet")


def cluster_resources() -> dict[str, float]:
    """Returns the resources of the cluster, by name; memory in bytes."""
    from mobula._gen import session_pb2

    _require_init("cluster_resources")
    out = _quantities(_query(resources=session_pb2.ResourcesQuery()).total)
    out["object_store_memory"] = float(session().limits.store_bytes)
    return out


def available_resources() -> dict[str, float]:
    """Returns what of the cluster's resources is free, by name; what is used up is missing."""
    from mobula._gen import session_pb2

    _require_init("available_resources")
    out = _quantities(_query(resources=session_pb2.ResourcesQuery()).available)
    out["object_store_memory"] = float(session().limits.store_bytes)  # what lies there now can be spilled or freed
    return out


def nodes() -> list[dict[str, Any]]:
    """Returns what is known of each node, those that are dead too."""
    from mobula._gen import controlplane_pb2, state_pb2

    _require_init("nodes")
    out = []
    for n in state_call("ListNodes", state_pb2.ListNodesRequest(), state_pb2.ListNodesResponse).nodes:
        r = n.record
        alive = r.status == controlplane_pb2.NODE_STATUS_ALIVE
        resources = {u.name: float(u.total) if u.name == "memory" else u.total / _UNITS for u in n.resources if u.total > 0}
        if alive and n.store.capacity_bytes:
            resources["object_store_memory"] = float(n.store.capacity_bytes)
        host = r.hostname or os.uname().nodename
        out.append(
            {
                "NodeID": r.ref.node_id.hex(),
                "Alive": alive,
                "alive": alive,
                "NodeManagerAddress": "127.0.0.1",
                "NodeManagerHostname": host,
                "NodeManagerPort": 0,
                "ObjectManagerPort": 0,
                "ObjectStoreSocketName": "",
                "RayletSocketName": r.address,
                "MetricsExportPort": 0,
                "NodeName": host,
                "Resources": resources if alive else {},
                "Labels": {label.name: label.value for label in r.labels} or {"ray.io/node-id": r.ref.node_id.hex()},
            }
        )
    return out


def timeline(filename: str | None = None) -> list[dict[str, Any]] | None:
    """Returns the tasks that the node remembers as events of the Chrome trace viewer, or writes them as JSON.

    A task that ran is a bar of its worker, with times in microseconds since 1970; one that did not (yet) is an instant: its submission.
    The node remembers the last 10,000 tasks that have ended.
    """
    from mobula._gen import state_pb2

    _require_init("timeline")
    answer = state_call("ListTasks", state_pb2.ListTasksRequest(limit=10_000), state_pb2.ListTasksResponse)
    found = []
    for t in answer.tasks:
        event = {
            "name": t.name or t.function.rpartition(".")[2],
            "cat": "task",
            "pid": "node",
            "tid": f"worker:{t.pid}" if t.pid else "waiting",
            "args": {"task_id": t.task_id.hex(), "state": state_pb2.TaskState.Name(t.state), "attempt": t.attempt},
        }
        if t.begun_unix_ns:
            event |= {"ph": "X", "ts": t.begun_unix_ns / 1000, "dur": (t.ended_unix_ns - t.begun_unix_ns) / 1000, "cname": "good"}
            if t.state == state_pb2.TASK_STATE_FAILED:
                event["cname"] = "terrible"
        else:
            event |= {"ph": "i", "s": "t", "ts": t.submitted_unix_ns / 1000}
        found.append(event)
    if filename is None:
        return found
    import json

    with open(filename, "w", encoding="utf-8") as file:
        json.dump(found, file)
    return None
