"""The tables of the SQLite file, asked as `schema.tables` says.

Lists travel as one JSON array, so a statement stays the same however long they are.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import apsw

from millrace.schema.tables import Row
from millrace.store.questions import number
from millrace.store.sqlite import open_store, reading
from millrace.store.transaction import transaction

_LIST: Final = re.compile(r"\b(?:texts|numbers)\(:(\w+)\)")


class SqliteTables:
    """See `schema.tables.Tables`; what is asked and changed goes to one connection."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    @contextmanager
    def reading(self) -> Iterator["SqliteTables"]:
        with reading(self._db):
            yield self

    @contextmanager
    def writing(self) -> Iterator["SqliteTables"]:
        with transaction(self._db):
            yield self

    def rows(self, query: str, /, **values: Any) -> list[Row]:
        return self._db.execute(_own(query), _bound(values)).fetchall()

    def change(self, statement: str, /, **values: Any) -> int:
        before = self._db.total_changes()
        self._db.execute(_own(statement), _bound(values)).fetchall()
        return self._db.total_changes() - before

    def change_all(self, statement: str, rows: Iterable[Mapping[str, Any]], /) -> int:
        before = self._db.total_changes()
        self._db.executemany(_own(statement), map(_bound, rows))
        return self._db.total_changes() - before

    def next_number(self, table: str, /) -> int:
        query = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = ?"
        return number(self._db, query, (table,))

    def follow_numbers(self, table: str, key: str = "id", /) -> None:
        """Do nothing: SQLite counts on from the highest number by itself."""

    def close(self) -> None:
        self._db.close()


def open_tables(path: Path, *, read_only: bool = True) -> SqliteTables:
    """Open the database file for one thread. Raises: StopError, RetryError."""
    return SqliteTables(open_store(path, read_only=read_only))


@lru_cache(maxsize=256)
def _own(statement: str) -> str:
    return _LIST.sub(r"json_each(:\1)", statement)


def _bound(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: json.dumps(value) if isinstance(value, list) else value
        for name, value in values.items()
    }
