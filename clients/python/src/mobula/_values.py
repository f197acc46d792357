"""Values to bytes and back: what put, results and arguments are made of.

Between Python processes a value is a pickle of protocol 5 whose large parts (arrays, bytes, data frames) stay out of band,
so that they are copied once into shared memory and read there without a copy. Single plain values and numeric arrays are
written in the portable form of docs/values.md instead, which every language reads, and so is everything that is asked to
be portable. Reading takes both.

Refs inside a value are collected while it is pickled: the ref writes its number in the list of the pack that is in
progress in this thread, and looks its id up under that number when it is unpickled.

What a worker cannot import is pickled by value as cloudpickle does: lambdas, local functions and classes, all of
``__main__``, modules given to ``register_pickle_by_value``, and modules that were made without a file.
"""

from __future__ import annotations

import copyreg
import gc
import io
import os
import pickle
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from mobula import _msgpack
from mobula._msgpack import Buffer, forms
from mobula._msgpack.reader import make_array
from mobula._msgpack.writer import plain_dtype

if TYPE_CHECKING:
    from mobula._inspect import FailureTuple as FailureTuple
    from mobula._inspect import inspect_serializability as inspect_serializability

MSGPACK, PICKLE5, ERROR = 1, 2, 3
"""Formats of a value, as ValueFormat numbers them."""

ID_BYTES = 20
"""Length of an object's id."""


class Packed(NamedTuple):
    """A value that is ready to be sent."""

    format: int
    meta: bytes
    buffers: list[Buffer]
    """Out-of-band bytes, each contiguous, counted by `len`; they may alias the user's memory until they were sent."""
    refs: list[bytes]
    """Ids of the objects and actors inside, 20 bytes each, in the order in which the metadata numbers them."""
    size: int
    """Length of the metadata and all buffers in bytes."""
    keep: object = None
    """What must live until the value was sent: the refs inside, which hold their objects."""


# Refs.


class _Frame:
    """The refs of one pack that is in progress."""

    __slots__ = ("ids", "owners")

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.owners: list[object] = []


class _Local(threading.local):
    """What this thread is packing and unpacking, innermost."""

    packing: _Frame | None = None
    unpacking: Sequence[bytes] | None = None


_local = _Local()


def ref_hooks(
    is_ref: type | tuple[type, ...],
    to_wire: Callable[[Any], tuple[bytes, str | None]],
    from_wire: Callable[[bytes, str | None], object],
    argument: type,
) -> None:
    """Say how refs and actor handles enter and leave values; the ref module does so when it is imported.

    `is_ref` are their classes, `argument` the one of them whose top-level arguments are resolved by the node. `to_wire`
    gives the id (20 bytes), and the class name of an actor handle; `from_wire` makes a ref, or the handle of an actor of
    that class.
    """
    hooks = _msgpack.HOOKS
    hooks.is_ref = is_ref if isinstance(is_ref, tuple) else (is_ref,)
    hooks.to_wire = to_wire
    hooks.from_wire = from_wire
    for kind in [k for k, what in _KINDS.items() if what is _REF]:
        del _KINDS[kind]
    _arguments.clear()
    _arguments.append(argument)
    _KINDS[argument] = _REF


def many_refs_hook(many_from_wire: Callable[[Sequence[bytes]], list[Any]]) -> None:
    """Say how many refs at once enter a process, where that is cheaper than one by one."""
    _msgpack.HOOKS.many_from_wire = many_from_wire


def collect_ref(object_id: bytes, owner: object) -> int | bytes:
    """Return what a ref writes of itself: its number in the list of the pack in progress in this thread; `owner` lives until it was sent.

    Outside of a pack, as in a user's own pickle, it is the id, and this process keeps `owner` from then on: nobody knows where the
    bytes go. Where RAY_allow_out_of_band_object_ref_serialization is 0, that is refused.
    """
    frame = _local.packing
    if frame is None:
        return _keep(object_id, owner)
    frame.ids.append(object_id)
    frame.owners.append(owner)
    return len(frame.ids) - 1


def _keep(object_id: bytes, owner: object) -> bytes:
    if os.environ.get("RAY_allow_out_of_band_object_ref_serialization", "1").lower() in ("0", "false"):
        from mobula.exceptions import OufOfBandObjectRefSerializationException

        raise OufOfBandObjectRefSerializationException(
            f"{type(owner).__name__} {object_id.hex()} cannot be pickled here: outside of arguments, results and put nothing "
            "would keep its object alive. Pass the ref itself to a task or actor, or get its value first."
        )
    from mobula._context import process

    process.kept[object_id] = owner
    return object_id


def ref_at(number: int | bytes) -> bytes:
    """Return the id of a ref by what it wrote of itself: its number in the value that is being unpacked in this thread, or its id."""
    if isinstance(number, bytes):
        return number
    refs = _local.unpacking
    if refs is None or not 0 <= number < len(refs):
        raise pickle.UnpicklingError("a ref was unpickled outside of get and of a task's arguments; the bytes of a value are not to be kept")
    return refs[number]


def load_ref(number: int | bytes) -> object:
    """Make the ref with a number of the value that is being unpacked, or with an id; pickles of refs name this function."""
    try:
        object_id = _local.unpacking[number]  # type: ignore[index]
    except (TypeError, IndexError):
        object_id = ref_at(number)  # which says what is wrong
    return _msgpack.HOOKS.from_wire(object_id, None)


# Packing.

# What pack and pack_args do with a value of exactly that class.
_ATOM, _TEXT, _BYTES, _FLAT, _ARRAY, _REF = 1, 2, 3, 4, 5, 6
_KINDS: dict[type, int] = {
    type(None): _ATOM,
    bool: _ATOM,
    int: _ATOM,
    float: _ATOM,
    complex: _ATOM,
    str: _TEXT,
    bytes: _BYTES,
    bytearray: _BYTES,
    tuple: _FLAT,
    list: _FLAT,
    dict: _FLAT,
}
_arguments: list[type] = []

_MANY = 16
"""From so many refs in a value on, they are made together."""

_FLAT_MAX = 32
"""Most elements of a list or tuple that is looked through for being plain."""

_NO_ARGUMENTS = Packed(PICKLE5, pickle.dumps([], 5), [], [], len(pickle.dumps([], 5)))


def pack(value: object, *, portable: bool = False) -> Packed:
    """Return a value, a result or what is put, ready to be sent.

    None, bool, int, float, str, bytes and numeric numpy arrays take the portable form, all else is pickled, unless
    `portable` asks for the portable form of everything. A value that cannot be sent is a TypeError with the path to the
    culprit.
    """
    t = type(value)
    kind = _KINDS.get(t)
    if kind is None:
        kind = _learn(t)
    if kind == _ATOM:
        meta = _ATOMS[t](value)
        return Packed(MSGPACK, meta, [], [], len(meta))
    if portable or (kind == _TEXT and _is_unicode(cast(str, value))) or (kind == _ARRAY and is_plain_array(value)):
        return _pack_portable(value)
    if kind == _BYTES:
        if t is bytes and len(cast(bytes, value)) < 256:
            meta = b"\xc4%c%b" % (len(cast(bytes, value)), cast(bytes, value))
            return Packed(MSGPACK, meta, [], [], len(meta))
        return _pack_portable(value) if t is bytes else _pack_pickle(_LargeBytes(cast(bytearray, value)), "the value")
    if kind == _FLAT and _is_flat(value):
        meta = pickle.dumps(value, 5)
        return Packed(PICKLE5, meta, [], [], len(meta))
    return _pack_pickle(value, "the value")


_ATOMS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda v: b"\xc0",
    bool: lambda v: b"\xc3" if v else b"\xc2",
    int: forms.integer,
    float: lambda v: forms.PACK_F64(0xCB, v),
    complex: lambda v: forms.extension(forms.EXT_COMPLEX, struct.pack("<2d", v.real, v.imag)),
}
"""The portable forms of the values that have no parts."""


def pack_args(
    args: tuple[object, ...], kwargs: dict[str, object], *, portable: bool = False, function: str = ""
) -> tuple[Packed, list[tuple[int, bytes]], list[str]]:
    """Return the arguments of a call as one value, the refs among them, and the names of those given by name.

    The value is a list, the positional arguments first. A top-level ref stands there as None, and in the second result as
    its position and object id. `function` is for the text of errors.
    """
    names = list(kwargs) if kwargs else []
    items = [*args, *kwargs.values()] if kwargs else list(args)
    if not items and not portable:
        return _NO_ARGUMENTS, [], names
    refs: list[tuple[int, bytes]] = []
    owners: list[object] = []
    plain = True
    for i, x in enumerate(items):
        kind = _KINDS.get(type(x))
        if kind is None:
            kind = _learn(type(x))
        if kind == _ATOM:
            continue
        if kind == _REF:
            refs.append((i, _msgpack.HOOKS.to_wire(x)[0]))
            owners.append(x)
            items[i] = None
        elif kind == _TEXT:
            continue
        elif kind == _BYTES:
            if len(cast(bytes, x)) >= forms.BYTES_OUT_OF_BAND and not portable:
                items[i] = _LargeBytes(cast(bytes, x))
                plain = False
        elif plain:
            plain = kind == _FLAT and _is_flat(x)
    if portable:
        packed = _pack_portable(items, function)
    elif plain:
        meta = pickle.dumps(items, 5)
        packed = Packed(PICKLE5, meta, [], [], len(meta))
    else:
        packed = _pack_pickle(items, function or "the call", names)
    if owners:
        packed = packed._replace(keep=(packed.keep, owners))
    return packed, refs, names


def pack_definition(obj: object, *, name: str = "") -> Packed:
    """Return the code of a function or class, which refs it captured included."""
    return _pack_pickle(obj, name or getattr(obj, "__qualname__", "the definition"))


def _learn(t: type) -> int:
    """Return what is done with values of a class that was not met before, and remember it."""
    if t in _serializers:
        return 0
    if _arguments and issubclass(t, _arguments[0]):
        kind = _REF
    elif t.__name__ == "ndarray" and t.__module__ == "numpy":
        kind = _ARRAY
    else:
        return 0  # not remembered: a class of the user must not be kept alive
    _KINDS[t] = kind
    return kind


def _is_flat(items: Any) -> bool:
    """Report whether a list, tuple or dict holds nothing but a few plain values, so that plain pickle serves."""
    if len(items) > _FLAT_MAX:
        return False
    for x in items:
        kind = _KINDS.get(type(x))
        if kind != _ATOM and kind != _TEXT and not (kind == _BYTES and len(x) < forms.BYTES_OUT_OF_BAND):
            return False
    return type(items) is not dict or _is_flat(tuple(items.values()))


def _is_unicode(s: str) -> bool:
    """Report whether text has a UTF-8 form; Python's may hold lone surrogates."""
    if s.isascii():
        return True
    try:
        s.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_plain_array(v: Any) -> bool:
    """Report whether a numpy array is the same array after it was sent in the portable form: numbers in row-major order."""
    return plain_dtype(v.dtype) != 0 and v.flags.c_contiguous and v.ndim <= forms.DIMENSIONS_MAX


def _pack_portable(value: object, function: str = "") -> Packed:
    w = _msgpack.Writer()
    try:
        w.write(value)
    except _msgpack.NotPortableError as e:
        path = _msgpack.culprit(value)
        raise _msgpack.NotPortableError(e.reason, f"argument {path} of {function}" if function else path) from None
    meta = w.parts[0] if len(w.parts) == 1 else b"".join(w.parts)
    size = len(meta)
    for b in w.buffers:
        size += len(b)
    return Packed(MSGPACK, meta, w.buffers, w.refs, size, w.keep or None)


class _LargeBytes:
    """Bytes among the arguments that are long enough to go out of band."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self.data), (pickle.PickleBuffer(self.data),)


# Pickling.

_serializers: dict[type, tuple[Callable[[Any], object], Callable[[Any], object]]] = {}


def register_serializer(cls: type, *, serializer: Callable[[Any], object], deserializer: Callable[[Any], object]) -> None:
    """Pickle instances of exactly `cls` in this process as what `serializer` returns, read by `deserializer`.

    The deserializer travels with each value; the reader need not register anything.
    """
    _serializers[cls] = (serializer, deserializer)
    _KINDS.pop(cls, None)


def deregister_serializer(cls: type) -> None:
    """Undo `register_serializer`; a class that has none is no error."""
    _serializers.pop(cls, None)


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
            kind = _KINDS.get(t)
            if kind == _REF:
                return obj.__reduce__()
            if kind == _ARRAY or (t.__module__ == "numpy" and _learn(t) == _ARRAY):
                return _reduce_array(obj) if is_plain_array(obj) else NotImplemented
            if t is FunctionType or issubclass(t, type):
                return NotImplemented if id(obj) in _code.known else self.reduce_code(obj)
            if _serializers and t in _serializers:
                serializer, deserializer = _serializers[t]
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


def _pack_pickle(value: object, what: str, names: Sequence[str] = ()) -> Packed:
    frame, outer = _Frame(), _local.packing
    _local.packing = frame
    pickled: list[pickle.PickleBuffer] = []
    try:
        meta = dumps(value, pickled)
        buffers: list[Buffer] = [b.raw() for b in pickled]
    except Exception as e:
        if isinstance(e, pickle.PicklingError) and _code.known and "not the same object" in str(e):
            _code.known.clear()  # a module was reloaded: its former code goes by value
            return _pack_pickle(value, what, names)
        _explain(e, value, what, names)
        raise
    finally:
        _local.packing = outer
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
    path, culprit = _inspect.find(value, _try_dumps)
    where = _place(path, value, what, names)
    if not isinstance(e, (TypeError, AttributeError, pickle.PicklingError)) or hasattr(e, "__notes__"):
        e.add_note(f"while {where} was pickled")
        return
    name = type(culprit).__qualname__
    raise TypeError(
        f"cannot send {where} ({name}): {e}. Make it inside the task or actor, leave it out with __getstate__, or "
        f"register a serializer for {name} with mobula.util.serialization.register_serializer."
    ) from e


def _deepest(value: object, what: str, names: Sequence[str]) -> str:
    """Return in words which argument nests too deep; the way into it would say nothing more."""
    if names or what != "the value":
        for i, x in enumerate(cast("list[object]", value) if isinstance(value, list) else ()):
            if _try_dumps(x) is not None:
                return _place(f"[{i}]", value, what, names)
    return what


def _place(path: str, value: object, what: str, names: Sequence[str]) -> str:
    """Return in words where in a value, or in the arguments of a call, a path leads."""
    if not path.startswith("[") or not isinstance(value, list) or what in ("the value",):
        return f"{what}{path}" if path.startswith(".") or not path else f"{what}: {path}"
    number, _, rest = path[1:].partition("]")
    i = int(number)
    first = len(value) - len(names)
    argument = f"argument {names[i - first]}" if i >= first else f"argument {i}"
    return f"{argument} of {what}{', its ' + rest.lstrip('.') if rest else ''}"


def _try_dumps(value: object) -> BaseException | None:
    """Return why a value cannot be pickled, or None."""
    frame, outer = _Frame(), _local.packing
    _local.packing = frame
    try:
        dumps(value, [])
    except Exception as e:
        return e
    finally:
        _local.packing = outer
    return None


# Unpacking.


def split_refs(joined: Buffer) -> list[bytes]:
    """Return the ids that stand one after the other in `joined`."""
    if not joined:
        return []
    if len(joined) % ID_BYTES:
        raise _msgpack.FormatError(f"{len(joined)} bytes are no list of ids")
    b = bytes(joined)
    return [b[i : i + ID_BYTES] for i in range(0, len(b), ID_BYTES)]


def unpack(format: int, meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> object:
    """Return the value that was packed; for format ERROR the exception that get raises.

    Arrays alias their buffers, read-only if those are. A value that cannot be unpickled is a RaySystemError.
    """
    if format == PICKLE5:
        return _loads(meta, buffers, refs)
    if format == MSGPACK:
        return _msgpack.decode(meta, buffers, refs)
    if format == ERROR:
        from mobula._errors import unpack_error

        return unpack_error(meta)
    raise _msgpack.FormatError(f"a value of format {format}, which this version does not know")


def unpack_args(format: int, meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> list[object]:
    """Return the arguments of a call as a list of the caller's own, None where a resolved ref belongs."""
    args = unpack(format, meta, buffers, refs)
    if not isinstance(args, list):
        raise _msgpack.FormatError("the arguments of a call that are not a list")
    return args


class _ManyRefs(pickle.Unpickler):
    """Opens a value with many refs: they are made, and held, together, and looked up by number without a call in Python."""

    def __init__(self, meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> None:
        super().__init__(io.BytesIO(meta), buffers=buffers)
        self._refs = _msgpack.HOOKS.many_from_wire(refs)

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Returns what a name stands for."""
        if global_name == "load_ref" and module_name == __name__:
            return self._refs.__getitem__
        return super().find_class(module_name, global_name)


def _load_many(meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> object:
    """Opens a value with many refs; the garbage collector, which would run for every 700 of them, waits meanwhile."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return _ManyRefs(meta, buffers, refs).load()
    finally:
        if collects:
            gc.enable()


def _loads(meta: Buffer, buffers: Sequence[Buffer], refs: Sequence[bytes]) -> object:
    outer = _local.unpacking
    if refs or outer is not None:
        _local.unpacking = refs
    try:
        if len(refs) >= _MANY:
            return _load_many(meta, buffers, refs)
        return pickle.loads(meta, buffers=buffers)
    except Exception as e:
        raise _unpickling_failed(e) from e
    finally:
        if refs or outer is not None:
            _local.unpacking = outer


def _unpickling_failed(e: Exception) -> Exception:
    import traceback

    from mobula.exceptions import RaySystemError

    if isinstance(e, RaySystemError):
        return e
    return RaySystemError(e, "".join(traceback.format_exception(e)))


def _open_pickle(stream: Buffer, buffers: list[Buffer]) -> object:
    """Open a Python object inside a portable value."""
    return _loads(stream, buffers, _local.unpacking or ())


_msgpack.HOOKS.loads = _open_pickle


def __getattr__(name: str) -> object:
    """Give what is rarely used, and imported then."""
    if name in ("FailureTuple", "inspect_serializability"):
        from mobula import _inspect

        return getattr(_inspect, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
