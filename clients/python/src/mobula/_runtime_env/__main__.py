"""The first process of an environment: it prepares the environment, and becomes its zygote."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from mobula._runtime_env.prepare import SetupError, prepare
from mobula._runtime_env.send import VARIABLE
from mobula._runtime_env.worker import PATH, USES

if TYPE_CHECKING:
    from mobula._takeover import Role

_ONLY = "MOBULA_RUNTIME_ENV_ONLY"


def _refuse(reason: str) -> NoReturn:
    from mobula import _takeover

    try:
        role = _takeover.take()
    except _takeover.TakeoverError as e:
        _takeover.fail(e)
    if role is not None:
        with contextlib.suppress(OSError):
            role.refuse(reason)
    _takeover.fail(SetupError(reason))


def _report(role: Role | None) -> NoReturn:
    if role is not None:
        role.ready()
    os._exit(0)


def main() -> NoReturn:
    """Prepares the environment of this process and becomes its zygote; or only the former."""
    from mobula import _takeover

    options = sys.orig_argv[1 : sys.orig_argv.index("-m")] if "-m" in sys.orig_argv else ["-P"]
    command: list[str] = []
    try:
        command, directory, path, uses = prepare(json.loads(os.environ.get(VARIABLE) or "{}"))
        if os.environ.get(_ONLY):
            _report(_takeover.take())
        os.environ[PATH], os.environ[USES] = os.pathsep.join(path), os.pathsep.join(uses)
        if directory:
            os.chdir(directory)
        if uses and command[0].startswith(uses[-1] + os.sep):  # as activating the virtual environment does
            os.environ["VIRTUAL_ENV"] = uses[-1]
            os.environ["PATH"] = os.path.dirname(command[0]) + os.pathsep + os.environ.get("PATH", os.defpath)
        os.execvpe(command[0], [*command, *options, "-m", "mobula._zygote"], os.environ)
    except (SetupError, OSError, _takeover.TakeoverError) as e:
        _refuse(f"{command[0]}: {e}" if isinstance(e, OSError) and command else str(e))
    except Exception as e:  # of a library that fetches or unpacks: whatever it says is why the environment cannot be
        _refuse(f"{type(e).__name__}: {e}")


if __name__ == "__main__":
    main()
