"""The ``mobula`` command: the binary of this package, and what only Python can do (``mobula compare``)."""

from __future__ import annotations

import os
import shutil
import sys
from typing import NoReturn


def binary() -> str:
    """Returns the path of the mobula binary: MOBULA_BINARY, that of the package, or one on PATH. Raises FileNotFoundError."""
    named = os.environ.get("MOBULA_BINARY")
    if named:
        return named
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bin", "mobula")
    if os.access(here, os.X_OK):
        return here
    found = shutil.which("mobula")
    # The console script of this package has the same name, and would run itself for ever.
    if found and not _is_script(found):
        return found
    raise FileNotFoundError(
        "the mobula binary is not here: the package was installed without its build. "
        "Install it with pip (go on PATH), or set MOBULA_BINARY to what `go build ./cmd/mobula` makes"
    )


def _is_script(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def main() -> NoReturn:
    """Runs the command line of this process: ``mobula compare`` here, everything else in the binary."""
    if sys.argv[1:2] == ["compare"]:
        from mobula import _compare

        sys.exit(_compare.main(sys.argv[2:]))
    try:
        path = binary()
        os.execv(path, ["mobula", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"mobula: {error}")
