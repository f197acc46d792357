"""Makes what an environment needs on its node and is not there yet: directories, archives, packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

_DIRECTORY = "MOBULA_RUNTIME_DIR"


class SetupError(Exception):
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
            raise SetupError(f"py_executable {env['py_executable']!r} is not a program of this machine")
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
        raise SetupError(f"the packages of '{tool}' could not be installed: {e}") from e


def _fetch(uri: str, *, keep_name: bool) -> str:
    """Returns the directory that a URI names, unpacking and, if need be, downloading an archive."""
    scheme, _, rest = uri.partition("://")
    if scheme == "file":
        if os.path.isdir(rest):
            wheels = [n for n in os.listdir(rest) if n.endswith(".whl")]
            return _unpacked(os.path.join(rest, wheels[0]), strip=False) if keep_name and wheels else rest
        if os.path.isfile(rest):
            return _unpacked(rest, strip=True)
        raise SetupError(f"{uri}: there is nothing of that name")
    if scheme not in ("http", "https"):
        raise SetupError(f"{uri}: Mobula fetches file://, http:// and https:// URIs, not {scheme}://")
    import tempfile
    import urllib.request

    with tempfile.TemporaryDirectory() as work:
        name = os.path.basename(rest.partition("?")[0])
        try:
            with urllib.request.urlopen(uri, timeout=60) as response, open(os.path.join(work, name), "wb") as f:
                while chunk := response.read(1 << 20):
                    f.write(chunk)
        except (OSError, ValueError) as e:
            raise SetupError(f"{uri} could not be fetched: {e}") from e
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
        raise SetupError(str(e)) from e


def _spread(work: str) -> None:
    """Moves what a wheel has apart for site-packages beside the rest."""
    import shutil

    for data in [n for n in os.listdir(work) if n.endswith(".data")]:
        for part in ("purelib", "platlib"):
            inner = os.path.join(work, data, part)
            for name in os.listdir(inner) if os.path.isdir(inner) else ():
                shutil.move(os.path.join(inner, name), os.path.join(work, name))
