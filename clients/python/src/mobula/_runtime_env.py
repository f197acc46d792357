"""Runtime environments: what the workers of a job, a task or an actor need beside the code that is sent to them.

A driver checks what it is given (`check_job`, `check_task`), takes snapshots of directories (`resolve`), and sends the result as JSON: for the
job in the variable MOBULA_RUNTIME_ENV of its workers, for a task or an actor in the options of its template. A task's environment is that
of whoever submits it, changed by its own: its env_vars are added one by one, every other field replaces (`merge`).

The node starts the first process of an environment through this module: ``python -P -m mobula._runtime_env`` makes what is missing
(`prepare`) and becomes ``python -P -m mobula._zygote`` of the environment's interpreter in its working directory. Ahead of that the node runs it
once with MOBULA_RUNTIME_ENV_ONLY set, as a worker that only does the first part and says how it went: so the node knows when tasks may be
scheduled, or why they never can.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from mobula._context import process

if TYPE_CHECKING:
    from mobula._takeover import Role

VARIABLE = "MOBULA_RUNTIME_ENV"
"""The variable that carries the environment of a worker."""

_ONLY = "MOBULA_RUNTIME_ENV_ONLY"
_DIRECTORY = "MOBULA_RUNTIME_DIR"
_PATH = "MOBULA_RUNTIME_PATH"
_USES = "MOBULA_RUNTIME_USES"
_HOOK = "_setup_hook"
_HOOK_MAX = 64 << 10
_KEEP = 10 << 30

FIELDS = frozenset({
    "config", "conda", "container", "env_vars", "excludes", "image_uri", "java_jars", "nsight", "pip", "py_executable", "py_modules", "uv",
    "worker_process_setup_hook", "working_dir",
})  # fmt: skip
"""The fields that have a meaning in Ray. Others are passed on, and do nothing."""

_REFUSED = {
    "conda": "use pip or uv, or py_executable with the interpreter of a conda environment that exists",
    "container": "start the node inside the container",
    "image_uri": "start the node inside the container",
    "java_jars": "Mobula has no Java workers",
    "nsight": "run the worker under a profiler with py_executable",
    "_nsight": "run the worker under a profiler with py_executable",
    "rocprof_sys": "run the worker under a profiler with py_executable",
    "_rocprof_sys": "run the worker under a profiler with py_executable",
    "mpi": "start MPI inside a task",
}


# --- the classes of users -----------------------------------------------------------------------------------------------------


class RuntimeEnvConfig(dict[str, Any]):
    """How a runtime environment is set up.

    Args:
        setup_timeout_seconds: how long that may take; -1 is without limit.
        eager_install: whether the environment of a job is set up by ``init`` ahead of its first task.
        log_files: not used here.

    Raises:
        TypeError: a value has the wrong type.
        ValueError: the timeout is 0 or negative, and not -1.
    """

    known_fields = frozenset({"setup_timeout_seconds", "eager_install", "log_files"})

    def __init__(self, setup_timeout_seconds: int = 600, eager_install: bool = True, log_files: list[str] | None = None) -> None:
        if not isinstance(setup_timeout_seconds, int):
            raise TypeError(f"setup_timeout_seconds must be of type int, got: {type(setup_timeout_seconds)}")
        if setup_timeout_seconds < -1 or setup_timeout_seconds == 0:
            raise ValueError(f"setup_timeout_seconds must be greater than zero or equals to -1, got: {setup_timeout_seconds}")
        if not isinstance(eager_install, bool):
            raise TypeError(f"eager_install must be a boolean. got {type(eager_install)}")
        if log_files is not None and not (isinstance(log_files, list) and all(isinstance(f, str) for f in log_files)):
            raise TypeError(f"log_files must be a list of strings or None, got {log_files}")
        super().__init__(setup_timeout_seconds=setup_timeout_seconds, eager_install=eager_install, log_files=log_files or [])

    def to_dict(self) -> dict[str, Any]:
        """Returns a plain copy."""
        return dict(self)

    @classmethod
    def parse_and_validate_runtime_env_config(cls, config: Mapping[str, Any]) -> RuntimeEnvConfig:
        """Makes one of a plain dict. Unknown keys are left out with a warning."""
        if isinstance(config, cls):
            return config
        if not isinstance(config, Mapping):
            raise TypeError(f"runtime_env['config'] must be of type dict or RuntimeEnvConfig, got: {type(config)}")
        unknown = set(config) - cls.known_fields
        if unknown:
            import warnings

            warnings.warn(f"The following unknown entries in the runtime_env_config dictionary will be ignored: {unknown}.", stacklevel=2)
        return cls(**{k: v for k, v in config.items() if k in cls.known_fields})


class RuntimeEnv(dict[str, Any]):
    """What workers of a job, a task or an actor need beside its code. A plain dict with the same keys does as well everywhere.

    Args:
        py_modules: local directories, .py files, wheels or imported modules that workers can import; of a job only, as with Ray.
        py_executable: the interpreter of the workers, or a command that ends in one.
        working_dir: a local directory or archive in which workers start, and from which they import; of a job only. Or a ``file://`` or
            ``https://`` URI of an archive.
        pip: packages: a list, the path of a requirements file, or a dict with ``packages``, ``pip_check``, ``pip_version`` and
            ``pip_install_options``.
        uv: likewise, for uv.
        env_vars: variables of the workers' environment; ``${NAME}`` in a value is replaced.
        worker_process_setup_hook: a function, or "module.function", that runs in each worker before its first task.
        config: a `RuntimeEnvConfig` or a dict like it.
        fields: ``excludes``, patterns as in .gitignore of what of the directories is left out; and what other fields there may be.

    Raises:
        TypeError, ValueError: a field has the wrong type, or two exclude each other.
    """

    known_fields = FIELDS

    def __init__(
        self,
        *,
        py_modules: list[str] | None = None,
        py_executable: str | None = None,
        working_dir: str | None = None,
        pip: list[str] | str | dict[str, Any] | None = None,
        conda: dict[str, str] | str | None = None,
        container: dict[str, str] | None = None,
        env_vars: dict[str, str] | None = None,
        worker_process_setup_hook: object = None,
        nsight: object = None,
        config: Mapping[str, Any] | None = None,
        image_uri: str | None = None,
        uv: list[str] | str | dict[str, Any] | None = None,
        _validate: bool = True,
        **fields: Any,
    ) -> None:
        given = {
            **fields, "py_modules": py_modules, "py_executable": py_executable, "working_dir": working_dir, "pip": pip, "uv": uv,
            "conda": conda, "container": container, "env_vars": env_vars, "config": config, "image_uri": image_uri,
            "worker_process_setup_hook": worker_process_setup_hook, "_nsight": nsight,
        }  # fmt: skip
        given = {name: value for name, value in given.items() if value is not None}
        super().__init__(_normalized(given) if _validate else given)

    def __setitem__(self, name: str, value: Any) -> None:
        value = _field(name, value)
        if value is not None:
            super().__setitem__(name, value)

    def set(self, name: str, value: Any) -> None:
        """Sets a field, which is checked."""
        self[name] = value

    def serialize(self) -> str:
        """Returns the fields as JSON."""
        return encode(self)

    @classmethod
    def deserialize(cls, text: str) -> RuntimeEnv:
        """Makes one of JSON that serialize has written."""
        return cls(_validate=False, **json.loads(text))

    def to_dict(self) -> dict[str, Any]:
        """Returns a plain copy."""
        return {k: dict(v) if isinstance(v, dict) else v for k, v in self.items()}

    def env_vars(self) -> dict[str, str]:
        """Returns the variables."""
        return dict(self.get("env_vars") or {})

    def has_working_dir(self) -> bool:
        """Reports whether there is a working directory."""
        return self.get("working_dir") is not None

    def working_dir(self) -> str:
        """Returns the working directory, empty without one."""
        return str(self.get("working_dir") or "")

    def py_modules(self) -> list[str]:
        """Returns the modules."""
        return list(self.get("py_modules") or [])

    def has_pip(self) -> bool:
        """Reports whether there are packages for pip."""
        return bool(self.get("pip"))

    def has_uv(self) -> bool:
        """Reports whether there are packages for uv."""
        return bool(self.get("uv"))


# --- checks -------------------------------------------------------------------------------------------------------------------


def _is_uri(text: str) -> bool:
    return "://" in text


def _check_path(text: str) -> None:
    if not _is_uri(text) and not os.path.exists(text):
        raise ValueError(f"{text} is not a valid path.")


def _working_dir(value: Any) -> str:
    if hasattr(value, "__fspath__"):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise TypeError(f"`working_dir` must be a string, got {type(value)}.")
    _check_path(value)
    return value


def _py_modules(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"`py_modules` must be a list of strings, got {type(value)}.")
    out = []
    for module in value:
        if hasattr(module, "__fspath__"):
            module = os.fspath(module)
        elif type(module).__name__ == "module":
            path = list(getattr(module, "__path__", ()))
            if len(path) > 1:
                raise ValueError("py_modules only supports modules whose __path__ has length 1 or those who are single-file.")
            module = path[0] if path else module.__file__
        if not isinstance(module, str):
            raise TypeError(f"`py_module` must be a string, got {type(module)}.")
        _check_path(module)
        out.append(module)
    return out


def _excludes(value: Any) -> list[str] | None:
    if not isinstance(value, list) or not all(isinstance(p, str) for p in value):
        raise TypeError(f"runtime_env['excludes'] must be of type List[str], got {type(value)}")
    return value or None


def _env_vars(value: Any) -> dict[str, str] | None:
    if not value and value is not None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], got {type(value)}")
    for name, text in value.items():
        if not isinstance(name, str):
            raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], but the key {name} is of type {type(name)}")
        if not isinstance(text, str):
            raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], but the value {text} is of type {type(text)}")
    return dict(value)


_INSTALLER_FIELDS: dict[str, dict[str, type]] = {
    "pip": {"packages": object, "pip_check": bool, "pip_version": str, "pip_install_options": list},
    "uv": {"packages": object, "uv_check": bool, "uv_version": str, "uv_pip_install_options": list},
}


def _packages(tool: str, value: Any) -> dict[str, Any] | None:
    """Returns packages for pip or uv as a dict, None when there are none."""
    fields = _INSTALLER_FIELDS[tool]
    if isinstance(value, str):
        value = {"packages": _read_requirements(value)}
    elif isinstance(value, list):
        value = {"packages": value}
    elif not isinstance(value, dict):
        raise TypeError(f"runtime_env['{tool}'] must be of type str, List[str] or dict, got {type(value)}")
    if set(value) - set(fields):
        raise ValueError(f"runtime_env['{tool}'] can only have these fields: {', '.join(fields)}, but got: {list(value)}")
    if "packages" not in value:
        raise ValueError(f"runtime_env['{tool}'] must include field 'packages', but got {value}")
    for name, wanted in fields.items():
        if name in value and not isinstance(value[name], wanted):
            raise TypeError(f"runtime_env['{tool}']['{name}'] must be of type {wanted.__name__}, got {type(value[name])}")
    out = dict(value)
    if tool == "pip" and isinstance(out["packages"], str):
        out["packages"] = _read_requirements(out["packages"])
    if not isinstance(out["packages"], list):
        raise ValueError(f"runtime_env['{tool}']['packages'] must be of type list, got: {type(out['packages'])}")
    for name in ("packages", f"{tool}_install_options" if tool == "pip" else "uv_pip_install_options"):
        for i, item in enumerate(out.get(name, ())):
            if not isinstance(item, str):
                raise TypeError(f"runtime_env['{tool}']['{name}'] must be of type list[str] got {type(item)} for {i}-th item.")
    out["packages"] = list(dict.fromkeys(out["packages"]))
    out[f"{tool}_check"] = out.get(f"{tool}_check", False)
    return out if out["packages"] else None


def _read_requirements(path: str) -> list[str]:
    if not os.path.isfile(path):
        raise ValueError(f"{path} is not a valid file")
    with open(path, encoding="utf-8") as f:
        return f.read().strip().split("\n")


def _hook(value: Any) -> Any:
    if not isinstance(value, str) and not callable(value):
        raise TypeError(f"worker_process_setup_hook must be a function, or a string that names one, got {type(value)}.")
    return value


def _py_executable(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"runtime_env['py_executable'] must be a string, got {value!r}")
    return value


_CHECKS = {
    "working_dir": _working_dir,
    "py_modules": _py_modules,
    "excludes": _excludes,
    "env_vars": _env_vars,
    "pip": lambda v: _packages("pip", v),
    "uv": lambda v: _packages("uv", v),
    "config": RuntimeEnvConfig.parse_and_validate_runtime_env_config,
    "worker_process_setup_hook": _hook,
    "py_executable": _py_executable,
}


def _field(name: str, value: Any) -> Any:
    """Checks one field and returns it in its normal form; None when it says nothing."""
    if value is None:
        return None
    check = _CHECKS.get(name)
    return check(value) if check is not None else value


def _normalized(given: Mapping[str, Any]) -> dict[str, Any]:
    """Checks the fields of an environment and returns those that say something."""
    if sum(given.get(name) is not None for name in ("pip", "uv", "conda")) > 1:
        raise ValueError(
            "The 'pip' field, 'uv' field, and 'conda' field of runtime_env cannot be specified at the same time.\n"
            f"specified pip field: {given.get('pip')}\nspecified conda field: {given.get('conda')}\nspecified uv field: {given.get('uv')}"
        )
    for name in ("container", "image_uri"):
        if given.get(name) and (others := sorted(set(given) - {name, "config", "env_vars"})):
            raise ValueError(f"The '{name}' field currently cannot be used together with other fields of runtime_env. Specified fields: {others}")
    checked = {name: _field(name, value) for name, value in given.items()}
    return {name: value for name, value in checked.items() if value is not None}


def check_job(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the environment of a job in its normal form. Raises TypeError or ValueError for what cannot be, or is not there."""
    env = _normalized(given or {})
    for name, hint in _REFUSED.items():
        if env.get(name):
            raise ValueError(f"Mobula does not have the field '{name}' of runtime_env: {hint}")
    directory = env.get("working_dir", "")
    if directory and not _is_uri(directory) and not os.path.isdir(directory) and not directory.endswith(_archives()):
        raise ValueError(f"directory {directory} must be an existing directory or a supported archive ({', '.join(_archives())})")
    return env


def _archives() -> tuple[str, ...]:
    from mobula._snapshot import ARCHIVES

    return ARCHIVES


def check_task(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the environment of a task or an actor in its normal form. As with Ray, its directories are URIs: only a job can send local ones.

    Raises TypeError or ValueError for what cannot be.
    """
    env = check_job(given)
    for text in [env.get("working_dir"), *env.get("py_modules", ())]:
        if text is not None and not _is_uri(text):
            raise ValueError(
                f"{text} is not a valid URI. Passing directories or modules to be dynamically uploaded is only supported at the job level "
                "(i.e., passed to `ray.init`)."
            )
    return env


# --- what is sent -------------------------------------------------------------------------------------------------------------


def merge(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the environment of a task: its own fields replace those of the submitter's, its variables are added to theirs."""
    merged = {**parent, **child}
    if "worker_process_setup_hook" in child and _HOOK not in child:
        merged.pop(_HOOK, None)
    for ours, theirs in (("pip", "uv"), ("uv", "pip")):
        if ours in child:
            merged.pop(theirs, None)
    variables = {**(parent.get("env_vars") or {}), **(child.get("env_vars") or {})}
    if variables:
        merged["env_vars"] = variables
    return merged


def encode(env: Mapping[str, Any]) -> str:
    """Returns an environment as JSON, the same for the same content. A setup hook that is a function goes by value."""
    out = {name: value for name, value in env.items() if value is not None}
    hook = out.get("worker_process_setup_hook")
    if hook is not None and not isinstance(hook, str):
        out["worker_process_setup_hook"], out[_HOOK] = getattr(hook, "__name__", repr(hook)), _pickled_hook(hook)
    return json.dumps(out, sort_keys=True, default=str)


def _pickled_hook(hook: Any) -> str:
    from mobula.exceptions import RuntimeEnvSetupError

    try:
        import cloudpickle

        data = cloudpickle.dumps(hook)
    except Exception as e:
        raise RuntimeEnvSetupError("Failed to export the setup function.") from e
    if len(data) > _HOOK_MAX:
        raise RuntimeEnvSetupError(f"Failed to export the setup function: it has {len(data)} bytes with what it refers to, and may have {_HOOK_MAX}.")
    return base64.b64encode(data).decode()


def resolve(env: Mapping[str, Any], node_directory: str) -> dict[str, Any]:
    """Takes snapshots of the local directories of a job's environment, below its node's directory, and returns it with their URIs.

    Raises RuntimeEnvSetupError for what is too large or cannot be read.
    """
    from mobula import _snapshot
    from mobula.exceptions import RuntimeEnvSetupError

    out = dict(env)
    excludes = out.pop("excludes", None) or []
    directory, modules = out.get("working_dir"), out.get("py_modules", [])
    store = os.path.join(node_directory, "runtime")
    what = "working_dir"
    try:
        if directory and not _is_uri(directory):
            what = f"working_dir {directory}"
            out["working_dir"] = "file://" + _snapshot.take(directory, store, [*_default_excludes(), *excludes])
        for i, module in enumerate(modules):
            if not _is_uri(module):
                what = f"module {module}"
                modules = [*modules[:i], "file://" + _snapshot.take(module, store, excludes, keep_name=True), *modules[i + 1 :]]
                out["py_modules"] = modules
    except (OSError, ValueError, _snapshot.TooLarge) as e:
        raise RuntimeEnvSetupError(f"Failed to upload {what} to the cluster: {e}") from e
    if directory or modules:
        _snapshot.sweep(store, _KEEP)
    return out


def _default_excludes() -> list[str]:
    text = os.environ.get("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", ".git,.venv,venv,__pycache__")
    return [p for p in text.split(",") if p]


def fill(out: Any, given: Mapping[str, Any] | None) -> None:
    """Writes the environment of a task or an actor into a ``task_pb2.Options``: that of this process, changed by the one that is given.

    Raises TypeError or ValueError for what cannot be.
    """
    env: Mapping[str, Any] = process.info.get("runtime_env") or {}
    if given:
        env = merge(env, check_task(given))
    elif process.worker is None:
        return  # the node knows that of the job
    if env:
        out.env.update(env.get("env_vars") or {})
        out.runtime_env = encode(env)


def shown(text: str) -> RuntimeEnv:
    """Returns an environment that encode has written as users see it."""
    return _shown(json.loads(text) if text else {})


def inherited() -> RuntimeEnv:
    """Returns the environment of this process as users see it."""
    return _shown(process.info.get("runtime_env") or {})


def _shown(env: Mapping[str, Any]) -> RuntimeEnv:
    return RuntimeEnv(_validate=False, **{name: value for name, value in env.items() if name != _HOOK})


# --- in the worker ------------------------------------------------------------------------------------------------------------


def enter() -> None:
    """Makes a worker one of its environment: what it imports, what its own tasks inherit. Called once, before any code of the user."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return
    from mobula import _snapshot

    env = json.loads(text)
    process.info["runtime_env"] = env
    for path in _list(os.environ.pop(_USES, "")):
        with contextlib.suppress(OSError):
            _snapshot.use(path)
    for entry in reversed(_list(os.environ.pop(_PATH, ""))):
        sys.path.insert(0, entry)
    _own_packages_first()


def run_hook() -> None:
    """Runs the setup hook of this worker, which has its session. What it raises ends the worker."""
    env = process.info.get("runtime_env") or {}
    hook = env.get("worker_process_setup_hook")
    if hook is not None:
        _load_hook(env, hook)()


def _list(text: str) -> list[str]:
    return [part for part in text.split(os.pathsep) if part]


def _own_packages_first() -> None:
    """Puts what was installed for the environment before what the driver's interpreter has, which the driver's own path names too."""
    if sys.prefix == sys.base_prefix:
        return
    own = os.path.join(sys.prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
    if own not in sys.path:
        return
    sys.path.remove(own)
    at = next((i for i, entry in enumerate(sys.path) if entry.endswith(("site-packages", "dist-packages"))), len(sys.path))
    sys.path.insert(at, own)


def _load_hook(env: Mapping[str, Any], name: str) -> Any:
    pickled = env.get(_HOOK)
    if pickled:
        import pickle

        return pickle.loads(base64.b64decode(pickled))
    import importlib

    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function)


# --- in the process that becomes the zygote -----------------------------------------------------------------------------------


class _SetupError(Exception):
    """An environment that cannot be."""


def prepare(env: Mapping[str, Any]) -> tuple[list[str], str, list[str], list[str]]:
    """Makes what an environment needs and is not there yet.

    Returns:
        The command of the interpreter, the working directory or "", the additions to the import path, and the directories that are in use.
    """
    path: list[str] = []
    uses: list[str] = []
    directory = ""
    if env.get("working_dir"):
        directory = _fetch(env["working_dir"], keep_name=False)
        path.append(directory)
        uses.append(directory)
    for module in env.get("py_modules") or ():
        entry = _fetch(module, keep_name=True)
        path.append(entry)
        uses.append(entry)
    command = [sys.executable]
    if env.get("py_executable"):
        import shlex
        import shutil

        command = shlex.split(os.path.expandvars(env["py_executable"]))
        if not command or shutil.which(command[0]) is None:
            raise _SetupError(f"py_executable {env['py_executable']!r} is not a program of this machine")
    for tool in ("pip", "uv"):
        if env.get(tool):
            command = [_install(tool, env[tool], directory)]
            uses.append(os.path.dirname(os.path.dirname(command[0])))
    return command, directory, path, uses


def _install(tool: str, spec: Mapping[str, Any], directory: str) -> str:
    from mobula import _venv

    variables = {k: v for k, v in os.environ.items() if not k.startswith(("MOBULA_ROLE", "MOBULA_RUNTIME"))}
    variables["RAY_RUNTIME_ENV_CREATE_WORKING_DIR"] = directory
    packages = [line.replace("${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}", directory) for line in spec["packages"]]
    try:
        return _venv.ensure(tool, {**spec, "packages": packages}, variables)
    except _venv.InstallError as e:
        raise _SetupError(f"the packages of '{tool}' could not be installed: {e}") from e


def _fetch(uri: str, *, keep_name: bool) -> str:
    """Returns the directory that a URI names, unpacking and, if need be, downloading an archive."""
    scheme, _, rest = uri.partition("://")
    if scheme == "file":
        if os.path.isdir(rest):
            wheels = [n for n in os.listdir(rest) if n.endswith(".whl")]
            return _unpacked(os.path.join(rest, wheels[0]), strip=False) if keep_name and wheels else rest
        if os.path.isfile(rest):
            return _unpacked(rest, strip=True)
        raise _SetupError(f"{uri}: there is nothing of that name")
    if scheme not in ("http", "https"):
        raise _SetupError(f"{uri}: Mobula fetches file://, http:// and https:// URIs, not {scheme}://")
    import tempfile
    import urllib.request

    with tempfile.TemporaryDirectory() as work:
        name = os.path.basename(rest.partition("?")[0])
        try:
            with urllib.request.urlopen(uri, timeout=60) as response, open(os.path.join(work, name), "wb") as f:
                while chunk := response.read(1 << 20):
                    f.write(chunk)
        except (OSError, ValueError) as e:
            raise _SetupError(f"{uri} could not be fetched: {e}") from e
        return _unpacked(os.path.join(work, name), strip=True)


def _unpacked(archive: str, *, strip: bool) -> str:
    """Returns the directory with the content of an archive or a wheel."""
    import hashlib

    from mobula import _snapshot

    store = os.path.join(os.environ.get(_DIRECTORY) or os.getcwd(), "runtime")
    wheel = archive.endswith(".whl")
    with open(archive, "rb") as f:
        digest = hashlib.sha256(b"wheel" if wheel else b"strip" if strip else b"whole")
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    target = os.path.join(store, digest.hexdigest()[:32])
    if os.path.isdir(target):
        return target
    os.makedirs(store, mode=0o700, exist_ok=True)

    def fill_in(work: str) -> None:
        _snapshot.unpack(archive, work, strip=strip and not wheel)
        if wheel:
            _spread(work)

    try:
        return _snapshot.into(store, fill_in, digest)
    except (ValueError, _snapshot.TooLarge) as e:
        raise _SetupError(str(e)) from e


def _spread(work: str) -> None:
    """Moves what a wheel has apart for site-packages beside the rest."""
    import shutil

    for data in [n for n in os.listdir(work) if n.endswith(".data")]:
        for part in ("purelib", "platlib"):
            inner = os.path.join(work, data, part)
            for name in os.listdir(inner) if os.path.isdir(inner) else ():
                shutil.move(os.path.join(inner, name), os.path.join(work, name))


def _refuse(reason: str) -> NoReturn:
    from mobula import _takeover

    try:
        role = _takeover.take()
    except _takeover.TakeoverError as e:
        _takeover.fail(e)
    if role is not None:
        with contextlib.suppress(OSError):
            role.refuse(reason)
    _takeover.fail(_SetupError(reason))


def _report(role: Role | None) -> NoReturn:
    if role is not None:
        role.ready()
    os._exit(0)


def main() -> NoReturn:
    """Prepares the environment of this process and becomes its zygote; or only the former."""
    from mobula import _takeover

    options = sys.orig_argv[1 : sys.orig_argv.index("-m")] if "-m" in sys.orig_argv else ["-P"]
    try:
        command, directory, path, uses = prepare(json.loads(os.environ.get(VARIABLE) or "{}"))
        if os.environ.get(_ONLY):
            _report(_takeover.take())
        os.environ[_PATH], os.environ[_USES] = os.pathsep.join(path), os.pathsep.join(uses)
        if directory:
            os.chdir(directory)
        if uses and command[0].startswith(uses[-1] + os.sep):  # as activating the virtual environment does
            os.environ["VIRTUAL_ENV"] = uses[-1]
            os.environ["PATH"] = os.path.dirname(command[0]) + os.pathsep + os.environ.get("PATH", os.defpath)
        os.execvpe(command[0], [*command, *options, "-m", "mobula._zygote"], os.environ)
    except (_SetupError, OSError, _takeover.TakeoverError) as e:
        _refuse(f"{command[0]}: {e}" if isinstance(e, OSError) and "command" in locals() else str(e))
    except Exception as e:  # of a library that fetches or unpacks: whatever it says is why the environment cannot be
        _refuse(f"{type(e).__name__}: {e}")


if __name__ == "__main__":
    main()
