"""The portable form of values: docs/values.md in Python.

``encode`` turns plain data into metadata, buffers and ref ids; ``decode`` reads them back. Both work with loops instead of
recursion, so that neither deep data nor a hostile sender meets the interpreter's recursion limit, and both never copy a
large buffer: what is encoded may alias the user's memory until it was sent, and what is decoded aliases the store.

Reading treats its input as hostile: no input makes it raise anything but `FormatError` (or an error of the user's own
classes), recurse, or allocate more than in proportion to the input's size.
"""

from mobula._msgpack.forms import HOOKS, Array, Buffer, Duration, FormatError, Hooks, NotPortableError, RemoteError, Time
from mobula._msgpack.reader import decode
from mobula._msgpack.writer import Writer, culprit, encode

__all__ = [
    "HOOKS",
    "Array",
    "Buffer",
    "Duration",
    "FormatError",
    "Hooks",
    "NotPortableError",
    "RemoteError",
    "Time",
    "Writer",
    "culprit",
    "decode",
    "encode",
]
