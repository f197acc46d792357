"""Ray's ``ray.experimental.internal_kv``: a key-value table of the cluster, shared by all its jobs.

Keys, values and namespaces are bytes, or text in UTF-8. A namespace is a part of the table of its own.
"""

from __future__ import annotations

from typing import Any

import mobula
from mobula import _context, _errors
from mobula._gen import session_pb2, value_pb2

__all__ = [
    "_internal_kv_del",
    "_internal_kv_exists",
    "_internal_kv_get",
    "_internal_kv_initialized",
    "_internal_kv_list",
    "_internal_kv_put",
]

_TIMEOUT_S = 60.0
_NAMESPACE = "ray.internal_kv/"
"""What the names of namespaces begin with at the node, so that they are those of no job."""


def _internal_kv_initialized() -> bool:
    """Reports whether there is a cluster."""
    return mobula.is_initialized()


def _internal_kv_get(key: str | bytes, *, namespace: str | bytes | None = None) -> bytes | None:
    """Returns the value of a key, or None."""
    entries = _ask(session_pb2.KeyValue.OP_GET, key, namespace)
    return bytes(entries[0].value) if entries else None


def _internal_kv_exists(key: str | bytes, *, namespace: str | bytes | None = None) -> bool:
    """Reports whether a key has a value."""
    return bool(_ask(session_pb2.KeyValue.OP_GET, key, namespace))


def _internal_kv_put(key: str | bytes, value: str | bytes, overwrite: bool = True, *, namespace: str | bytes | None = None) -> bool:
    """Writes the value of a key, unless it has one and overwrite is false. Reports whether it had one."""
    assert isinstance(value, (str, bytes)), f"a value must be text or bytes, not {type(value)}"
    data = value.encode() if isinstance(value, str) else value
    if _ask(session_pb2.KeyValue.OP_PUT_IF_ABSENT, key, namespace, data):
        return False
    if overwrite:
        _ask(session_pb2.KeyValue.OP_PUT, key, namespace, data)
    return True


def _internal_kv_del(key: str | bytes, *, del_by_prefix: bool = False, namespace: str | bytes | None = None) -> int:
    """Deletes a key, or all that begin with it, and returns how many there were."""
    if not del_by_prefix:
        return len(_ask(session_pb2.KeyValue.OP_DELETE, key, namespace)) if _internal_kv_exists(key, namespace=namespace) else 0
    return sum(_internal_kv_del(k, namespace=namespace) for k in _internal_kv_list(key, namespace=namespace))


def _internal_kv_list(prefix: str | bytes, *, namespace: str | bytes | None = None) -> list[bytes]:
    """Returns the keys that begin with prefix."""
    return [_key_of(entry.key) for entry in _ask(session_pb2.KeyValue.OP_LIST, prefix, namespace)]


def _ask(op: Any, key: str | bytes, namespace: str | bytes | None, value: bytes = b"") -> list[Any]:
    """Returns the entries of the answer; none where a key that had to be absent is there, or the other way round."""
    request = session_pb2.KeyValue(op=op, namespace=_NAMESPACE + _text(namespace or b""), key=_text(key), value=value)
    reply = _context.session().query(session_pb2.Query(key_value=request), timeout=_TIMEOUT_S)
    if not reply.HasField("error"):
        return list(reply.entries)
    if reply.error.kind in (value_pb2.ERROR_KIND_ALREADY_EXISTS, value_pb2.ERROR_KIND_NOT_FOUND):
        return []
    raise _errors.from_error_value(reply.error)


def _text(name: str | bytes) -> str:
    """Returns a key as the node has it, which is text: one character for each byte, so that prefixes stay prefixes."""
    assert isinstance(name, (str, bytes)), f"a key must be text or bytes, not {type(name)}"
    return (name.encode() if isinstance(name, str) else name).decode("latin-1")


def _key_of(text: str) -> bytes:
    return text.encode("latin-1")
