"""Remote functions, and the one way by which every call of a function or method is submitted."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, Unpack

from mobula import _options, _values
from mobula._context import Capture, current, process, session
from mobula._refs import INDEX_0, ObjectRef, ObjectRefGenerator
from mobula._signature import ANYTHING, Signature, signature_of
from mobula._tracing import begin_submit
from mobula._wire import varint

if TYPE_CHECKING:
    from mobula import _typing
    from mobula._session import Session
    from mobula.dag.nodes import FunctionNode

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

FUNCTION, ACTOR, METHOD = 1, 2, 3
"""Kinds of templates."""

GO = 1
PYTHON = 2
"""This language's number."""

DYNAMIC = b"dynamic"
"""Description of a template whose calls return all items at once: ``num_returns="dynamic"``."""

INLINE_MAX = 100 << 10
"""Bytes of arguments that go inline; of more, the large ones are put, and read from shared memory by the worker."""

_LARGE = 32 << 10

_NAME_MAX = 256
_DEFINITION_WARN = 10 << 20
_SITES_MAX = 60_000

_GENERATOR = 0x20 | 0x200  # flags of code objects: generator, async generator
_COROUTINE = 0x80


def is_generator(function: Any) -> bool:
    """Reports whether a function yields, in either way."""
    return bool(_flags(function) & _GENERATOR)


def is_coroutine(function: Any) -> bool:
    """Reports whether a function is an ``async def`` that returns."""
    return bool(_flags(function) & _COROUTINE)


def _flags(function: Any) -> int:
    while isinstance(inner := getattr(function, "__func__", None), FunctionType) or hasattr(function, "func"):
        function = inner if inner is not None else function.func
    code = getattr(function, "__code__", None)
    return code.co_flags if isinstance(code, CodeType) else 0


def _no_arguments(template: int) -> bytes:
    """Returns the fields template and args of a Submit without arguments."""
    from mobula._session import encode_value

    value = encode_value(_values.pack_args((), {})[0])
    return b'\x18%b"%b%b' % (varint(template), varint(len(value)), value)


class Call:
    """All that is the same for many calls of a function or method, within one session."""

    __slots__ = ("count", "fields", "name", "portable", "returns", "session", "streaming", "template")

    def __init__(self, s: Session, template: int, name: str, returns: int | str, portable: bool = False) -> None:
        self.session = s
        self.template = template
        self.name = name
        self.returns = returns  # a number, "streaming" or "dynamic"
        self.count = returns if isinstance(returns, int) and returns > 0 else 1  # results that the node keeps
        self.streaming = returns == "streaming"
        self.portable = portable
        # Of calls without arguments; None where that does not serve.
        self.fields = _no_arguments(template) if returns == 1 and not portable else None

    def submit(self, args: tuple[Any, ...], kwargs: dict[str, Any], actor_id: bytes = b"") -> Any:
        """Submits a call whose arguments fit and returns what `.remote` returns. Its caller's caller is the call site."""
        s = self.session
        task = current.get()
        fields = self.fields
        if not args and not kwargs and fields is not None and process.tracer is None and (task is None or not task.execute.traceparent):
            frame = sys._getframe(2)
            known = _sites.numbers.get((id(frame.f_code), frame.f_lasti))
            site = known[2] if known is not None and _sites.session is s else _site_field(call_site(s, frame))
            fields = fields + site if task is None else b"%b%bX%b" % (fields, site, varint(task.handle))  # its parent
            if actor_id:
                return ObjectRef(s.submit_plain(b"%b2\x10%b" % (fields, actor_id)), s, True)
            return ObjectRef(s.submit_plain(fields), s)
        packed, ref_args, keywords = _values.pack_args(args, kwargs, portable=self.portable, function=self.name)
        if packed.size > INLINE_MAX:
            args, kwargs = put_large(s, args, kwargs, self.portable)
            packed, ref_args, keywords = _values.pack_args(args, kwargs, portable=self.portable, function=self.name)
        span, traceparent, tracestate = None, "", ""
        if process.tracer is not None or (task is not None and task.execute.traceparent):
            span, traceparent, tracestate = begin_submit(self.name, task)
        try:
            task_id = s.submit(
                self.template,
                packed,
                ref_args,
                keywords,
                returns=self.count,
                streaming=self.streaming,
                actor_id=actor_id,
                parent=0 if task is None else task.handle,
                call_site=call_site(s, sys._getframe(2)),
                traceparent=traceparent,
                tracestate=tracestate,
            )
        except BaseException as e:
            if span is not None:
                span.end(e)
            raise
        if span is not None:
            span.end(None, task_id)
        returns = self.returns
        if returns == 1:
            return ObjectRef(task_id + INDEX_0, s, actor_id != b"")
        method = actor_id != b""
        if returns == "streaming":
            return ObjectRefGenerator(task_id, s, method)
        if returns == "dynamic":
            return ObjectRef(task_id + INDEX_0, s, method)
        refs: list[ObjectRef[Any]] = [ObjectRef(task_id + i.to_bytes(4, "big"), s, method) for i in range(self.count)]
        return refs if returns else None


def put_large(s: Session, args: Any, kwargs: dict[str, Any], portable: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments with refs in the place of those that are large."""

    def put(x: Any) -> Any:
        if x is None or isinstance(x, (bool, int, float, ObjectRef)):
            return x
        packed = _values.pack(x, portable=portable)
        return ObjectRef(s.put(packed), s) if packed.size > _LARGE else x

    return tuple(map(put, args)), {k: put(v) for k, v in kwargs.items()}


class _Sites:
    """Numbers of the places in the source from which this process has submitted, for one session."""

    __slots__ = ("numbers", "session")

    def __init__(self) -> None:
        self.session: Session | None = None
        # By the identity of the code and the instruction; the code is kept, so that its identity is not another's.
        self.numbers: dict[tuple[int, int], tuple[int, CodeType, bytes]] = {}


_sites = _Sites()


def call_site(s: Session, frame: Any) -> int:
    """Returns the number of the place where a frame stands."""
    if _sites.session is not s:
        _sites.numbers = {}
        _sites.session = s
    code = frame.f_code
    key = (id(code), frame.f_lasti)
    known = _sites.numbers.get(key)
    if known is not None:
        return known[0]
    if len(_sites.numbers) >= _SITES_MAX:
        return 0
    number = s.call_site(f"{code.co_filename}:{frame.f_lineno}")
    _sites.numbers[key] = (number, code, _site_field(number))
    return number


def _site_field(number: int) -> bytes:
    """Returns the field call_site of a Submit."""
    return b"P" + varint(number) if number else b""


def full_name(thing: Any) -> str:
    """Returns the name of a function or class as people and state listings see it: its module and its qualified name."""
    name = f"{getattr(thing, '__module__', None) or '__main__'}.{getattr(thing, '__qualname__', type(thing).__name__)}"
    while len(name.encode()) > _NAME_MAX:
        name = name[:100] + "…" + name[-100:] if len(name) > 202 else name[: len(name) // 2]
    return name


class Definitions:
    """The functions and classes that this process has put, by what they are, for one session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._by_content: dict[bytes, ObjectRef[Any]] = {}  # guarded by _lock

    def put(self, s: Session, thing: Any, name: str) -> bytes:
        """Returns the object whose value is the code of a function or class."""
        packed = _values.pack_definition(thing, name=name)
        if packed.size > _DEFINITION_WARN:
            import warnings

            warnings.warn(
                f"the code of {name} has {packed.size >> 20} MiB: it captures large objects. Put them first and pass their refs.",
                stacklevel=5,
            )
        import hashlib

        digest = hashlib.sha256(packed.meta)
        for part in (*packed.buffers, *packed.refs):
            digest.update(part)
        key = digest.digest()
        with self._lock:
            if self._session is not s:
                self._by_content, self._session = {}, s
            ref = self._by_content.get(key)
            if ref is None:
                ref = self._by_content[key] = ObjectRef(s.put(packed), s)
        return ref._id

    def used(self, s: Session) -> bool:
        """Reports whether a session has had work for workers."""
        return self._session is s


definitions = Definitions()


class RemoteFunction(Generic[P, R_co]):
    """A function whose calls run as tasks. ``.remote(...)`` submits one and returns its ref at once.

    Its methods take anything here: what they take of a function of these parameters is said in ``_typing``.
    """

    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[P, R_co], options: Mapping[str, Any]) -> None:
        """Makes a remote function. The options must have been checked."""
        if is_coroutine(function):
            raise ValueError(
                "'async def' should not be used for remote tasks. You can wrap the async function with `asyncio.run(f())`, "
                "or make it a method of an actor."
            )
        self._set(function, dict(options))

    def _set(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function = function
        self._options = options
        self._function_name = full_name(function)
        self._is_generator = is_generator(function)
        self._signature = signature_of(function)
        self._low, self._high = self._signature.low, self._signature.high
        self._call: Call | None = None
        self._captures: dict[bytes, Call] = {}  # by the placement group of the caller
        self._decorator = getattr(function, "__ray_invocation_decorator__", None)
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(self, name, getattr(function, name, None))
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"Remote functions cannot be called directly. Instead of running '{self._function_name}()', try '{self._function_name}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Submits a call and returns its ref: a list of refs with ``num_returns`` above 1, a stream of refs for a generator.

        Arguments that are refs are replaced by their values before the call runs. Raises TypeError when the arguments do not fit or
        cannot be sent.
        """
        call = self._call
        if call is None or call.session is not process.session:
            call = self._connect()
        if process.capture is not None:
            call = self._captured(process.capture, call)
        if kwargs or not self._low <= len(args) <= self._high:
            self._signature.check(args, kwargs)
        if self._decorator is not None:
            return self._decorator(call.submit)(args, kwargs)
        return call.submit(args, kwargs)

    def _remote(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Submits a call with options; for programs that know Ray's internal spelling."""
        f = self.options(**options) if options else self
        return f.remote(*(args or ()), **(kwargs or {}))

    def options(self, **options: Any) -> RemoteFunction[P, R_co]:
        """Returns this function with other options. Raises ValueError or TypeError for what cannot be."""
        base = {k: v for k, v in self._options.items() if k != "max_calls"}
        merged = {**base, **options}
        _options.check_task(merged, in_options=True, is_generator=self._is_generator)
        if "max_calls" in self._options:
            merged["max_calls"] = self._options["max_calls"]
        other: RemoteFunction[P, R_co] = RemoteFunction.__new__(RemoteFunction)
        other.__dict__.update(self.__dict__)
        other._options, other._call = merged, None
        return other

    def bind(self, *args: Any, **kwargs: Any) -> FunctionNode:
        """Returns the node of a call in a graph that runs later; among its arguments may be other nodes. See `mobula.dag`."""
        from mobula.dag.nodes import FunctionNode

        return FunctionNode(self, args, kwargs)

    def _connect(self) -> Call:
        self._call = call = self._make_call(self._options)
        self._captures = {}
        return call

    def _make_call(self, options: Mapping[str, Any]) -> Call:
        s = session()
        returns = _options.num_returns(options.get("num_returns"), self._is_generator)
        template = task_template(self._function_name, options, returns)
        template.definition = definitions.put(s, self._function, self._function_name)
        return Call(s, s.template(template.SerializeToString(deterministic=True)), self._function_name, returns)

    def _captured(self, capture: Capture, plain: Call) -> Call:
        """Returns the call for a task that runs in a placement group that captures what it submits."""
        call = self._captures.get(capture.id)
        if call is None:
            options = _options.captured(self._options, capture)
            call = self._captures[capture.id] = plain if options is self._options else self._make_call(options)
        return call

    def __reduce__(self) -> tuple[Any, ...]:
        return _blank_function, (), (self._function, self._options)

    def __setstate__(self, state: tuple[Callable[..., Any], dict[str, Any]]) -> None:
        # A function that calls itself is not whole yet when this runs: its code is looked at when it is first called.
        self._function, self._options = state

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_function" not in self.__dict__ or "_signature" in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._set(self._function, self._options)
        return getattr(self, name)

    def __repr__(self) -> str:
        return f"RemoteFunction({self._function_name})"


def _blank_function() -> RemoteFunction[Any, Any]:
    return RemoteFunction.__new__(RemoteFunction)


def task_template(name: str, options: Mapping[str, Any], returns: int | str) -> Any:
    """Returns the template of a function, without its definition."""
    from mobula._gen import task_pb2

    t: Any = task_pb2.Template(kind=FUNCTION, name=name, language=PYTHON, portable=bool(options.get("portable")))  # type: ignore[arg-type]
    out = t.options
    _options.fill_common(out, options)
    _options.check_fits(options, name, out, _options.UNITS)
    set_returns(t, returns, options)
    retries = options.get("max_retries")
    out.max_retries = _options.clamp(_options.max_retries_default() if retries is None else retries)
    _options.fill_retries(out, options.get("retry_exceptions"))
    max_calls = options.get("max_calls")
    if max_calls is None and options.get("num_gpus"):
        max_calls = 1  # so that the memory of the GPU is given back
    if max_calls:
        out.max_calls = _options.clamp(max_calls)
    return t


def set_returns(t: Any, returns: int | str, options: Mapping[str, Any]) -> None:
    """Writes what a call returns into a template."""
    t.num_returns = returns if isinstance(returns, int) else 1
    if returns == "streaming":
        t.options.streaming = True
        limit = options.get("_generator_backpressure_num_objects")
        if limit is not None and limit > 0:
            t.options.generator_backpressure = _options.clamp(limit)
    elif returns == "dynamic":
        t.description = DYNAMIC


class ForeignFunction:
    """A function of another language, by its name. Its arguments and results are plain data."""

    def __init__(self, name: str, language: int, options: Mapping[str, Any], executable: str = "") -> None:
        if isinstance(options.get("num_returns"), str):
            raise ValueError(f"num_returns of {name} must be a number: functions of Go have no streams")
        self._function_name = name
        self._language = language
        self._executable = executable  # an absolute path; empty for the driver's own program
        self._options = dict(options)
        self._call: Call | None = None
        self._signature: Signature = ANYTHING

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"Remote functions cannot be called directly. Try '{self._function_name}.remote()'.")

    def remote(self, *args: Any) -> Any:
        """Submits a call and returns its ref. Raises TypeError for arguments that are not plain data."""
        call = self._call
        if call is None or call.session is not process.session:
            s = session()
            returns = _options.num_returns(self._options.get("num_returns"), False)
            template = task_template(self._function_name, self._options, returns)
            template.language, template.portable, template.executable = self._language, True, self._executable
            number = s.template(template.SerializeToString(deterministic=True))
            self._call = call = Call(s, number, self._function_name, returns, portable=True)
        return call.submit(args, {})

    def options(self, **options: Unpack[_typing.AnyTaskOptions]) -> ForeignFunction:
        """Returns this function with other options."""
        merged = {**self._options, **options}
        _options.check_task(merged, in_options=True, is_generator=True)
        return ForeignFunction(self._function_name, self._language, merged, self._executable)

    def __reduce__(self) -> tuple[Any, ...]:
        return ForeignFunction, (self._function_name, self._language, self._options, self._executable)

    def __repr__(self) -> str:
        return f"ForeignFunction({self._function_name})"
