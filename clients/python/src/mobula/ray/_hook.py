"""Makes ``import ray`` mean Mobula, in this process.

The modules of the drop-in are real ones, below ``mobula.ray``. A finder at the head of ``sys.meta_path`` answers for ``ray`` and every
``ray.x.y`` with the module ``mobula.ray.x.y``: the same object under a second name, so that classes, ``isinstance`` and pickles agree
whatever it was imported as. An installed Ray is neither imported nor found. What Mobula does not have is a ModuleNotFoundError that
says so.

The runner (``python -m mobula.ray``) installs the hook before it runs the program, and sets MOBULA_RAY, by which workers and nodes
that the program starts know to do the same. Without the runner nothing is installed, and ``ray`` means what it always meant.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# Set (to 1) in the environment of a process in which ``ray`` is Mobula.
VARIABLE = "MOBULA_RAY"
# Where Python processes that were started with it in their path find a package ray that installs the hook.
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_path")

_HOME = "mobula.ray"
# The benchmark of an installed Ray runs unmodified: this one module of it is read from there. It imports nothing but public API
# and two modules of helpers, which are ours.
_BORROWED = "ray._private.ray_perf"


def install() -> None:
    """Installs the hook. Calling it again does nothing. Raises ImportError when a real Ray was imported before."""
    here = sys.modules.get("ray")
    if here is not None and here.__name__ != _HOME:
        raise ImportError(f"ray was imported from {getattr(here, '__file__', '?')} before it could become Mobula: install the hook first", name="ray")
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def install_if_asked() -> None:
    """Installs the hook in a process whose environment has MOBULA_RAY set: a worker of a program that runs under the runner."""
    if os.environ.get(VARIABLE):
        install()


def explain_missing() -> None:
    """Makes the import of a missing ``mobula.ray.x`` say that Mobula does not have it. ``mobula.ray`` calls it."""
    if not any(isinstance(finder, _Missing) for finder in sys.meta_path):
        sys.meta_path.append(_Missing())


def missing(name: str) -> str:
    """Returns what is said of a name of Ray (such as "ray.tune") that is not there."""
    return f"{name} is not part of this version of Mobula"


class _Finder(MetaPathFinder):
    """Finds ``ray`` and all below it."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != "ray" and not fullname.startswith("ray."):
            return None
        home = _HOME + fullname.removeprefix("ray")
        found = _find(home)
        if found is not None:
            return ModuleSpec(fullname, _Alias(home), origin=found.origin, is_package=found.submodule_search_locations is not None)
        if fullname == _BORROWED:
            return _borrow()
        return _refuse(fullname)


class _Missing(MetaPathFinder):
    """Is asked last, when nobody has found a module."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname.startswith(_HOME + "."):
            return _refuse(fullname.removeprefix("mobula."))
        return None


class _Alias(Loader):
    """Gives the module ``home`` to whoever imports it under the name of the spec."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        # Here and not in exec_module, which may only fill a module: importlib.util.LazyLoader refuses one that was replaced.
        module = importlib.import_module(self._home)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # importlib has put the alias's there


def _find(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None


def _refuse(name: str) -> ModuleSpec | None:
    # importlib.util.find_spec asks whether there is a module, and its callers expect None; import expects a reason.
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_name in ("_find_spec", "find_spec"):
        if frame.f_globals.get("__name__") == "importlib.util":
            return None
        if frame.f_back is None:
            break
        frame = frame.f_back
    raise ModuleNotFoundError(missing(name), name=name)


def _borrow() -> ModuleSpec | None:
    """Returns the spec of ray_perf in an installed Ray, which is not imported for that."""
    spec = PathFinder.find_spec("ray", [entry for entry in sys.path if entry != PATH])
    for root in (spec.submodule_search_locations or ()) if spec is not None else ():
        file = os.path.join(root, "_private", "ray_perf.py")
        if os.path.exists(file):
            return importlib.util.spec_from_file_location(_BORROWED, file)
    return None
