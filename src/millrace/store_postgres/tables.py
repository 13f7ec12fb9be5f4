"""The tables on PostgreSQL, asked as `schema.tables` says.

Statements travel with their values apart from them and are never prepared, so a pooler may stand
in between. A commit that got no answer is looked up by the number of its transaction, which the
server remembers.
Source: REG-004, REG-005, F24.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from psycopg import Connection
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from millrace.errors import RetryError, UnsureError
from millrace.schema.instants import stored_instant
from millrace.schema.tables import Row
from millrace.store_postgres.session import Session

PATIENCE_S: Final = 30.0
POLL_S: Final = 0.1

_EPOCH_US: Final = 946_684_800_000_000  # instants travel as microseconds since 2000
_LIST: Final = re.compile(r"\b(texts|numbers)\(:(\w+)\)")
_IS_NULL: Final = re.compile(r":(\w+) IS NULL\b")
_VALUE: Final = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_TYPES: Final = {"texts": "text", "numbers": "bigint"}


class PostgresTables:
    """See `schema.tables.Tables`."""

    def __init__(self, url: str, *, name: str = "millrace") -> None:
        self._session = Session(url, name=name)

    @contextmanager
    def reading(self) -> Iterator["_Asked"]:
        with self._session.transaction("REPEATABLE READ READ ONLY") as db:
            yield _Asked(db)

    @contextmanager
    def writing(self) -> Iterator["_Asked"]:
        number: str | None = None
        try:
            with self._session.transaction() as db:
                asked = _Asked(db)
                yield asked
                number = asked.transaction_number()
        except UnsureError:
            if number is not None and not self._has_happened(number):
                raise RetryError("the connection was lost, and nothing was committed") from None

    def close(self) -> None:
        self._session.close()

    def _has_happened(self, number: str) -> bool:
        """Return whether a transaction was committed; wait until the server answers and knows.

        Raises:
            UnsureError: It does not within `PATIENCE_S`.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status = self._status(number)
            if status in {"committed", "aborted"}:
                return status == "committed"
            if time.monotonic() > deadline:
                raise UnsureError("the connection was lost while committing, the outcome is open")
            time.sleep(POLL_S)

    def _status(self, number: str) -> str:
        try:
            with self._session.transaction() as db:
                row = db.execute("SELECT pg_xact_status(%s::xid8)", (number,)).fetchone()
        except RetryError:
            return "unknown"
        return str(row[0]) if row else "unknown"


class _Asked:
    """See `schema.tables.Changes`; one transaction."""

    def __init__(self, db: Connection[Any]) -> None:
        self._cursor = db.cursor(binary=True)
        self._cursor.adapters.register_loader("timestamptz", _InstantLoader)
        self._cursor.adapters.register_loader("jsonb", _JsonTextLoader)

    def rows(self, query: str, /, **values: Any) -> list[Row]:
        self._run(query, values)
        return self._cursor.fetchall()

    def change(self, statement: str, /, **values: Any) -> int:
        self._run(statement, values)
        return self._cursor.rowcount

    def change_all(self, statement: str, rows: Iterable[Mapping[str, Any]], /) -> int:
        self._cursor.executemany(_own(statement), map(_bound, rows))
        return max(0, self._cursor.rowcount)

    def next_number(self, table: str, /) -> int:
        query = "SELECT nextval(pg_get_serial_sequence(:table, 'id'))"
        return int(self.rows(query, table=table)[0][0])

    def follow_numbers(self, table: str, key: str = "id", /) -> None:
        self._run(
            "SELECT setval(pg_get_serial_sequence(:table, :key),"  # noqa: S608 - own names
            f" greatest(max({key}), 1), max({key}) IS NOT NULL) FROM {table}",
            {"table": table, "key": key},
        )

    def transaction_number(self) -> str | None:
        """Return by what the server knows this transaction, None if it has written nothing."""
        number = self.rows("SELECT CAST(pg_current_xact_id_if_assigned() AS text)")[0][0]
        return None if number is None else str(number)

    def _run(self, statement: str, values: Mapping[str, Any]) -> None:
        self._cursor.execute(_own(statement), _bound(values))


@lru_cache(maxsize=256)
def _own(statement: str) -> bytes:
    text = statement.replace("%", "%%").replace("CROSS JOIN", "JOIN")
    text = _LIST.sub(
        lambda found: f"(SELECT unnest(%({found[2]})s::{_TYPES[found[1]]}[]) AS value)", text
    )
    # PostgreSQL wants to know the type of a value even to say whether it is NULL.
    text = _IS_NULL.sub(r"%(\1 is null)s", text)
    return _VALUE.sub(r"%(\1)s", text).encode()


def _bound(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, **{f"{name} is null": value is None for name, value in values.items()}}


class _InstantLoader(Loader):
    """Reads instants as the text that the registry's own rows have (REG-007)."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        micros = int.from_bytes(data, "big", signed=True) + _EPOCH_US
        return stored_instant(micros * 1000)


class _JsonTextLoader(Loader):
    """Leaves JSON as text; who asks knows what to make of it."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        # The first byte is the version of the format.
        return bytes(data)[1:].decode()
