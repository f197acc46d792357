"""Whether arguments fit a function, decided in well under a microsecond and from plain data.

A `Signature` is what a caller must know of a function's parameters. It is made from the function's code object, without `inspect`, and
travels to other processes as JSON, so that a handle of an actor refuses wrong arguments where its user calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

_VARARGS = 0x04  # flags of code objects: *args,
_VARKW = 0x08  # and **kwargs
_MANY = 1 << 30  # more arguments than a call can have


class Signature:
    """The parameters of a function as its callers see them: without ``self`` for a method.

    A call without keywords fits exactly when ``low <= len(args) <= high``; every other call goes through :meth:`check`.
    """

    __slots__ = ("high", "keyword_only", "low", "names", "positional_only", "required", "varkw")

    def __init__(self, names: list[str], positional_only: int, required: int, keyword_only: dict[str, bool], varargs: bool, varkw: bool) -> None:
        """Makes a signature.

        Args:
            names: the positional parameters in order; the first ``positional_only`` cannot be given by name.
            positional_only: see ``names``.
            required: how many of ``names`` have no default.
            keyword_only: the keyword-only parameters and whether each is required.
            varargs: whether there is ``*args``.
            varkw: whether there is ``**kwargs``.
        """
        self.names = names
        self.positional_only = positional_only
        self.required = required
        self.keyword_only = keyword_only
        self.varkw = varkw
        self.high = _MANY if varargs else len(names)
        # A required keyword-only parameter makes every call without keywords wrong.
        self.low = _MANY + 1 if any(keyword_only.values()) else required

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raises TypeError, in the words of :meth:`inspect.Signature.bind`, when the arguments do not fit."""
        given = len(args)
        if given > self.high:
            raise TypeError("too many positional arguments")
        names = self.names
        for name in kwargs:
            if name in self.keyword_only:
                continue
            if name not in names or names.index(name) < self.positional_only:
                if self.varkw:
                    continue
                if name in names:
                    raise TypeError(f"{name!r} parameter is positional only, but was passed as a keyword")
                raise TypeError(f"got an unexpected keyword argument {name!r}")
            if names.index(name) < given:
                raise TypeError(f"multiple values for argument {name!r}")
        for name in names[given : self.required]:
            if name not in kwargs or names.index(name) < self.positional_only:
                raise TypeError(f"missing a required argument: {name!r}")
        for name, required in self.keyword_only.items():
            if required and name not in kwargs:
                raise TypeError(f"missing a required argument: {name!r}")

    def to_json(self) -> list[Any]:
        """Returns plain data from which :meth:`from_json` makes the same signature."""
        return [self.names, self.positional_only, self.required, self.keyword_only, self.high == _MANY, self.varkw]

    @staticmethod
    def from_json(data: list[Any]) -> Signature:
        """Makes a signature of what :meth:`to_json` returned."""
        return Signature(*data)


ANYTHING = Signature([], 0, 0, {}, True, True)
"""Fits every call: for callables that do not tell."""


def signature_of(function: Callable[..., Any], *, skip_first: bool = False) -> Signature:
    """Returns the signature of a function, without its first parameter if ``skip_first``.

    A function that wraps another (``functools.wraps``) has the signature of the wrapped one. What has none that can be known
    (some extension functions) gets :data:`ANYTHING`.
    """
    if type(function) is FunctionType and not hasattr(function, "__wrapped__") and not hasattr(function, "__signature__"):
        return _from_code(function, skip_first)
    import inspect

    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return ANYTHING
    kinds = inspect.Parameter
    if skip_first and parameters and parameters[0].kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD):
        parameters = parameters[1:]
    positional = [p for p in parameters if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    return Signature(
        [p.name for p in positional],
        sum(p.kind is kinds.POSITIONAL_ONLY for p in positional),
        sum(p.default is kinds.empty for p in positional),
        {p.name: p.default is kinds.empty for p in parameters if p.kind is kinds.KEYWORD_ONLY},
        any(p.kind is kinds.VAR_POSITIONAL for p in parameters),
        any(p.kind is kinds.VAR_KEYWORD for p in parameters),
    )


def _from_code(function: FunctionType, skip_first: bool) -> Signature:
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    defaults = function.__kwdefaults__ or {}
    skip = 1 if skip_first and names else 0
    return Signature(
        list(names[skip:]),
        max(0, code.co_posonlyargcount - skip),
        max(0, len(names) - len(function.__defaults__ or ()) - skip),
        {name: name not in defaults for name in keyword_only},
        bool(code.co_flags & _VARARGS),
        bool(code.co_flags & _VARKW),
    )
