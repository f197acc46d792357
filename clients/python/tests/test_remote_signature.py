"""Arguments are checked as inspect would, without it."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from mobula._signature import Signature, signature_of


def none() -> None: ...
def one(a: int) -> None: ...
def defaults(a: int, b: int = 1, *, c: int = 2) -> None: ...
def required(a: int, *, k: int) -> None: ...
def only(a: int, b: int = 1, /, c: int = 2) -> None: ...
def varargs(a: int, *rest: int) -> None: ...
def varkw(a: int, /, **rest: int) -> None: ...
def everything(a: int, /, b: int, c: int = 1, *d: int, e: int, f: int = 2, **g: int) -> None: ...


FUNCTIONS: list[Callable[..., Any]] = [none, one, defaults, required, only, varargs, varkw, everything]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_it_refuses_exactly_what_inspect_refuses(function: Callable[..., Any]) -> None:
    oracle, signature = inspect.signature(function), signature_of(function)
    again = Signature.from_json(signature.to_json())
    names = ["a", "b", "c", "e", "k", "z"]
    for n in range(5):
        for size in range(4):
            for keys in itertools.combinations(names, size):
                args, kwargs = tuple(range(n)), dict.fromkeys(keys, 0)
                try:
                    oracle.bind(*args, **kwargs)
                    fits = True
                except TypeError:
                    fits = False
                for s in (signature, again):
                    if not keys:
                        assert (s.low <= n <= s.high) == fits, (args, kwargs)
                    if fits:
                        s.check(args, kwargs)
                    else:
                        with pytest.raises(TypeError):
                            s.check(args, kwargs)


def test_its_words_are_those_of_inspect() -> None:
    for args, kwargs, text in [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"z": 1}, "got an unexpected keyword argument 'z'"),
        ((1,), {"a": 1}, "multiple values for argument 'a'"),
    ]:
        with pytest.raises(TypeError, match=text):
            signature_of(defaults).check(args, kwargs)


def test_a_wrapped_function_has_the_signature_of_what_it_wraps() -> None:
    import functools

    @functools.wraps(one)
    def wrapper(*args: Any) -> None: ...

    assert signature_of(wrapper).names == ["a"]


def test_a_method_is_seen_without_self() -> None:
    class A:
        def m(self, x: int) -> None: ...

        def odd(*args: int) -> None: ...

    assert signature_of(A.m, skip_first=True).names == ["x"]
    assert signature_of(A.odd, skip_first=True).low == 0
