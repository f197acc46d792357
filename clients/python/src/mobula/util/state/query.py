"""How the state is asked for: pages of lists, filters, and what cannot be asked."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, TypeVar

from mobula import _context
from mobula._gen import session_pb2, state_pb2
from mobula._session import GetTimeout
from mobula.util.state.common import _Row
from mobula.util.state.exception import StateApiException

__all__: list[str] = []

R = TypeVar("R", bound=_Row)
Filter = tuple[str, str, Any]

LIMIT = 100
LIMIT_MAX = 10_000
SCAN_MAX = 100_000
"""Most rows to which filters are applied."""


def call(method: str, request: Any, timeout: float) -> Any:
    """Calls a method of the node's state interface and returns its response."""
    query = session_pb2.Query(state=session_pb2.StateCall(method=method, request=request.SerializeToString()))
    try:
        reply = _context.session().query(query, timeout=timeout)
    except GetTimeout:
        raise StateApiException(f"the node did not answer {method} within {timeout:g} s") from None
    if reply.HasField("error"):
        raise StateApiException(reply.error.message.removeprefix(f"{method}: "))
    response = getattr(state_pb2, f"{method}Response")()
    response.ParseFromString(reply.state)
    return response


class Listing:
    """One question for a list: what is asked, and how much of it."""

    def __init__(
        self, address: str | None, filters: Sequence[Filter] | None, limit: int, timeout: float, raise_on_missing_output: bool = True
    ) -> None:
        check_address(address)
        if not 0 < limit <= LIMIT_MAX:
            raise ValueError(f"limit is between 1 and {LIMIT_MAX}, not {limit}")
        self.filters = list(filters or ())
        self.limit = limit
        self.timeout = timeout
        self._strict = raise_on_missing_output

    def ask(self, method: str, field: str, ids: Sequence[str] = (), states: tuple[str, dict[int, str]] | None = None) -> list[Any]:
        """Returns the rows of a list, with as many calls as it takes.

        A filter that wants one id, of the columns in ids, or one state, of a field of the request and its values, is the node's to apply; all
        others are applied by keep, to all rows that there are.
        """
        request = getattr(state_pb2, f"{method}Request")()
        for column, operator, value in self.filters:
            if operator == "=" and column in ids:
                binary = id_bytes(value, 20 if column == "object_id" else 16)
                if binary is None:
                    return []  # nothing has such an id
                setattr(request, column, binary)
            elif operator == "=" and column == "state" and states is not None:
                name, names = states
                for number, state in names.items():
                    if str(value).upper() == state:
                        setattr(request, name, number)
        want = SCAN_MAX if self.filters else self.limit
        rows: list[Any] = []
        while True:
            request.limit = min(LIMIT_MAX, want - len(rows))
            page = call(method, request, self.timeout)
            rows += getattr(page, field)
            if not page.next_page_token or len(rows) >= want:
                break
            request.page_token = page.next_page_token
        if self.filters and len(rows) >= SCAN_MAX and page.total > len(rows):
            self._missing(f"the filters were applied to {len(rows)} of {page.total} rows: more cannot be looked at")
        return rows

    def _missing(self, what: str) -> None:
        if self._strict:
            raise StateApiException(f"{what}; raise_on_missing_output=False returns what there is")
        warnings.warn(what, stacklevel=4)

    def keep(self, rows: list[R], kind: type[R]) -> list[R]:
        """Returns the rows that pass the filters, as many as are wanted."""
        for name, operator, value in self.filters:
            if name not in kind.__dataclass_fields__:
                raise ValueError(f"{kind.__name__} has no column {name!r}: it has {', '.join(kind.__dataclass_fields__)}")
            if operator not in ("=", "!="):
                raise ValueError(f"a filter compares with '=' or '!=', not {operator!r}")
            rows = [row for row in rows if _equal(row[name], value) == (operator == "=")]
        return rows[: self.limit]


def _equal(have: Any, want: Any) -> bool:
    if isinstance(have, str) and isinstance(want, str):
        return have.lower() == want.lower()
    return bool(have == want) or str(have).lower() == str(want).lower()


def check_address(address: str | None) -> None:
    """Refuses the address of another cluster."""
    if address not in (None, "auto"):
        raise ValueError("the state is that of the cluster to which this program is connected: leave address out")


def id_bytes(text: Any, size: int) -> bytes | None:
    """Returns an id that a filter names, None when nothing has such an id."""
    try:
        binary = bytes.fromhex(text)
    except (TypeError, ValueError):
        return None
    return binary if len(binary) == size else None


def parse_id(what: str, text: str) -> str:
    """Returns an id in lower case; raises StateApiException for what is none."""
    try:
        return bytes.fromhex(text).hex()
    except (TypeError, ValueError):
        raise StateApiException(f"the id of {what} is in hexadecimal, not {text!r}") from None
