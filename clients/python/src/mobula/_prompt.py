"""The prompt of an interactive Python, at which somebody may be typing when lines of workers arrive: they go above it, and it stands as it was.

Known are Python's own prompts, the one of readline and, from Python 3.13, the one that is written in Python. IPython sees to its prompt
itself, and a program that reads input on its own has the terminal as it is.
"""

from __future__ import annotations

import os
import sys
import threading
import unicodedata
from typing import NamedTuple


class Prompt(NamedTuple):
    """A prompt that waits for input.

    Attributes:
        erase: takes it off the terminal, and leaves the cursor where it began.
        restore: puts it back with all that was typed, the cursor where it was. Lines before it must end in carriage return and newline.
    """

    erase: str
    restore: str


def standing() -> Prompt | None:
    """Returns the prompt that this process shows on its standard output at the moment, None when it shows none."""
    if not hasattr(sys, "ps1") or not sys.stdout.isatty():
        return None
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    if frame is None:  # the main thread runs no Python code: it is in the C code that reads a line
        return _of_readline()
    if "_pyrepl" in frame.f_code.co_filename and frame.f_code.co_name == "wait":
        return _of_pyrepl()
    return None


def _of_readline() -> Prompt | None:
    if "readline" not in sys.modules:
        return None
    import readline

    line = readline.get_line_buffer()
    prompt, before = str(sys.ps1), line  # if the library does not tell more
    try:
        import ctypes

        library = ctypes.CDLL(getattr(readline, "__file__", None))
        point = ctypes.c_int.in_dll(library, "rl_point").value
        shown = ctypes.c_char_p.in_dll(library, "rl_prompt").value
        before = line.encode()[:point].decode(errors="ignore")
        if shown is not None:
            prompt = shown.decode(errors="replace")
    except (OSError, ValueError, AttributeError):
        pass
    prompt = _visible(prompt).rpartition("\n")[2]
    columns = os.get_terminal_size(sys.stdout.fileno()).columns or 80
    start = _width(prompt)
    row, column = divmod(start + _width(before), columns)
    last = (start + _width(line)) // columns
    return _framed(prompt + line, row, column, last)


def _of_pyrepl() -> Prompt | None:
    reader = sys.modules["_pyrepl.readline"]._wrapper.reader
    screen = getattr(reader, "screen", None)
    if not screen or len(screen) >= os.get_terminal_size(sys.stdout.fileno()).lines:
        return None
    column, row = reader.cxy
    return _framed("\r\n".join(_visible(line) for line in screen), row, column, len(screen) - 1)


def _framed(text: str, row: int, column: int, last: int) -> Prompt:
    """Returns the prompt whose text ends in the row last, with the cursor at row and column."""
    up, back, right = f"\x1b[{row}A" if row else "", f"\x1b[{last - row}A" if last > row else "", f"\x1b[{column}C" if column else ""
    return Prompt(f"{up}\r\x1b[J", f"{text}{back}\r{right}")


def _visible(text: str) -> str:
    """Returns text without readline's marks around what takes no room."""
    return text.replace("\x01", "").replace("\x02", "")


def _width(text: str) -> int:
    """Returns how many columns text takes."""
    width, escaped = 0, False
    for c in text:
        if c == "\x1b" or escaped:
            escaped = not (escaped and c.isalpha())
        elif not unicodedata.combining(c):
            width += 2 if unicodedata.east_asian_width(c) in "WF" else 1
    return width
