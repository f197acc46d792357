"""Virtual environments for the options ``pip`` and ``uv``: one for each set of packages, made once and kept for all programs of the user.

An environment sees everything that the interpreter of the program sees, and what was installed into it goes before that. It is named
after the hash of what it was made of: packages and installer, the content of local ones, and the interpreter. It is made at its final place
under a lock, and counts only when the file that marks it as whole is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mobula import _snapshot

KEEP = 10 << 30
"""How many bytes of environments are kept when they are not in use."""

_LINES = 20
_WHOLE = ".mobula-whole"
_PARENT = "_mobula_parent.pth"


class InstallError(Exception):
    """An environment could not be made; the message has the last lines of the installer."""


def cache_directory() -> str:
    """Returns the user's directory for environments."""
    named = os.environ.get("MOBULA_CACHE_DIR")
    if not named:
        named = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "mobula")
    return os.path.join(named, "environments")


def ensure(tool: str, spec: Mapping[str, Any], variables: Mapping[str, str]) -> str:
    """Returns the interpreter of the environment with these packages, making it if nobody has.

    Args:
        tool: "pip" or "uv".
        spec: as `mobula._runtime_env` has normalized it: packages, and the installer's options.
        variables: the environment of the installer.

    Raises:
        InstallError: the installer failed.
        OSError: there is no room, or no right to write.
    """
    store = cache_directory()
    os.makedirs(store, mode=0o700, exist_ok=True)
    path = os.path.join(store, _digest(tool, spec))
    python = os.path.join(path, "bin", "python")
    if not os.path.exists(os.path.join(path, _WHOLE)):
        with _snapshot.locked(path):
            if not os.path.exists(os.path.join(path, _WHOLE)):  # nobody made it while we waited
                shutil.rmtree(path, ignore_errors=True)
                try:
                    _make(path)
                    (_pip if tool == "pip" else _uv)(path, python, spec, variables)
                except BaseException:
                    shutil.rmtree(path, ignore_errors=True)
                    raise
                with open(os.path.join(path, _WHOLE), "w", encoding="utf-8") as f:
                    json.dump({"tool": tool, **spec}, f)
        _snapshot.sweep(store, KEEP)
    return python


def site_directory(python: str) -> str:
    """Returns where an environment has its packages."""
    return os.path.join(os.path.dirname(os.path.dirname(python)), "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


# --- what an environment is made of -------------------------------------------------------------------------------------------


def _digest(tool: str, spec: Mapping[str, Any]) -> str:
    made_of = {
        "tool": tool,
        "spec": dict(spec),
        "files": [_content(line) for line in spec["packages"]],
        "python": [sys.version, sys.prefix, sys.base_prefix],
        "form": 1,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:32]


def _content(line: str, seen: frozenset[str] = frozenset()) -> str:
    """Returns a hash of the local files that a requirement names: the same words may mean another package tomorrow."""
    line = line.split(" #")[0].strip()
    for flag in ("--requirement", "--constraint", "-r", "-c"):
        if line.startswith(flag):
            file = os.path.abspath(line[len(flag) :].lstrip(" ="))
            if file in seen or not os.path.isfile(file):
                return ""
            with open(file, encoding="utf-8", errors="replace") as f:
                return " ".join([text + _content(text, seen | {file}) for text in f.read().splitlines()])
    path = line.removeprefix("-e ").removeprefix("--editable ").rpartition(" @ ")[2].split(";")[0].strip().removeprefix("file://")
    path = path.partition("[")[0] if not os.path.exists(path) else path
    if not path or not os.path.exists(path):
        return ""
    digest = hashlib.sha256()
    if os.path.isfile(path):
        with open(path, "rb") as binary:
            while chunk := binary.read(1 << 20):
                digest.update(chunk)
    else:
        for e in _snapshot.walk(path, (".git", "__pycache__", "*.egg-info", "build")):
            digest.update(f"{e.name}\0{e.size}\0{os.stat(e.path).st_mtime_ns if e.size >= 0 else 0}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


# --- making it ----------------------------------------------------------------------------------------------------------------


def _make(path: str) -> None:
    """Makes an environment without packages that sees those of this interpreter."""
    import site
    import venv

    inside = sys.prefix != sys.base_prefix
    venv.EnvBuilder(system_site_packages=not inside or _sees_system(), symlinks=True).create(path)
    if inside:  # a venv sees the system's packages, but not those of the venv that made it
        parents = "".join(f"import site; site.addsitedir({d!r})\n" for d in site.getsitepackages([sys.prefix]))
        with open(os.path.join(site_directory(os.path.join(path, "bin", "python")), _PARENT), "w", encoding="utf-8") as f:
            f.write(parents)


def _sees_system() -> bool:
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8") as f:
            return any(line.replace(" ", "").strip().lower() == "include-system-site-packages=true" for line in f)
    except OSError:
        return False


def _pip(path: str, python: str, spec: Mapping[str, Any], variables: Mapping[str, str]) -> None:
    _need_pip(path, python, variables)
    pip = [python, "-P", "-m", "pip"]
    if spec.get("pip_version"):
        _run(path, [*pip, "install", "--disable-pip-version-check", "--no-input", f"pip{spec['pip_version']}"], variables)
    options = spec.get("pip_install_options") or []
    _run(path, [*pip, "install", "--disable-pip-version-check", "--no-input", *options, "-r", _requirements(path, spec)], variables)
    if spec.get("pip_check"):
        _run(path, [*pip, "check", "--disable-pip-version-check"], variables)


def _uv(path: str, python: str, spec: Mapping[str, Any], variables: Mapping[str, str]) -> None:
    uv = _find_uv(variables)
    if uv is None or spec.get("uv_version"):
        _need_pip(path, python, variables)
        wanted = f"uv{spec.get('uv_version') or ''}"
        _run(path, [python, "-P", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", wanted], variables)
        uv = [python, "-P", "-m", "uv"]
    options = spec.get("uv_pip_install_options") or []
    _run(path, [*uv, "pip", "install", "--python", python, *options, "-r", _requirements(path, spec)], variables)
    if spec.get("uv_check"):
        _run(path, [*uv, "pip", "check", "--python", python], variables)


def _find_uv(variables: Mapping[str, str]) -> list[str] | None:
    places = os.pathsep.join((os.path.dirname(sys.executable), variables.get("PATH", os.defpath)))
    found = shutil.which("uv", path=places)
    return None if found is None else [found]


def _need_pip(path: str, python: str, variables: Mapping[str, str]) -> None:
    """Sees to it that the environment has a pip: it mostly sees that of the interpreter."""
    if subprocess.run([python, "-P", "-c", "import pip"], env=dict(variables), capture_output=True, check=False).returncode != 0:
        _run(path, [python, "-P", "-m", "ensurepip", "--default-pip"], variables)


def _requirements(path: str, spec: Mapping[str, Any]) -> str:
    file = os.path.join(path, "requirements.txt")
    with open(file, "w", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in spec["packages"])
    return file


def _run(path: str, command: Sequence[str], variables: Mapping[str, str]) -> None:
    """Runs an installer. Raises InstallError with the last of what it said."""
    log = os.path.join(path, "install.log")
    with open(log, "ab+") as output:
        status = subprocess.run(command, env=dict(variables), stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False).returncode
        if status == 0:
            return
        output.seek(max(0, output.tell() - (16 << 10)))
        last = output.read().decode(errors="replace").splitlines()[-_LINES:]
    raise InstallError("\n".join([f"{' '.join(command)} ended with status {status}:", *last]))
