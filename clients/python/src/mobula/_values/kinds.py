"""What is done with a value, by its class: plain values, arrays and refs are told apart from what is pickled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mobula._msgpack import forms
from mobula._msgpack.writer import plain_dtype

ATOM, TEXT, BYTES, FLAT, ARRAY, REF = 1, 2, 3, 4, 5, 6
"""Kinds of values; 0 is for all others."""

KINDS: dict[type, int] = {
    type(None): ATOM,
    bool: ATOM,
    int: ATOM,
    float: ATOM,
    complex: ATOM,
    str: TEXT,
    bytes: BYTES,
    bytearray: BYTES,
    tuple: FLAT,
    list: FLAT,
    dict: FLAT,
}
"""The kinds of values of exactly these classes."""

arguments: list[type] = []
"""The class of the refs that the node resolves where they are arguments, once there is one."""

serializers: dict[type, tuple[Callable[[Any], object], Callable[[Any], object]]] = {}
"""The serializer and the deserializer of the classes that have them."""


def learn(t: type) -> int:
    """Return what is done with values of a class that was not met before, and remember it."""
    if t in serializers:
        return 0
    if arguments and issubclass(t, arguments[0]):
        kind = REF
    elif t.__name__ == "ndarray" and t.__module__ == "numpy":
        kind = ARRAY
    else:
        return 0  # not remembered: a class of the user must not be kept alive
    KINDS[t] = kind
    return kind


def is_plain_array(v: Any) -> bool:
    """Report whether a numpy array is the same array after it was sent in the portable form: numbers in row-major order."""
    return plain_dtype(v.dtype) != 0 and v.flags.c_contiguous and v.ndim <= forms.DIMENSIONS_MAX


def register_serializer(cls: type, *, serializer: Callable[[Any], object], deserializer: Callable[[Any], object]) -> None:
    """Pickle instances of exactly `cls` in this process as what `serializer` returns, read by `deserializer`.

    The deserializer travels with each value; the reader need not register anything.
    """
    serializers[cls] = (serializer, deserializer)
    KINDS.pop(cls, None)


def deregister_serializer(cls: type) -> None:
    """Undo `register_serializer`; a class that has none is no error."""
    serializers.pop(cls, None)
