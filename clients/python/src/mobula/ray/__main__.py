"""Runs an unmodified Ray program on Mobula: ``python -m mobula.ray script.py …`` or ``python -m mobula.ray -m module …``.

The program sees what it would see under ``python``: its arguments in sys.argv, its directory (or the working directory, with -m) first
in sys.path, and a ``__main__`` of its own.
"""

from __future__ import annotations

import io
import os
import sys
from types import CodeType, ModuleType, TracebackType
from typing import NoReturn

from mobula.ray import _hook

_USAGE = """\
usage: python -m mobula.ray script.py [argument ...]
       python -m mobula.ray -m module [argument ...]
       python -m mobula.ray -c command [argument ...]

Runs a program written for Ray on Mobula. "import ray" and all below it is Mobula's, in this process and in its workers."""


def main(arguments: list[str]) -> None:
    """Runs the program that the arguments name."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE, file=sys.stdout if arguments else sys.stderr)
        sys.exit(0 if arguments else 2)
    if (arguments[0].startswith("-") and arguments[0] not in ("-m", "-c")) or (arguments[0] in ("-m", "-c") and len(arguments) < 2):
        print(f"mobula.ray: what to run is missing after {arguments[0]}\n{_USAGE}", file=sys.stderr)
        sys.exit(2)
    os.environ[_hook.VARIABLE] = "1"
    # Python processes that the program starts find a package ray there that is Mobula too: by PYTHONPATH or, those that multiprocessing
    # spawns, by this process's sys.path.
    os.environ["PYTHONPATH"] = os.pathsep.join([_hook.PATH, *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path.insert(1, _hook.PATH)
    _hook.install()
    module = ModuleType("__main__")
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    module.__annotations__ = {}
    # Functions of __main__ are pickled by value, and other libraries look here as well.
    code = _load(arguments, module)
    sys.modules["__main__"] = module
    _run(code, module)


def _load(arguments: list[str], module: ModuleType) -> CodeType:
    """Prepares sys.argv, sys.path and module for the program, and returns its code."""
    if arguments[0] == "-m":
        return _load_module(arguments[1], arguments[2:], module)
    if arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        sys.path[0] = ""
        return compile(arguments[1], "<string>", "exec")
    script = arguments[0]
    sys.argv = arguments
    try:
        with io.open_code(os.path.abspath(script)) as file:
            source = file.read()
    except OSError as error:
        print(f"mobula.ray: can't open file {script!r}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
    # `python -m` has put the working directory there; a script gets its own.
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    module.__file__ = script
    return _compile(source, script)


def _compile(source: bytes, name: str) -> CodeType:
    try:
        return compile(source, name, "exec")
    except SyntaxError as error:
        sys.excepthook(SyntaxError, error, None)
        sys.exit(1)


def _load_module(name: str, arguments: list[str], module: ModuleType) -> CodeType:
    # What `python -m` and the profilers of the standard library do to find a module's code, its package imported first.
    import runpy

    sys.argv = ["-m", *arguments]
    try:
        _, spec, code = runpy._get_module_details(name)  # type: ignore[attr-defined]
    except ImportError as error:
        print(f"mobula.ray: {error}", file=sys.stderr)
        sys.exit(1)
    sys.argv[0] = spec.origin
    module.__file__ = spec.origin
    module.__package__ = spec.parent
    module.__spec__ = spec
    module.__loader__ = spec.loader
    return code  # type: ignore[no-any-return]


def _run(code: CodeType, module: ModuleType) -> None:
    """Runs the program's code; its uncaught error is reported as Python does, without the frames of this module."""
    try:
        exec(code, module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        _report(error)


def _report(error: BaseException) -> NoReturn:
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    error.__traceback__ = traceback
    sys.excepthook(type(error), error, traceback)
    if isinstance(error, KeyboardInterrupt):
        # As Python does: whoever waits for this process sees that the signal ended it. atexit runs first, as it would.
        import atexit
        import signal

        atexit._run_exitfuncs()
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
