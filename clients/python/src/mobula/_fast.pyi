"""The inner loops in C; `_pure` says what each promises."""

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from mobula._conn import Conn
from mobula._session import Session

R = TypeVar("R", bound=Ref)

class Pipe:
    _fd: int
    out: list[bytes]
    out_bytes: int
    _lock: Lock
    _write_lock: Lock
    _tail: bytes | memoryview | None
    _sent: list[int]
    _files_out: list[tuple[int, int]]
    data: bytes
    at: int
    _buffer: bytearray
    _got: list[tuple[int, list[tuple[int, int, bytes]], int, object]]

    def _send_now(self) -> bool: ...
    def _receive_now(self, flags: int, /) -> bool | None: ...

class Core:
    _root: bytes
    _lock: Lock
    _conn: Conn
    _ended: bytes | None
    _values: dict[bytes, bytes | bool | None]
    _pending: dict[int, Any]
    _parked: dict[bytes, list[Any]]
    _callbacks: dict[bytes, list[Callable[[bytes], None]]]
    _asked: dict[bytes, bool]
    _extra: dict[bytes, int]
    _leader: object
    _inbox: deque[Any]
    _sequence: int
    _used_bytes: int
    _used_count: int
    _credit_bytes: int
    _credit_count: int
    _released: list[bytes]
    _closed_streams: deque[Any]
    _unpinned: deque[bytes]
    _unseen: dict[bytes, bytes]
    _burst: int
    _last: float
    _armed: bool

    def new_id(self) -> bytes: ...
    def submit_plain(self, fields: bytes, /) -> bytes: ...
    def flush(self) -> None: ...
    def _lead_for(self, object_id: bytes, /) -> None: ...
    def _lead_for_work(self) -> None: ...
    def _kick(self) -> None: ...
    def _dispatch(self) -> None: ...
    def _hold_new(self, ids: list[bytes], state: bytes | bool | None, frames: list[bytes], /) -> bool: ...
    def _drop_released(self) -> list[bytes]: ...

class Ref:
    _id: bytes
    _session: Session
    _method: bool

    def __init__(self, id: bytes, _session: Session | None = None, _method: bool = False) -> None: ...

def make_refs(cls: type[R], ids: list[bytes], s: Session, /) -> list[R]: ...
def ref_ids(refs: list[Any], cls: type[Ref], /) -> list[bytes] | None: ...
def unique_ids(refs: list[Any], cls: type[Ref], /) -> list[bytes] | None: ...
def first_ready(values: dict[bytes, bytes | bool | None], ids: list[bytes], wanted: int, /) -> list[int]: ...
def done_frame(handle: int, format: int, meta: bytes, run_ns: int, /) -> bytes: ...
def split_ids(joined: bytes, /) -> list[bytes]: ...
