"""The base of all errors, and the error of a task, which is also an instance of what the task raised.

Both are `mobula.exceptions`'s, and are named so.
"""

from __future__ import annotations

import os
import sys
import types
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobula._gen import value_pb2


class RayError(Exception):
    """Base of all errors of Mobula."""

    __module__ = "mobula.exceptions"

    _text: str | None = None
    """The whole text, where the runtime gave it; else it follows from the class and the arguments."""
    _encoded: bytes = b""
    """The ErrorValue behind the error, encoded; empty when it arose here."""

    hint: str = ""
    """What to do about it; empty if nothing helps."""
    execution: str = ""
    """Whether the work may have happened: "not executed", "may have executed", "executed and failed", or empty."""
    call_site: str = ""
    """Where the work was submitted, "file:line"; empty if unknown."""

    def __str__(self) -> str:
        return self._text if self._text is not None else self._default()

    def _default(self) -> str:
        return Exception.__str__(self)

    @property
    def error(self) -> value_pb2.ErrorValue | None:
        """The ErrorValue that the runtime gave, or None."""
        if not self._encoded:
            return None
        from mobula._gen import value_pb2

        return value_pb2.ErrorValue.FromString(self._encoded)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """Make an exception as it was, without calling its __init__."""
    made = cls.__new__(cls)
    made.args = args
    made.__dict__.update(attributes)
    return made


class RayTaskError(RayError):
    """A task or a method raised.

    `get` raises an instance of this class *and* of the class that the task raised, so that either except clause catches
    it. `cause` is the task's exception, with its own causes; the text is the remote traceback.
    """

    __module__ = "mobula.exceptions"

    function_name: str
    """Name of the function or method."""
    traceback_str: str
    """The traceback where it was raised, as Python prints it, without Mobula's own frames."""
    cause: BaseException
    proctitle: str
    pid: int
    ip: str
    actor_repr: str | None

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException,
        proctitle: str | None = None,
        pid: int | None = None,
        ip: str | None = None,
        actor_repr: str | None = None,
        actor_id: str | None = None,
    ) -> None:
        super().__init__()
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.proctitle = proctitle or prefix() + function_name
        self.pid = os.getpid() if pid is None else pid
        self.ip = ip or ""
        self.actor_repr = actor_repr
        self._actor_id = actor_id
        self._shown = traceback_str.rstrip("\n")
        self.args = (function_name, traceback_str, cause, self.proctitle, self.pid, self.ip)

    _shown: str
    """The traceback as the text of the error, without color."""

    def __str__(self) -> str:
        text = self._shown
        if any(title in text for title in TITLES) and _colored():
            lines = text.split("\n")
            text = "\n".join([_color(line) if line.startswith(TITLES) else line for line in lines])
        return text

    def as_instanceof_cause(self) -> RayTaskError:
        """Return this error as an instance of the cause's class too; itself where that class cannot be combined."""
        cause = self.cause
        if isinstance(self, type(cause)) or isinstance(cause, RayTaskError):
            return self
        try:
            return _dual(self, cause)
        except Exception:
            return self  # a class that cannot be inherited from, or refuses it

    def __reduce__(self) -> tuple[Any, ...]:
        from mobula import _errors

        stream, _ = _errors.pickle_exception(self.cause)
        attributes = {name: value for name, value in self.__dict__.items() if name != "cause"}
        return _restore_task_error, (attributes, stream, _errors.class_name(type(self.cause)))


def _restore_task_error(attributes: dict[str, Any], stream: bytes | None, cause_name: str) -> RayTaskError:
    """Make a RayTaskError with a cause that was pickled apart, since it may not be readable here."""
    from mobula import _errors
    from mobula.exceptions import UnserializableException

    made = RayTaskError.__new__(RayTaskError)
    made.__dict__.update(attributes)
    made.cause = UnserializableException(made.traceback_str)
    if stream is not None:
        try:
            made.cause = _errors.open_exception(stream)
        except Exception as e:
            made.cause.add_note(f"{cause_name} cannot be unpickled here: {type(e).__name__}: {e}")
    made.args = (made.function_name, made.traceback_str, made.cause, made.proctitle, made.pid, made.ip)
    return made


TITLES = ("mobula::", "ray::")
"""How the line above a remote traceback begins."""


def prefix() -> str:
    """Return how that line begins in this process: as in Ray, where programs look for it, if ``ray`` is Mobula here."""
    return TITLES["MOBULA_RAY" in os.environ]


def header(title: str, pid: int = 0, actor_id: str = "", actor_repr: str = "") -> str:
    """Return the line above a remote traceback: what ran, and where."""
    where = [f"pid={pid}"] if pid else []
    if actor_id:
        where.append(f"actor_id={actor_id}")
    if actor_repr:
        where.append(f"repr={actor_repr}")
    return f"{prefix()}{title}()" + (f" ({', '.join(where)})" if where else "")


def _color(line: str) -> str:
    """Return a line above a remote traceback with its title in cyan."""
    title, _, rest = line.partition(" (")
    return f"\x1b[36m{title}\x1b[39m" + (f" ({rest}" if rest else "")


def _colored() -> bool:
    """Report whether the text of an error is likely to be read on a terminal."""
    if "NO_COLOR" in os.environ:
        return False
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


class _Dual(RayTaskError):
    """What the classes that are both RayTaskError and a user's class have in common."""

    def __getattr__(self, name: str) -> Any:
        if (name.startswith("_") and name != "__notes__") or name == "cause":
            raise AttributeError(name)
        return getattr(self.cause, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.cause!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_dual, (self._plain,)

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        return self.__reduce__()

    def as_instanceof_cause(self) -> RayTaskError:
        return self

    def derive(self, excs: Any) -> BaseException:
        """Make a part of an exception group, for ``except*``: a plain group of the user's class."""
        return self.cause.derive(excs)  # type: ignore[attr-defined,no-any-return]

    _plain: RayTaskError


def _restore_dual(plain: RayTaskError) -> RayTaskError:
    return plain.as_instanceof_cause()


_duals: weakref.WeakValueDictionary[type, type] = weakref.WeakValueDictionary()
"""The class for each class of causes, for as long as it is in use."""


def _dual(plain: RayTaskError, cause: BaseException) -> RayTaskError:
    """Make an instance of a class that is RayTaskError and the cause's class at once, with all that the cause has."""
    cause_class = type(cause)
    dual = _duals.get(cause_class)
    if dual is None:
        name = f"RayTaskError({cause_class.__name__})"
        namespace = {"__module__": RayTaskError.__module__, "__qualname__": name, "__init__": _no_init, "__str__": RayTaskError.__str__}
        dual = types.new_class(name, (_Dual, cause_class), {}, lambda body: body.update(namespace))
        _duals[cause_class] = dual
    made: Any
    if isinstance(cause, BaseExceptionGroup):
        made = BaseExceptionGroup.__new__(dual, cause.message, cause.exceptions)
    else:
        base = native_base(cause_class)
        # Of one with the plain layout, __new__ is Exception's; MemoryError's own refuses a class whose first base is another.
        made = (Exception if base.__basicsize__ == Exception.__basicsize__ else base).__new__(dual)
    made.args = cause.args
    for name, value in native_attributes(cause):
        try:
            setattr(made, name, value)
        except (AttributeError, TypeError):
            continue  # read-only, and so set by __new__
    attributes = {**plain.__dict__, **getattr(cause, "__dict__", {})}
    attributes.update(cause=cause, _plain=plain, _shown=plain._shown)
    made.__dict__.update(attributes)
    return made  # type: ignore[no-any-return]


def native_base(cls: type[BaseException]) -> Any:
    """Return the class of Python's own from which an exception class is made; its __new__ takes no arguments."""
    return next(c for c in cls.__mro__ if c.__module__ == "builtins")


def _no_init(self: BaseException, *args: object, **kwargs: object) -> None:
    """Do nothing: an instance is made with all that its cause has."""


def native_attributes(exc: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an exception that lie in slots, as errno of OSError does."""
    for cls in type(exc).__mro__:
        if cls is BaseException or cls is object:
            continue
        for name, attribute in vars(cls).items():
            if isinstance(attribute, (types.MemberDescriptorType, types.GetSetDescriptorType)) and not name.startswith("__"):
                try:
                    value = getattr(exc, name)
                except Exception:
                    continue  # not set
                if value is not None:
                    yield name, value
