"""Pickles of values: cloudpickle's rules, with shortcuts, and errors that say what cannot be pickled."""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType
from typing import Any, ClassVar, cast

from mobula._msgpack import Buffer
from mobula._msgpack.reader import make_array
from mobula._msgpack.writer import plain_dtype
from mobula._values.kinds import ARRAY, KINDS, REF, is_plain_array, learn, serializers
from mobula._values.packed import PICKLE5, Packed
from mobula._values.refs import Frame, local


class _CodeCache:
    """Functions and classes that were found to be importable by workers, which spares looking at them again.

    It holds its entries strongly, so it is emptied when it is large, and when the modules that go by value change.
    """

    __slots__ = ("by_value", "known")

    MOST = 4096

    def __init__(self) -> None:
        self.known: dict[int, object] = {}
        """By id, since a metaclass may make its classes equal to others."""
        self.by_value: frozenset[str] = frozenset()


_code = _CodeCache()


def _make_pickler() -> Callable[[io.BytesIO, Callable[[Any], object]], Any]:
    """Import cloudpickle and return the class of our picklers; done when the first value needs it."""
    from cloudpickle import cloudpickle

    by_value_modules: set[str] = cloudpickle._PICKLE_BY_VALUE_MODULES

    def reduce_bytecode(code: CodeType) -> tuple[Any, ...]:
        return load_code, (_PYTHON, *cloudpickle._code_reduce(code)[1])

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """cloudpickle's pickler with shortcuts for arrays and importable code, custom serializers, and a live registry."""

        dispatch_table: ClassVar[dict[type, Any]] = {**cloudpickle.Pickler.dispatch_table, CodeType: reduce_bytecode}

        def reducer_override(self, obj: Any) -> Any:
            t = type(obj)
            kind = KINDS.get(t)
            if kind == REF:
                return obj.__reduce__()
            if kind == ARRAY or (t.__module__ == "numpy" and learn(t) == ARRAY):
                return _reduce_array(obj) if is_plain_array(obj) else NotImplemented
            if t is FunctionType or issubclass(t, type):
                return NotImplemented if id(obj) in _code.known else self.reduce_code(obj)
            if serializers and t in serializers:
                serializer, deserializer = serializers[t]
                return deserializer, (serializer(obj),)
            return NotImplemented

        def reduce_code(self, obj: Any) -> Any:
            """Reduce a function or a class: by value, or by reference where a worker can import it."""
            reduced = super().reducer_override(obj)
            if reduced is not NotImplemented:
                return reduced
            if not _is_importable(getattr(obj, "__module__", None)):
                return super().reducer_override(obj)
            if len(_code.known) >= _CodeCache.MOST:
                _code.known.clear()
            _code.known[id(obj)] = obj
            return NotImplemented

    registered = len(copyreg.dispatch_table)

    def make(file: io.BytesIO, buffer_callback: Callable[[Any], object]) -> Any:
        nonlocal registered
        if len(copyreg.dispatch_table) != registered:
            registered = len(copyreg.dispatch_table)
            Pickler.dispatch_table = {**cloudpickle.Pickler.dispatch_table, CodeType: reduce_bytecode}
        if by_value_modules != _code.by_value:
            _code.known.clear()
            _code.by_value = frozenset(by_value_modules)
        return Pickler(file, 5, buffer_callback)

    return make


_pickler: Callable[[io.BytesIO, Callable[[Any], object]], Any] | None = None


def _is_importable(module_name: object) -> bool:
    """Report whether a worker can import a module; if not, have cloudpickle send it by value from now on.

    A module without a file that is not built in was made by the program, as doctest, notebooks and plug-in loaders do.
    """
    module = sys.modules.get(module_name) if isinstance(module_name, str) else None
    if module is None or module_name in sys.builtin_module_names:
        return True
    if getattr(module, "__spec__", None) is not None or getattr(module, "__file__", None) is not None:
        return True
    if "." in module.__name__ and module.__name__.rpartition(".")[0] in sys.modules:
        return True  # a part that its package makes when it is imported, as six.moves
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    return False


_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def load_code(python: str, *args: Any) -> CodeType:
    """Make a code object of one that was pickled by a version of Python: another one's bytecode would crash this process."""
    if python != _PYTHON:
        from mobula.exceptions import RaySystemError

        name = args[12] if len(args) > 12 else "the code"
        raise RaySystemError(
            RuntimeError(
                f"{name} was compiled by Python {python} and cannot run in this process, which is Python {_PYTHON}: functions, and classes that "
                "are sent by value, pass only between the same versions. Run both programs on one version, or import the code from a module that "
                "both have; plain data passes between any"
            )
        )
    return CodeType(*args)


def _reduce_array(v: Any) -> tuple[Any, ...]:
    """Return how to make an array of numbers again from its buffer; in half the time of numpy's own way."""
    return _load_array, (plain_dtype(v.dtype), v.shape, pickle.PickleBuffer(v))


def _load_array(dtype: int, shape: tuple[int, ...], data: Any) -> object:
    return make_array(dtype, shape, data)


def dumps(obj: object, buffers: list[Any] | None = None) -> bytes:
    """Pickle as values are pickled: cloudpickle's rules, ours for arrays, large parts appended to `buffers`."""
    global _pickler
    if _pickler is None:
        _pickler = _make_pickler()
    file = io.BytesIO()
    _pickler(file, None if buffers is None else buffers.append).dump(obj)  # type: ignore[arg-type]
    return file.getvalue()


def pack_pickle(value: object, what: str, names: Sequence[str] = ()) -> Packed:
    frame, outer = Frame(), local.packing
    local.packing = frame
    pickled: list[pickle.PickleBuffer] = []
    try:
        meta = dumps(value, pickled)
        buffers: list[Buffer] = [b.raw() for b in pickled]
    except Exception as e:
        if isinstance(e, pickle.PicklingError) and _code.known and "not the same object" in str(e):
            _code.known.clear()  # a module was reloaded: its former code goes by value
            return pack_pickle(value, what, names)
        _explain(e, value, what, names)
        raise
    finally:
        local.packing = outer
    size = len(meta)
    for b in buffers:
        size += len(b)
    return Packed(PICKLE5, meta, buffers, frame.ids, size, frame.owners or None)


def _explain(e: Exception, value: object, what: str, names: Sequence[str]) -> None:
    """Raise a TypeError with the path to what cannot be pickled; an error of the user's own gets the path as a note."""
    from mobula import _inspect

    if isinstance(e, pickle.PicklingError) and isinstance(e.__cause__, RecursionError):
        raise pickle.PicklingError(
            f"{_deepest(value, what, names)} nests too deep to be pickled: more levels than Python allows (recursion limit {sys.getrecursionlimit()})"
        ) from e
    path, culprit = _inspect.find(value, try_dumps)
    where = _place(path, value, what, names)
    if not isinstance(e, (TypeError, AttributeError, pickle.PicklingError)) or hasattr(e, "__notes__"):
        e.add_note(f"while {where} was pickled")
        return
    name = type(culprit).__qualname__
    raise TypeError(
        f"Could not serialize {where} ({name}): {e}. Make it inside the task or actor, leave it out with __getstate__, or "
        f"register a serializer for {name} with mobula.util.serialization.register_serializer."
    ) from e


def _deepest(value: object, what: str, names: Sequence[str]) -> str:
    """Return in words which argument nests too deep; the way into it would say nothing more."""
    if names or what != "the value":
        for i, x in enumerate(cast("list[object]", value) if isinstance(value, list) else ()):
            if try_dumps(x) is not None:
                return _place(f"[{i}]", value, what, names)
    return what


def _place(path: str, value: object, what: str, names: Sequence[str]) -> str:
    """Return in words where in a value, or in the arguments of a call, a path leads."""
    if not path.startswith("[") or not isinstance(value, list) or what in ("the value",):
        return f"{what}{path}" if path.startswith(".") or not path else f"{what}: {path}"
    number, _, rest = path[1:].partition("]")
    i = int(number)
    first = len(value) - len(names)
    argument = f"the argument {names[i - first] if i >= first else i}"
    return f"{argument} of {what}{', its ' + rest.lstrip('.') if rest else ''}"


def try_dumps(value: object) -> BaseException | None:
    """Return why a value cannot be pickled, or None."""
    frame, outer = Frame(), local.packing
    local.packing = frame
    try:
        dumps(value, [])
    except Exception as e:
        return e
    finally:
        local.packing = outer
    return None
