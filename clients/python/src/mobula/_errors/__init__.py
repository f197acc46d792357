"""Errors to ErrorValue messages and back.

A failed task sends its exception as a chain of links, outermost first: each has the exception's text and type for every
language, and its pickle for Python. The stack is the traceback as Python prints it, without Mobula's own frames. The
reader rebuilds the exception, with its causes, and raises a RayTaskError that is also an instance of its class.

An exception that does not survive pickling is sent as well as it can be: without calling its ``__init__``, then without
the attributes that cannot be pickled, then as text.
"""

from mobula._errors.pickling import class_name, exception_names, open_exception, pickle_exception
from mobula._errors.read import error_of_kind, from_error_value, text_of, unpack_error
from mobula._errors.text import format_exception
from mobula._errors.write import pack_exception

__all__ = [
    "class_name",
    "error_of_kind",
    "exception_names",
    "format_exception",
    "from_error_value",
    "open_exception",
    "pack_exception",
    "pickle_exception",
    "text_of",
    "unpack_error",
]
