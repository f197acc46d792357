"""Opening and ending the session of a program: which node it joins, or starts for itself."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mobula._context import check_running, process
from mobula._remote import definitions

if TYPE_CHECKING:
    import socket
    from types import TracebackType

    from mobula._session import Session
    from mobula._takeover import NodeProcess

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
    process.forked = False  # it gets one
    check_running()
    unknown = [k for k in options if k not in _HARMLESS and k != "_tracing_startup_hook"]
    if unknown:
        raise RuntimeError(f"Unknown keyword argument(s): {', '.join(unknown)}")
    if local_mode:
        raise RuntimeError("`local_mode` is no longer supported: run the functions themselves to debug them in one process.")
    if not isinstance(options.get("_system_config") or {}, dict):
        raise TypeError("The _system_config must be a dict.")
    if not os.path.isabs(options.get("_temp_dir") or "/"):
        raise ValueError("temp_dir must be absolute path or None.")
    from mobula._actor import check_namespace

    if namespace is None:
        namespace = getattr(options.get("job_config"), "ray_namespace", None)
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


_STORE_MIN = 64 << 10  # bytes, as the node has it


def _settings(
    num_cpus: float | None, num_gpus: float | None, resources: Mapping[str, float] | None, store: int | None, memory: int | None
) -> dict[str, object]:
    """Returns the settings of a node, by the node's own names, that were asked for."""
    settings: dict[str, object] = {}
    for name, value in (("CPUs", num_cpus), ("GPUs", num_gpus), ("StoreBytes", store), ("Memory", memory)):
        if value is None:
            continue
        if name == "StoreBytes" and value < _STORE_MIN:
            raise ValueError(f"Attempting to cap object store memory usage at {value} bytes, but the minimum allowed is {_STORE_MIN} bytes.")
        if value < 0:
            raise ValueError(f"Resource quantities must be nonnegative. Violated by {name}: {value}.")
        settings[name] = value if name == "CPUs" else int(value)
    if resources is not None:
        reserved = {"CPU", "GPU", "memory", "object_store_memory"} & set(resources)
        if reserved:
            raise ValueError(f"{', '.join(sorted(reserved))} of a node are set by num_cpus, num_gpus, _memory and object_store_memory")
        for kind, quantity in resources.items():
            if quantity < 0:
                raise ValueError(f"Resource quantities must be nonnegative. Violated by resource {kind!r} in {dict(resources)}.")
        settings["Resources"] = dict(resources)
    return settings


def auto_init() -> None:
    """Opens the session when an API is used before ``init``."""
    if process.worker is not None:
        raise RuntimeError("the session of this worker has ended")
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
    from mobula import _hello
    from mobula._logs import Printer
    from mobula._session import Refused, Session, SessionLost

    environment = _hello.check_environment(runtime_env)
    directory = _find(address)
    hello = _hello.make(namespace, logs, whole_environment=directory is None)
    if tracing_hook:
        from mobula import _tracing

        _tracing.call_hook(tracing_hook)
        hello.worker_env["MOBULA_TRACING_HOOK"] = tracing_hook
    if directory is not None and settings:
        raise ValueError("When connecting to an existing cluster, num_cpus, num_gpus, resources and object_store_memory must not be provided.")
    printer = Printer(lines=logs)
    connection, node = _start(settings) if directory is None else (_join(directory, hello), None)
    try:
        hello.owns_node = node is not None
        environment = _hello.add_environment(hello, environment, node.directory if node is not None else directory or "")
        quiet = "1" in (os.environ.get("MOBULA_IGNORE_UNHANDLED_ERRORS"), os.environ.get("RAY_IGNORE_UNHANDLED_ERRORS"))
        s = Session(connection, hello, notice=printer.notice if logs else None, unhandled=None if quiet else printer.unhandled)
    except BaseException as e:  # Ctrl-C too: nothing that has begun may stay behind
        connection.close()
        if node is not None:
            node.stop()
        if isinstance(e, (Refused, SessionLost)):
            raise ConnectionError(f"the node refused the session: {e}") from e
        raise
    process.session, process.node, process.printer = s, node, printer
    _after_open(s, directory, environment)
    return Context(process.info)


def _join(directory: str, hello: Any) -> socket.socket:
    """Connects to a node that runs."""
    from mobula import _takeover
    from mobula._session import connect

    try:
        hello.secret = _takeover.read_token(directory)
        return connect(os.path.join(directory, "node.sock"))
    except OSError as e:
        raise ConnectionError(f"there is no Mobula node at {directory}: {e}") from e


def _start(settings: dict[str, object]) -> tuple[socket.socket, NodeProcess]:
    """Starts a node that ends with this process."""
    from mobula import _takeover
    from mobula._version import __version__

    try:
        return _takeover.start_node(_takeover.find_binary(), {**settings, "Build": f"mobula {__version__} (Python)"})
    except _takeover.StartError as e:
        raise RuntimeError(str(e)) from e


def _after_open(s: Session, directory: str | None, environment: dict[str, Any]) -> None:
    """Makes known what a new session is, and sees to its end."""
    from mobula import _cluster

    if "opentelemetry.trace" in sys.modules or any(name.startswith("OTEL_") for name in os.environ):
        from mobula import _tracing

        process.tracer = _tracing.open_tracer("driver")
        if process.tracer is not None:
            process.tracer.set_process(s.node_id, s.job_id)
    process.info = {
        "address": directory or s.address,
        "gcs_address": directory or s.address,
        "node_ip_address": _cluster.own_address(),
        "node_id": s.node_id.hex(),
        "namespace": s.namespace,
        "session_dir": directory or os.path.dirname(s.address.removeprefix("unix:")),
        "webui_url": "",
        "runtime_env": environment,
    }
    _watch_forks()
    if "ipykernel" in sys.modules:
        from mobula import _interactive

        _interactive.wake_kernel_on_signals()


_fork_registered = False


def _watch_forks() -> None:
    """Has forked children know that the session is not theirs."""
    global _fork_registered
    if not _fork_registered and hasattr(os, "register_at_fork"):
        _fork_registered = True
        os.register_at_fork(after_in_child=_after_fork)


def _exit_shutdown() -> None:
    """Ends a driver's session before the interpreter ends, and after all that the program registered since it imported this package."""
    if process.session is None or process.worker is not None:
        return
    try:
        shutdown()
    except KeyboardInterrupt:  # a second Ctrl-C: the node ends with this process's socket
        pass


atexit.register(_exit_shutdown)


def _after_fork() -> None:
    """A forked child has no session: its parent's is not its own."""
    process.lock = threading.RLock()
    process.forked = process.forked or process.session is not None
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
