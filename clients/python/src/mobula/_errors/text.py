"""What people read of an exception: its traceback without Mobula's own frames, no longer than an error may be."""

from __future__ import annotations

import os
import traceback

from mobula import exceptions as x

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_HIDDEN = (_PACKAGE, f"{os.sep}cloudpickle{os.sep}cloudpickle.py")
"""Where frames lie that say nothing to a user."""

_TEXT_MAX = 64 << 10
"""Longest text of an error in bytes."""


def format_exception(exc: BaseException) -> str:
    """Return an exception with its traceback, causes, notes and group members, without frames of Mobula itself."""
    try:
        te = traceback.TracebackException.from_exception(exc)
        _hide(te, set())
        return "".join(te.format())
    except Exception as e:  # the user's __str__, or frames whose source cannot be read
        return f"{type(exc).__qualname__} (its traceback could not be formatted: {type(e).__name__})\n"


def _hide(te: traceback.TracebackException, seen: set[int]) -> None:
    """Take Mobula's frames out of an exception and of all that it hangs together with."""
    todo = [te]
    while todo:
        te = todo.pop()
        if id(te) in seen:
            continue
        seen.add(id(te))
        te.stack[:] = [f for f in te.stack if not _is_hidden(f.filename)]
        todo.extend(t for t in (te.__cause__, te.__context__, *(te.exceptions or ())) if t is not None)


def _is_hidden(filename: str) -> bool:
    return filename.startswith(_HIDDEN[0]) or filename.endswith(_HIDDEN[1])


def one_line(exc: BaseException) -> str:
    """Return the type and text of an exception."""
    try:
        text = str(exc.cause if isinstance(exc, x.RayTaskError) else exc)
    except Exception as e:
        text = f"<its text could not be made: {type(e).__name__}>"
    cls = type(exc.cause if isinstance(exc, x.RayTaskError) else exc)
    return f"{cls.__qualname__}: {text}" if text else cls.__qualname__


def clip(text: str) -> str:
    """Shorten a text to what an error may carry, by its middle; make it Unicode."""
    b = text.encode(errors="backslashreplace")
    if len(b) > _TEXT_MAX:
        half = _TEXT_MAX // 2 - 40
        b = b[:half] + f"\n… {len(b) - 2 * half} bytes are left out …\n".encode() + b[-half:]
    return b.decode(errors="replace" if len(b) < 64 else "ignore")


def clip_text(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
