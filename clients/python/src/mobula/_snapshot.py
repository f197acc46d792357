"""Snapshots of directories, modules and archives: what a program sends to its workers, by the hash of its content.

What is left out of a directory is told by patterns as in .gitignore: those of the option ``excludes``, and those of the files .gitignore and
.rayignore in it and below. As with Ray, and unlike git, a pattern that ends in a slash leaves out what is in a directory, not the directory,
so that a later ``!pattern`` can bring a part back.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

BYTES_MAX = 512 << 20
"""What a snapshot may have, in bytes; MOBULA_RUNTIME_ENV_MAX_BYTES overrides it."""

ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar.xz")
"""Endings of archives that can be unpacked."""

_CHUNK = 1 << 20
_IGNORE_FILES = (".gitignore", ".rayignore")


class TooLarge(Exception):
    """What was to be sent to the workers is larger than allowed."""


# --- patterns -----------------------------------------------------------------------------------------------------------------


def _glob(segment: str) -> str:
    """Returns the regular expression of a part of a pattern between slashes."""
    out, i = "", 0
    while i < len(segment):
        char = segment[i]
        i += 1
        if char == "\\" and i < len(segment):
            out += re.escape(segment[i])
            i += 1
        elif char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[":
            end = i + 1 if segment[i : i + 1] in ("!", "^") else i
            end = segment.find("]", end + 1 if segment[end : end + 1] == "]" else end)
            if end < 0:
                out += "\\["
                continue
            inside, i = segment[i:end], end + 1
            negated = inside[:1] in ("!", "^")
            out += "[" + ("^" if negated else "") + (inside[1:] if negated else inside).replace("\\", "\\\\").replace("[", "\\[") + "]"
        else:
            out += re.escape(char)
    return out


def _pattern(line: str) -> tuple[re.Pattern[str], bool] | None:
    """Returns what a line of an ignore file matches, and whether it brings back what it matches; None for a line without a pattern."""
    line = line.rstrip("\r\n")
    line = line.lstrip() if line.endswith("\\ ") else line.strip()
    if not line or line.startswith("#") or line == "/":
        return None
    negated = line.startswith("!")
    segments = (line[1:] if negated else line).split("/")
    if not segments[0]:
        del segments[0]
    elif (len(segments) == 1 or (len(segments) == 2 and not segments[1])) and segments[0] != "**":
        segments.insert(0, "**")
    if not segments or segments == [""]:
        return None
    if not segments[-1] and len(segments) > 1:
        segments[-1] = "**"
    segments = [s for i, s in enumerate(segments) if not (s == "**" and i and segments[i - 1] == "**")]
    out, slash, last = "", False, len(segments) - 1
    for i, segment in enumerate(segments):
        if segment == "**":
            if i == last:
                out += "[^/]+(?:/.*)?" if i == 0 else "/.*"
            else:
                out, slash = (out + "(?:/.+)?", True) if i else ("(?:.+/)?", False)
            continue
        out += ("/" if slash else "") + ("[^/]+" if segment == "*" else _glob(segment))
        if i == last and segment != "*" and not negated:
            out += "(?:/.*)?"  # what a pattern leaves out it leaves out with all that is in it; what it brings back must match itself
        slash = True
    try:
        return re.compile(out, re.DOTALL), negated
    except re.error:  # a range that goes backwards, which matches nothing
        return None


def matcher(lines: Iterable[str]) -> Callable[[str], bool]:
    """Returns what reports whether a path, relative and with slashes, is left out by the lines of an ignore file: the last match decides."""
    patterns = [p for p in map(_pattern, lines) if p is not None]

    def matches(path: str) -> bool:
        for regex, negated in reversed(patterns):
            if regex.fullmatch(path):
                return not negated
        return False

    return matches


# --- walking ------------------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A file or directory of a snapshot: its relative path with slashes, where it is, and its size; -1 is a directory."""

    name: str
    path: str
    size: int


def walk(root: str, excludes: Iterable[str] = ()) -> list[Entry]:
    """Returns what of a directory is sent, in the order of names. Links are followed; sockets, pipes and devices are left out."""
    entries = list(_below(root, "", [("", matcher(excludes))], (os.path.realpath(root),)))
    entries.sort(key=lambda e: e.name)
    return entries


def _below(directory: str, prefix: str, rules: list[tuple[str, Callable[[str], bool]]], above: tuple[str, ...]) -> Iterator[Entry]:
    for name in _IGNORE_FILES:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as f:
                rules = [*rules, (prefix, matcher(f))]
    with os.scandir(directory) as found:
        children = list(found)
    for child in children:
        name = prefix + child.name
        if any(matches(name[len(base) :]) for base, matches in rules):
            continue
        try:
            info = child.stat()
        except OSError:  # a link to nothing
            continue
        if stat.S_ISREG(info.st_mode):
            yield Entry(name, child.path, info.st_size)
        elif stat.S_ISDIR(info.st_mode):
            real = os.path.realpath(child.path)
            if real in above:
                continue  # a link to a directory in which it is
            yield Entry(name, child.path, -1)
            yield from _below(child.path, name + "/", rules, (*above, real))


def _limit() -> int:
    return int(os.environ.get("MOBULA_RUNTIME_ENV_MAX_BYTES") or BYTES_MAX)


def _check_size(what: str, entries: list[Entry]) -> None:
    total = sum(max(e.size, 0) for e in entries)
    if total <= _limit():
        return
    largest = sorted(entries, key=lambda e: -e.size)[:5]
    listed = ", ".join(f"{e.name} ({mib(e.size)})" for e in largest)
    raise TooLarge(
        f"Package size ({mib(total)}) of {what} exceeds the maximum size of {mib(_limit())}. Its largest files are {listed}. "
        "To leave files out, name them in .gitignore or .rayignore, or in 'excludes' of the runtime_env."
    )


def mib(size: int) -> str:
    """Writes a number of bytes for people."""
    return f"{size / (1 << 20):.2f}MiB"


# --- snapshots ----------------------------------------------------------------------------------------------------------------


def _copy(entries: list[Entry], target: str, digest: hashlib._Hash) -> None:
    """Copies files below target and takes them into the digest; without a target only the latter."""
    for e in entries:
        to = os.path.join(target, *e.name.split("/")) if target else ""
        if e.size < 0:
            digest.update(b"D" + e.name.encode(errors="surrogateescape") + b"\0")
            if to:
                os.makedirs(to, exist_ok=True)
            continue
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(open(e.path, "rb"))
            info = os.fstat(source.fileno())
            executable = info.st_mode & 0o100
            digest.update(b"X" if executable else b"F")
            digest.update(e.name.encode(errors="surrogateescape") + b"\0" + info.st_size.to_bytes(8, "big"))
            out = None
            if to:
                os.makedirs(os.path.dirname(to), exist_ok=True)
                out = stack.enter_context(open(to, "wb"))
                os.fchmod(out.fileno(), 0o700 if executable else 0o600)
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                if out is not None:
                    out.write(chunk)


def take(source: str, store: str, excludes: Iterable[str] = (), *, keep_name: bool = False) -> str:
    """Takes a snapshot of a directory, a file or an archive and returns its directory in the store, which is named after the content.

    Args:
        source: a directory, an archive, which is unpacked, or another file.
        store: the directory of snapshots; it is made for its owner only.
        excludes: patterns of what is left out of a directory.
        keep_name: whether a directory lies in its snapshot, as a package does in what is on the import path, or is the snapshot.

    Raises:
        TooLarge: it has more than BYTES_MAX bytes.
        OSError: it cannot be read.
    """
    source = os.path.abspath(source)
    name = os.path.basename(source)
    if os.path.isdir(source):
        entries = walk(source, excludes)
        if keep_name:
            entries = [Entry(f"{name}/{e.name}", e.path, e.size) for e in entries]
    else:
        entries = [Entry(name, source, os.path.getsize(source))]
    _check_size(source, entries)
    unpacks = not os.path.isdir(source) and source.endswith(ARCHIVES)
    digest = hashlib.sha256(b"archive" if unpacks else b"")
    _copy(entries, "", digest)
    target = os.path.join(store, digest.hexdigest()[:32])
    if os.path.isdir(target):
        os.utime(target)
        return target
    os.makedirs(store, mode=0o700, exist_ok=True)
    digest = hashlib.sha256(b"archive" if unpacks else b"")
    return into(store, lambda work: _fill(entries, work, digest, unpack_from=source if unpacks else ""), digest)


def _fill(entries: list[Entry], work: str, digest: hashlib._Hash, *, unpack_from: str) -> None:
    if unpack_from:
        _copy(entries, "", digest)
        unpack(unpack_from, work)
    else:
        _copy(entries, work, digest)


def into(store: str, fill: Callable[[str], None], digest: hashlib._Hash) -> str:
    """Fills a new directory of a store and gives it the name that the digest then has. Whoever else makes the same meanwhile is no harm."""
    work = tempfile.mkdtemp(prefix=".new-", dir=store)
    try:
        fill(work)
        target = os.path.join(store, digest.hexdigest()[:32])
        try:
            os.rename(work, target)
        except OSError:
            if not os.path.isdir(target):
                raise
            shutil.rmtree(work, ignore_errors=True)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return target


def unpack(archive: str, target: str, *, strip: bool = False) -> None:
    """Unpacks an archive, nothing of it outside of target. With ``strip`` the one directory that it may consist of is left away.

    Raises ValueError for what is no archive of a known kind, TooLarge for one that unpacks to more than BYTES_MAX bytes.
    """
    if archive.endswith((".zip", ".whl")):
        import zipfile

        try:
            with zipfile.ZipFile(archive) as z:
                _check_size(archive, [Entry(i.filename, "", i.file_size) for i in z.infolist()])
                for member in z.infolist():
                    path = z.extract(member, target)
                    if (mode := member.external_attr >> 16) & 0o100 and os.path.isfile(path):
                        os.chmod(path, mode & 0o777 | 0o600)
        except zipfile.BadZipFile as e:
            raise ValueError(f"{archive}: {e}") from e
    elif archive.endswith(ARCHIVES):
        import tarfile

        try:
            with tarfile.open(archive) as t:
                _check_size(archive, [Entry(m.name, "", m.size) for m in t.getmembers()])
                t.extractall(target, filter="data")
        except tarfile.TarError as e:
            raise ValueError(f"{archive}: {e}") from e
    else:
        raise ValueError(f"{archive} is not an archive that can be unpacked: {', '.join(ARCHIVES)}")
    if strip:
        _strip(target)


def _strip(target: str) -> None:
    names = os.listdir(target)
    if len(names) != 1 or not os.path.isdir(os.path.join(target, names[0])):
        return
    inner = tempfile.mkdtemp(prefix=".strip-", dir=os.path.dirname(target))
    os.rename(os.path.join(target, names[0]), os.path.join(inner, "x"))
    os.rmdir(target)
    os.rename(os.path.join(inner, "x"), target)
    os.rmdir(inner)


# --- what is kept -------------------------------------------------------------------------------------------------------------


def sweep(store: str, keep: int) -> None:
    """Removes what of a store was used least recently, beyond so many bytes; what a running process uses stays, and so does the newest."""
    found = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(store):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                found.append((entry.stat().st_mtime, entry.path))
    total = 0
    for i, (_, path) in enumerate(sorted(found, reverse=True)):
        total += _bytes_below(path)
        if i and total > keep:
            _remove(path)


def _bytes_below(path: str) -> int:
    total = 0
    for directory, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_size
    return total


def _remove(path: str) -> None:
    with contextlib.suppress(OSError), locked(path, wait=False):
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def locked(path: str, *, wait: bool = True) -> Iterator[None]:
    """Holds a directory of a store for one process alone. Raises BlockingIOError if others use it and the caller does not wait."""
    fd = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(fd)


def use(path: str) -> None:
    """Keeps a directory of a store from being removed for as long as this process lives."""
    fd = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)  # the descriptor stays open until the process ends
    with contextlib.suppress(OSError):
        os.utime(path)
