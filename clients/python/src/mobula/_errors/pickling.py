"""Pickles of exceptions, each as whole as it can be made."""

from __future__ import annotations

from typing import Any

from mobula import _values
from mobula import exceptions as x
from mobula._errors.text import one_line
from mobula._msgpack import Buffer
from mobula._task_error import native_attributes, native_base

RELATIONS = {"": b"\x00", "cause": b"\x01", "context": b"\x02"}
"""How the payload of a link begins: whether it is the __cause__ or the __context__ of the link before."""


def pickle_exception(exc: BaseException) -> tuple[bytes | None, list[str]]:
    """Return a pickle of an exception that is known to open here, or None; and what had to be left behind."""
    reason = ""
    for make in (_whole, _bare):
        try:
            stream, left_behind = make(exc)
        except Exception as e:
            reason = reason or f"{type(e).__name__}: {e}"
            continue
        return stream, left_behind
    return None, [f"the exception itself could not be sent: {reason}"]


def _whole(exc: BaseException) -> tuple[bytes, list[str]]:
    """Pickle an exception as its class has it; fail unless it comes back as it was."""
    stream = _values.dumps(exc)
    again = open_exception(stream)
    if type(again) is not type(exc):
        raise TypeError(f"it is unpickled as a {type(again).__name__}")
    own = type(exc).__reduce__ is not BaseException.__reduce__ and type(exc).__module__ != "builtins"
    if not own and (_text(again) != _text(exc) or vars(again).keys() != vars(exc).keys()):
        raise TypeError("it is unpickled with another text")
    return stream, []


def _text(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:
        return ""


def _bare(exc: BaseException) -> tuple[bytes, list[str]]:
    """Pickle an exception so that its __init__ is not called, without what cannot be pickled."""
    left_behind: list[str] = []
    if isinstance(exc, BaseExceptionGroup):
        args: tuple[Any, ...] = (exc.message, [_member(e, left_behind) for e in exc.exceptions])
    else:
        args = tuple(a if (e := _fails(a)) is None else _stand_in(a, e, left_behind) for a in exc.args)
    attributes = {}
    for name, value in (*native_attributes(exc), *vars(exc).items()):
        failure = _fails(value)
        if failure is None:
            attributes[name] = value
        else:
            left_behind.append(f"attribute {name!r} of the exception was left behind: {failure}")
    stream = _values.dumps((_make_bare, type(exc), args, attributes))
    made = open_exception(stream)
    if type(made) is not type(exc):
        raise TypeError("it cannot be made again")
    return stream, left_behind


def _stand_in(value: object, failure: BaseException, left_behind: list[str]) -> str:
    """Return the text that takes the place of an argument that cannot be pickled."""
    left_behind.append(f"an argument of the exception was replaced by its text: {failure}")
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__qualname__}>"


def _member(exc: BaseException, left_behind: list[str]) -> BaseException:
    """Return a member of an exception group, or its text as an error if it cannot be pickled."""
    if _fails(exc) is None:
        return exc
    left_behind.append(f"a {type(exc).__qualname__} in the exception group was replaced by its text")
    return x.RayError(one_line(exc))


def _fails(value: object) -> BaseException | None:
    """Return why a value cannot be pickled or unpickled, or None."""
    try:
        open_exception(_values.dumps(value))
    except Exception as e:
        return e
    return None


def _make_bare(cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """Make an exception of a class without calling its __init__."""
    made: BaseException = native_base(cls).__new__(cls, *(args if issubclass(cls, BaseExceptionGroup) else ()))
    made.args = args
    for name, value in attributes.items():
        try:
            setattr(made, name, value)
        except Exception:
            made.__dict__[name] = value
    return made


def open_exception(stream: Buffer) -> Any:
    """Open what pickle_exception made."""
    import pickle

    made = pickle.loads(stream)
    if isinstance(made, tuple) and len(made) == 4 and made[0] is _make_bare:
        return _make_bare(*made[1:])
    return made


def class_name(cls: type) -> str:
    """Return the name of a class in Options.retry_exception_names and in Done.error_names."""
    return f"{cls.__module__}.{cls.__qualname__}"


def exception_names(exc: BaseException) -> list[str]:
    """Return the names of all classes of which an exception is an instance, but object."""
    if isinstance(exc, x.RayTaskError):
        names = [class_name(c) for c in type(exc.cause).__mro__[:-1]]
        return names + [n for c in (x.RayTaskError, x.RayError) if (n := class_name(c)) not in names]
    return [class_name(c) for c in type(exc).__mro__[:-1]]
