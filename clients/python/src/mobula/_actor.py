"""Actor classes, handles of actors, and their methods."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, TypeVar, Unpack, overload

from mobula import _options, _values
from mobula._context import Capture, current, process, session
from mobula._method import METHOD_ATTRIBUTE
from mobula._refs import INDEX_0, ActorID, ObjectRef, install_ref_hooks
from mobula._remote import (
    ACTOR,
    GO,
    INLINE_MAX,
    METHOD,
    PYTHON,
    Call,
    call_site,
    definitions,
    full_name,
    is_coroutine,
    is_generator,
    put_large,
    set_returns,
)
from mobula._signature import ANYTHING, Signature, signature_of
from mobula._tracing import begin_submit
from mobula.exceptions import ActorAlreadyExistsError

if TYPE_CHECKING:
    from mobula import _typing
    from mobula._session import Session
    from mobula.dag.nodes import ClassMethodNode, ClassNode

T = TypeVar("T")

_BUILT_IN = ("__ray_ready__", "__ray_call__", "__ray_terminate__")
"""Methods that every actor has."""


class ActorClassInheritanceException(TypeError):
    """A class was derived from an actor class."""


class Method:
    """What a caller must know of one method of a class."""

    __slots__ = ("calls", "decorator", "high", "is_generator", "low", "name", "options", "signature")

    def __init__(self, name: str, signature: Signature, generator: bool, options: dict[str, Any], decorator: Any = None) -> None:
        self.name = name
        self.signature = signature
        self.low, self.high = signature.low, signature.high
        self.is_generator = generator
        self.options = options
        self.decorator = decorator
        self.calls: tuple[Session, dict[int, Call]] | None = None  # of the last session, by retries of the actor


class Class:
    """What a caller must know of an actor's class. It travels with handles, as text, and is the same object for equal texts."""

    __slots__ = ("is_async", "methods", "name", "text")

    def __init__(self, name: str, methods: dict[str, Method], is_async: bool) -> None:
        self.name = name
        self.methods = methods
        self.is_async = is_async
        self.text = self._to_text()
        _classes[self.text] = self

    def _to_text(self) -> str:
        import json

        def options(m: Method) -> dict[str, Any]:
            o = dict(m.options)
            if isinstance(o.get("retry_exceptions"), (list, tuple)):
                from mobula import _errors

                o["retry_exceptions"] = [x if isinstance(x, str) else _errors.class_name(x) for x in o["retry_exceptions"]]
            return o

        data = {n: [m.signature.to_json(), m.is_generator, options(m)] for n, m in self.methods.items()}
        return json.dumps([self.name, self.is_async, data], separators=(",", ":"))


_classes: dict[str, Class] = {}
"""Classes by their text: what a process has met of them, which is as bounded as its code."""


def class_of_text(text: str) -> Class:
    """Returns the class that a text describes. Raises ValueError for a text that is none."""
    known = _classes.get(text)
    if known is not None:
        return known
    import json

    if text.startswith(_FOREIGN):
        try:
            return ForeignClass(*json.loads(text[len(_FOREIGN) :]))
        except TypeError as e:
            raise ValueError(f"the description of an actor's class cannot be read: {e}") from e
    try:
        name, is_async, data = json.loads(text)
        methods = {n: Method(n, Signature.from_json(s), g, o) for n, (s, g, o) in data.items()}
    except (TypeError, KeyError, AttributeError) as e:
        raise ValueError(f"the description of an actor's class cannot be read: {e}") from e
    made = Class(name, methods, is_async)
    _classes[text] = made
    return made


def describe(cls: type, name: str) -> Class:
    """Returns the description of a class."""
    methods: dict[str, Method] = {}
    is_async = False
    for attribute in dir(cls):
        try:
            value = getattr(cls, attribute)
        except AttributeError:
            continue
        if not callable(value) or isinstance(value, type):
            continue
        function = getattr(value, "__func__", value)
        raw = _lookup(cls, attribute)
        if isinstance(function, FunctionType):
            is_async = is_async or is_coroutine(function) or bool(function.__code__.co_flags & 0x200)
            skip = not isinstance(raw, staticmethod)
        elif attribute.startswith("_") or not hasattr(type(raw), "__get__"):
            continue
        else:  # written in C, compiled, or wrapped by an object such as a cache's
            skip = not isinstance(raw, staticmethod) and getattr(value, "__self__", None) is None
        options = getattr(function, METHOD_ATTRIBUTE, {})
        methods[attribute] = Method(
            attribute, signature_of(function, skip_first=skip), is_generator(function), options,
            getattr(function, "__ray_invocation_decorator__", None),
        )  # fmt: skip
    for attribute in _BUILT_IN:
        if attribute not in methods:
            methods[attribute] = Method(attribute, ANYTHING if attribute == "__ray_call__" else _NOTHING, False, {})
    return Class(name, methods, is_async)


_NOTHING = Signature([], 0, 0, {}, False, False)


def _lookup(cls: type, attribute: str) -> Any:
    for c in cls.__mro__:
        if attribute in c.__dict__:
            return c.__dict__[attribute]
    return None


class ActorClass(Generic[T]):
    """A class whose instances are actors: each lives in a process of its own. ``.remote(...)`` makes one and returns a handle at once."""

    def __init__(self, cls: type[T], options: Mapping[str, Any]) -> None:
        """Makes an actor class. The options must have been checked. Raises TypeError for an abstract class."""
        abstract = sorted(getattr(cls, "__abstractmethods__", ()))
        if abstract:
            many = "s" if len(abstract) > 1 else ""
            raise TypeError(f"Can't instantiate abstract class ActorClass({cls.__name__}) with abstract method{many} {', '.join(abstract)}")
        self._set(cls, dict(options))

    def _set(self, cls: type[T], options: dict[str, Any]) -> None:
        self._class = cls
        self._default_options = options
        self._class_name = full_name(cls)
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(self, name, getattr(cls, name, None))
        self.__wrapped__ = cls
        self._description: Class | None = None
        init: Any = cls.__init__
        self._constructor = signature_of(init, skip_first=True) if _has_init(cls) else _NOTHING
        self._template: tuple[Session, int] | None = None

    if not TYPE_CHECKING:  # to a checker it is no function, so that it says so where one is called as one

        def __call__(self, *args, **kwargs):
            name = self._class.__qualname__
            raise TypeError(f"Actors cannot be instantiated directly. Instead of '{name}()', use '{name}.remote()'.")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        raise ActorClassInheritanceException(
            f"Attempted to define a subclass of actor class '{self._class.__name__}'. Inheriting from actor classes is not supported. "
            "You can instead inherit from a non-actor base class and make the derived class an actor class (with @ray.remote)."
        )

    @property
    def __ray_actor_class__(self) -> type[T]:
        """The class that was decorated: programs test it without actors."""
        return self._class

    @property
    def __ray_metadata__(self) -> Any:
        """The class and its name, as ``modified_class`` and ``class_name``."""
        from types import SimpleNamespace

        return SimpleNamespace(modified_class=self._class, class_name=self._class.__name__)

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if "_class" not in state:
            raise AttributeError(name)
        if "_constructor" not in state:  # unpickled, and whole by now
            self._set(self._class, self._default_options)
            return getattr(self, name)
        if name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._class, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._class)})

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle[T]:
        """Makes an actor and returns its handle at once. An error of the constructor shows with the first call of a method.

        Raises TypeError when the arguments do not fit, ValueError when the name is taken.
        """
        options = self._default_options
        name, namespace = options.get("name"), options.get("namespace")
        if name is not None:
            if name == "":
                raise ValueError("Actor name cannot be an empty string.")
            check_namespace(namespace)
            existing = _existing(options, name, namespace)
            if existing is not None:
                return existing
        elif namespace is not None:
            check_namespace(namespace)
        self._constructor.check(args, kwargs)
        s = session()
        description = self._describe()
        if self._template is None or self._template[0] is not s:
            self._template = (s, self._register(s, description))
        template = self._template[1] if process.capture is None else self._register(s, description, process.capture)
        packed, ref_args, keywords = _values.pack_args(args, kwargs, function=f"{self._class_name}.__init__")
        if packed.size > INLINE_MAX:
            args, kwargs = put_large(s, args, kwargs, False)
            packed, ref_args, keywords = _values.pack_args(args, kwargs, function=f"{self._class_name}.__init__")
        task = current.get()
        span, traceparent, tracestate = begin_submit(self._class_name, task, name or "")
        try:
            actor_id = s.submit(
                template,
                packed,
                ref_args,
                keywords,
                parent=0 if task is None else task.handle,
                call_site=call_site(s, sys._getframe(1)),
                traceparent=traceparent,
                tracestate=tracestate,
            )
        except BaseException as e:
            if span is not None:
                span.end(e)
            raise
        s.handled((actor_id + INDEX_0,))  # whoever calls the actor is told why it could not be made
        if span is not None:
            span.end(None, actor_id)
        handle: ActorHandle[T] = ActorHandle(
            actor_id, description, s, retries=options.get("max_task_retries") or 0, limit=options.get("max_pending_calls") or -1
        )
        return handle if name is None else _await_name(handle, s, name, namespace, bool(options.get("get_if_exists")))

    def _remote(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Makes an actor with options; for programs that know Ray's internal spelling."""
        cls = self.options(**options) if options else self
        return cls.remote(*(args or ()), **(kwargs or {}))

    def _describe(self) -> Class:
        if self._description is None:
            self._description = describe(self._class, self._class_name)
        return self._description

    def _register(self, s: Session, description: Class, capture: Capture | None = None) -> int:
        options = self._default_options if capture is None else _options.captured(self._default_options, capture)
        template = actor_template(self._class_name, options, description)
        template.definition = definitions.put(s, self._class, self._class_name)
        return s.template(template.SerializeToString(deterministic=True))

    def options(self, **options: Unpack[_typing.ActorOptions]) -> ActorClass[T]:
        """Returns this class with other options. Raises ValueError or TypeError for what cannot be."""
        base = {k: v for k, v in self._default_options.items() if k != "concurrency_groups"}
        merged = {**base, **options}
        _options.check_actor(merged, in_options=True)
        if "concurrency_groups" in self._default_options:
            merged["concurrency_groups"] = self._default_options["concurrency_groups"]
        self._describe()
        other: ActorClass[T] = ActorClass.__new__(ActorClass)
        other.__dict__.update(self.__dict__)
        other._default_options, other._template = merged, None
        return other

    def bind(self, *args: Any, **kwargs: Any) -> ClassNode:
        """Returns the node of an actor in a graph that runs later, of which methods can be bound. See `mobula.dag`."""
        from mobula.dag.nodes import ClassNode

        return ClassNode(self, args, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _blank_class, (), (self._class, self._default_options)

    def __setstate__(self, state: tuple[type[T], dict[str, Any]]) -> None:
        self._class, self._default_options = state  # the rest when it is first used: the class may not be whole yet

    def __repr__(self) -> str:
        return f"ActorClass({self._class.__name__})"


def _existing(options: Mapping[str, Any], name: str, namespace: str | None) -> ActorHandle[Any] | None:
    """Returns the actor of that name when that is wanted; raises ValueError when it is in the way."""
    try:
        handle = get_actor(name, namespace)
    except ValueError:
        return None
    if options.get("get_if_exists"):
        return handle
    raise ActorAlreadyExistsError(
        f"The name {name} (namespace={namespace}) is already taken. Please use a different name or get the existing actor using "
        f"ray.get_actor('{name}', namespace='{namespace}')"
    )


def _await_name(handle: ActorHandle[Any], s: Session, name: str, namespace: str | None, get_if_exists: bool) -> ActorHandle[Any]:
    """Waits until the name of a new actor can be found; returns the handle of the actor that has it.

    Raises ActorAlreadyExistsError when somebody else was quicker and that is not wanted.
    """
    import time

    assert handle._mobula_hold is not None
    made = handle._mobula_hold._id
    pause = 0.0005
    while True:
        try:
            found = get_actor(name, namespace)
        except ValueError:
            found = None
        if found is not None:
            if found == handle or get_if_exists:
                return found
            raise ActorAlreadyExistsError(f"The name {name} (namespace={namespace}) is already taken.")
        if s.wait([made], 1, 0, False)[0]:
            return handle  # it was made and has ended, or could not be made: its first call says why
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _blank_class() -> ActorClass[Any]:
    return ActorClass.__new__(ActorClass)


def _has_init(cls: Any) -> bool:
    return cls.__init__ is not object.__init__


def check_namespace(namespace: Any) -> None:
    """Raises TypeError or ValueError for what cannot be a namespace."""
    if namespace is None:
        return
    if not isinstance(namespace, str):
        raise TypeError("namespace must be None or a string.")
    if namespace == "":
        raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')


def actor_template(name: str, options: Mapping[str, Any], description: Class) -> Any:
    """Returns the template of the creation of an actor, without its definition."""
    from mobula._gen import task_pb2

    t: Any = task_pb2.Template(kind=ACTOR, name=name, language=PYTHON, num_returns=1, **{"class": name})  # type: ignore[arg-type]
    limit = options.get("max_pending_calls") or -1
    t.description = f"{options.get('max_task_retries') or 0} {limit} {description.text}".encode()
    out = t.options
    _options.fill_common(out, options)
    specified = any(options.get(k) is not None for k in ("num_gpus", "accelerator_type")) or bool(options.get("resources"))
    if options.get("num_cpus") is None and specified:
        out.num_cpus = _options.UNITS  # as Ray: one CPU beside other resources; without any, none while it runs
    _options.check_fits(options, name, out, 0)
    out.max_restarts = _options.clamp(options.get("max_restarts") or 0)
    if limit > 0:
        out.max_pending_calls = _options.clamp(limit)
    _fill_concurrency(out, options, description)
    lifetime = options.get("lifetime")
    if lifetime is not None:
        out.lifetime = 2 if lifetime == "detached" else 1
    if options.get("name"):
        out.namespace = options.get("namespace") or ""
        out.get_if_exists = bool(options.get("get_if_exists"))
    return t


def _fill_concurrency(out: Any, options: Mapping[str, Any], description: Class) -> None:
    concurrency = options.get("max_concurrency")
    if concurrency is None:
        concurrency = _options.MAX_CONCURRENCY_ASYNC if description.is_async else 1
    groups = options.get("concurrency_groups") or {}
    if isinstance(groups, list):
        groups = {g["name"]: g["max_concurrency"] for g in groups}
    for name, limit in groups.items():
        out.concurrency_groups[name] = limit
    for m in description.methods.values():
        group = m.options.get("concurrency_group")
        if group is not None and group not in groups:
            raise ValueError(f"method {m.name} is in concurrency group {group!r}, which is not among the groups {sorted(groups)}")
    out_of_order = options.get("allow_out_of_order_execution")
    if out_of_order is None:
        out_of_order = description.is_async or concurrency > 1
    if not out_of_order and (description.is_async or concurrency > 1):
        kind = "async" if description.is_async else "multi-threaded"
        raise ValueError(
            f"If you're using {kind} actors, Ray can't execute actor tasks in order. Set `allow_out_of_order_execution=True` to allow "
            "out-of-order execution."
        )
    if concurrency != 1:
        out.max_concurrency = _options.clamp(concurrency)
    out.allow_out_of_order_execution = out_of_order


class ActorHandle(Generic[T]):
    """A handle of an actor: ``handle.method.remote(...)`` calls it. The actor lives until no handle of it is left.

    Handles can be passed to tasks and actors and kept there.
    """

    __slots__ = ("__dict__", "__weakref__", "_mobula_class", "_mobula_hold", "_mobula_id", "_mobula_limit", "_mobula_pending", "_mobula_retries")

    def __init__(self, actor_id: bytes, cls: Class, s: Session | None, *, retries: int = 0, limit: int = -1) -> None:
        """Makes a handle, which takes over a hold of the actor that the caller has; with a session of None it holds nothing."""
        self._mobula_id = actor_id
        self._mobula_class = cls
        self._mobula_hold: ObjectRef[Any] | None = None if s is None else ObjectRef(actor_id + INDEX_0, s)
        self._mobula_retries = retries
        self._mobula_limit = limit
        self._mobula_pending: list[Any] | None = [] if limit > 0 else None

    def __getattr__(self, name: str) -> ActorMethod:
        m = self._mobula_class.methods.get(name)
        if m is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return ActorMethod(self, m)

    def __dir__(self) -> list[str]:
        return sorted(self._mobula_class.methods)

    @property
    def _actor_id(self) -> ActorID:
        return ActorID(self._mobula_id)

    @property
    def _ray_actor_id(self) -> ActorID:
        return ActorID(self._mobula_id)

    def __hash__(self) -> int:
        return hash(self._mobula_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and other._mobula_id == self._mobula_id

    def __repr__(self) -> str:
        return f"Actor({self._mobula_class.name.rpartition('.')[2]}, {self._mobula_id.hex()})"

    def __reduce__(self) -> tuple[Any, ...]:
        number = _values.collect_ref(self._mobula_id + INDEX_0, self)
        return _load_handle, (number, self._mobula_class.text, self._mobula_retries, self._mobula_limit)

    def __copy__(self) -> ActorHandle[T]:
        return self

    def __deepcopy__(self, memo: object) -> ActorHandle[T]:
        return self


def _load_handle(number: int | bytes, text: str, retries: int, limit: int) -> ActorHandle[Any]:
    """Makes the handle with a number of the value that is being unpacked; pickles of handles name this function."""
    return _held_handle(_values.ref_at(number), class_of_text(text), retries, limit)


def _held_handle(object_id: bytes, cls: Class, retries: int = 0, limit: int = -1) -> ActorHandle[Any]:
    s = session()
    s.hold(object_id)
    return ActorHandle(bytes(object_id[:16]), cls, s, retries=retries, limit=limit)


def _handle_to_wire(handle: ActorHandle[Any]) -> tuple[bytes, str]:
    return handle._mobula_id + INDEX_0, handle._mobula_class.name


def _handle_of_wire(object_id: bytes, class_name: str) -> ActorHandle[Any]:
    return _held_handle(bytes(object_id), ForeignClass(class_name))


class _AnyMethods(dict[str, Method]):
    """The methods of a class that is not known: every name is one."""

    def get(self, name: str, default: Any = None) -> Any:
        if name.startswith("_"):
            return default
        m = super().get(name)
        if m is None:
            m = self[name] = Method(name, ANYTHING, False, {})
        return m

    def __iter__(self) -> Iterator[str]:
        return iter(())


class ForeignClass(Class):
    """A class of another language, of which only the name is known."""

    __slots__ = ("executable", "language")

    def __init__(self, name: str, language: int = GO, executable: str = "") -> None:
        self.language = language
        self.executable = executable  # of a class of Go that is not in the driver's own program
        super().__init__(name, _AnyMethods(), False)

    def _to_text(self) -> str:
        import json

        return _FOREIGN + json.dumps([self.name, self.language, self.executable])


_FOREIGN = "foreign:"
"""How the text of a class of another language begins."""


class ForeignActorClass:
    """A class of another language, by its name: ``.remote(...)`` makes an actor. Its arguments and results are plain data."""

    def __init__(self, name: str, constructor: str, language: int, options: Mapping[str, Any], executable: str = "") -> None:
        self._class_name = name
        self._constructor_name = constructor
        self._language = language
        self._default_options = dict(options)
        self._executable = executable
        self._call: Call | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"Actors cannot be instantiated directly. Instead of '{self._class_name}()', use '{self._class_name}.remote()'.")

    def remote(self, *args: Any) -> ActorHandle[Any]:
        """Makes an actor and returns its handle at once. An error of the constructor shows with the first call of a method.

        Raises TypeError for arguments that are not plain data, ValueError when the name is taken.
        """
        options = self._default_options
        name, namespace = options.get("name"), options.get("namespace")
        check_namespace(namespace)
        if name is not None and (existing := _existing(options, name, namespace)) is not None:
            return existing
        s = session()
        cls = ForeignClass(self._class_name, self._language, self._executable)
        call = self._call
        if call is None or call.session is not s:
            t = actor_template(self._constructor_name, options, cls)
            setattr(t, "class", self._class_name)
            t.language, t.portable, t.executable = self._language, True, self._executable
            number = s.template(t.SerializeToString(deterministic=True))
            self._call = call = Call(s, number, self._constructor_name, 1, portable=True)
        made = call.submit(args, {})
        s.handled((made._id,))  # whoever calls the actor is told why it could not be made
        handle = _held_handle(made._id, cls, options.get("max_task_retries") or 0, options.get("max_pending_calls") or -1)
        return handle if name is None else _await_name(handle, s, name, namespace, bool(options.get("get_if_exists")))

    def options(self, **options: Unpack[_typing.ActorOptions]) -> ForeignActorClass:
        """Returns this class with other options. Raises ValueError or TypeError for what cannot be."""
        merged = {**self._default_options, **options}
        _options.check_actor(merged, in_options=True)
        return ForeignActorClass(self._class_name, self._constructor_name, self._language, merged, self._executable)

    def __reduce__(self) -> tuple[Any, ...]:
        return ForeignActorClass, (self._class_name, self._constructor_name, self._language, self._default_options, self._executable)

    def __repr__(self) -> str:
        return f"ForeignActorClass({self._class_name})"


class ActorMethod:
    """A method of one actor: ``.remote(...)`` submits a call and returns its ref at once."""

    __slots__ = ("_handle", "_method", "_overrides")

    def __init__(self, handle: ActorHandle[Any], method: Method, overrides: dict[str, Any] | None = None) -> None:
        self._handle = handle
        self._method = method
        self._overrides = overrides

    if not TYPE_CHECKING:

        def __call__(self, *args, **kwargs):
            name = self._method.name
            raise TypeError(f"Actor methods cannot be called directly. Instead of running 'object.{name}()', try 'object.{name}.remote()'.")

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Submits a call and returns its ref: a list of refs with ``num_returns`` above 1, a stream of refs for a generator.

        Raises TypeError when the arguments do not fit or cannot be sent, PendingCallsLimitExceeded when the actor's limit is reached.
        """
        m, handle = self._method, self._handle
        if self._overrides is None:
            calls = m.calls
            call = calls[1].get(handle._mobula_retries) if calls is not None and calls[0] is process.session else None
            if call is None:
                call = _connect(m, handle)
        else:
            call = _bind(m, handle, self._overrides)
        if kwargs or not m.low <= len(args) <= m.high:
            m.signature.check(args, kwargs)
        if m.decorator is not None:
            return m.decorator(lambda a, k: call.submit(tuple(a), k, handle._mobula_id))(args, kwargs)
        if handle._mobula_pending is None:
            return call.submit(args, kwargs, handle._mobula_id)
        return _limited(handle, call, args, kwargs)

    def options(self, **options: Unpack[_typing.AnyMethodCallOptions]) -> ActorMethod:
        """Returns this method with other options for its calls. Raises ValueError or TypeError for what cannot be."""
        _options.check_method_call(options, is_generator=self._method.is_generator)
        return ActorMethod(self._handle, self._method, {**(self._overrides or {}), **options})

    def _remote(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        m = self.options(**options) if options else self
        return m.remote(*(args or ()), **(kwargs or {}))

    def bind(self, *args: Any, **kwargs: Any) -> ClassMethodNode | tuple[ClassMethodNode, ...]:
        """Returns the node of a call in a graph that runs later; with ``num_returns`` above 1 one per result. See `mobula.dag`."""
        from mobula.dag.nodes import bind_method

        return bind_method(self, args, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_method, (self._handle, self._method.name, self._overrides)

    def __repr__(self) -> str:
        return f"ActorMethod({self._handle!r}, {self._method.name})"


def _load_method(handle: ActorHandle[Any], name: str, overrides: dict[str, Any] | None) -> ActorMethod:
    m: ActorMethod = getattr(handle, name)
    m._overrides = overrides
    return m


def _connect(m: Method, handle: ActorHandle[Any]) -> Call:
    """Returns the call of a method without overrides, remembered for the session."""
    s = session()
    if m.calls is None or m.calls[0] is not s:
        m.calls = (s, {})
    call = m.calls[1][handle._mobula_retries] = _bind(m, handle, {})
    return call


def _bind(m: Method, handle: ActorHandle[Any], overrides: Mapping[str, Any]) -> Call:
    from mobula._gen import task_pb2

    s = session()
    options = {**m.options, **{k: v for k, v in overrides.items() if v is not None}}
    returns = _options.num_returns(options.get("num_returns"), m.is_generator)
    cls = handle._mobula_class
    foreign = isinstance(cls, ForeignClass)
    language, executable = (cls.language, cls.executable) if isinstance(cls, ForeignClass) else (PYTHON, "")
    name = f"{cls.name}.{m.name}"[-256:]
    t: Any = task_pb2.Template(
        kind=METHOD,  # type: ignore[arg-type]
        name=name,
        language=language,  # type: ignore[arg-type]
        portable=foreign or bool(options.get("portable")),
        executable=executable,
        **{"class": cls.name},  # type: ignore[arg-type]
    )
    out = t.options
    set_returns(t, returns, options)
    retries = options.get("max_task_retries")
    if retries is None:
        retries = handle._mobula_retries
    if retries:
        out.max_task_retries = _options.clamp(retries)
    _options.fill_retries(out, options.get("retry_exceptions"))
    if options.get("concurrency_group"):
        out.concurrency_group = options["concurrency_group"]
    if options.get("enable_task_events") is False:
        out.no_task_events = True
    if options.get("name"):
        out.name = options["name"]
    for label, value in (options.get("_labels") or {}).items():
        out.labels[str(label)] = str(value)
    return Call(s, s.template(t.SerializeToString(deterministic=True)), t.name, returns, portable=foreign)


def _limited(handle: ActorHandle[Any], call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Submits a call unless as many as max_pending_calls of this handle have not ended."""
    s = call.session
    pending = handle._mobula_pending
    assert pending is not None
    if len(pending) >= handle._mobula_limit:
        ready = s.wait([r._id for r in pending], len(pending), 0, False)
        pending[:] = [r for r, done in zip(pending, ready, strict=True) if not done]
    if len(pending) >= handle._mobula_limit:
        from mobula.exceptions import PendingCallsLimitExceeded

        raise PendingCallsLimitExceeded(
            f"The task {call.name} could not be submitted to {handle!r} because more than {handle._mobula_limit} tasks are queued on the actor. "
            "This limit can be adjusted with the `max_pending_calls` actor option."
        )
    out = call.submit(args, kwargs, handle._mobula_id)
    first = out[0] if isinstance(out, list) else getattr(out, "_generator_ref", out)
    if first is not None:
        pending.append(first)
    return out


def get_actor(name: str, namespace: str | None = None) -> ActorHandle[Any]:
    """Returns a handle of the live actor with that name. Raises ValueError when there is none."""
    if not name:
        raise ValueError("Please supply a non-empty value to get_actor")
    check_namespace(namespace)
    from mobula import _errors
    from mobula._gen import session_pb2, value_pb2

    s = session()
    reply = s.query(session_pb2.Query(get_actor=session_pb2.GetActor(name=name, namespace=namespace or "")), timeout=60)
    if reply.HasField("error"):
        if reply.error.kind in (value_pb2.ERROR_KIND_NOT_FOUND, value_pb2.ERROR_KIND_ACTOR_DIED):
            raise ValueError(
                f"Failed to look up actor with name '{name}'. This could because 1. You are trying to look up a named actor you didn't "
                f"create. 2. The named actor died. 3. You did not use a namespace matching the namespace of the actor. "
                f"({reply.error.message})"
            )
        raise _errors.from_error_value(reply.error)
    found = reply.actor
    s.adopt(found.actor_id + INDEX_0)
    return handle_of_template(found.actor_id, found.template, s)


def handle_of_template(actor_id: bytes, template: Any, s: Session | None) -> ActorHandle[Any]:
    """Makes a handle of an actor that is known by the template of its creation."""
    if not template.description:
        return ActorHandle(actor_id, ForeignClass(getattr(template, "class"), template.language, template.executable), s)
    retries, limit, text = template.description.decode().split(" ", 2)
    return ActorHandle(actor_id, class_of_text(text), s, retries=int(retries), limit=int(limit))


@overload
def list_named_actors(all_namespaces: Literal[False] = False) -> list[str]: ...
@overload
def list_named_actors(all_namespaces: bool) -> list[Any]: ...
def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """Returns the names of live actors; with ``all_namespaces`` dicts of name and namespace."""
    from mobula import _errors
    from mobula._gen import session_pb2

    reply = session().query(session_pb2.Query(list_named_actors=session_pb2.ListNamedActors(all_namespaces=all_namespaces)))
    if reply.HasField("error"):
        raise _errors.from_error_value(reply.error)
    if all_namespaces:
        return [{"name": a.name, "namespace": a.namespace} for a in reply.named_actors]
    return [a.name for a in reply.named_actors]


def exit_actor() -> NoReturn:
    """Ends the actor in which this is called, once the call has been left: its caller and all later ones see its death.

    Raises TypeError outside of an actor.
    """
    worker = process.worker
    if worker is None or not worker.actor_id:
        raise TypeError(
            "exit_actor API is called on a non-actor worker. Call this API inside an actor methods if you'd like to exit the actor gracefully."
        )
    worker.exit_actor()


install_ref_hooks(ActorHandle, _handle_to_wire, _handle_of_wire)
