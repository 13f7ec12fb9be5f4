"""An archive in one SQLite file: a key and a body a row.

Useful where many small files are a burden. One process writes, and `put` returns when the row is
durable.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from millrace.errors import NotFoundError, RetryError, StopError
from millrace.ports.archive import StoredObject

_TABLE = (
    "CREATE TABLE IF NOT EXISTS objects ("
    " key TEXT PRIMARY KEY, body BLOB NOT NULL, modified_at_ns INTEGER NOT NULL) WITHOUT ROWID"
)
_PUT = (
    "INSERT INTO objects VALUES (?, ?, unixepoch('subsec') * 1000000000)"
    " ON CONFLICT (key) DO UPDATE SET body = excluded.body WHERE body <> excluded.body"
)
_LIST = (
    "SELECT key, length(body), modified_at_ns FROM objects"
    " WHERE key > ? AND substr(key, 1, ?) = ? ORDER BY key LIMIT ?"
)


class SqliteArchive:
    """See `ports.archive.Archive`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _translated():
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(5_000)
            self._db.pragma("journal_mode", "wal")
            self._db.pragma("synchronous", "full")
            self._db.execute(_TABLE)

    def put(self, key: str, body: bytes) -> None:
        with _translated():
            self._db.execute(_PUT, (key, body))

    def get(self, key: str) -> bytes:
        with _translated():
            row = self._db.execute("SELECT body FROM objects WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise NotFoundError(f"there is no object {key}")
        return bytes(row[0])

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Iterator[StoredObject]:
        with _translated():
            rows = self._db.execute(_LIST, (after, len(prefix), prefix, limit)).fetchall()
        for found, size, modified_at_ns in rows:
            yield StoredObject(str(found), int(str(size)), int(str(modified_at_ns)))

    def delete(self, key: str) -> None:
        with _translated():
            self._db.execute("DELETE FROM objects WHERE key = ?", (key,))

    def close(self) -> None:
        self._db.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Name errors of SQLite by what the caller must do."""
    try:
        yield
    except (apsw.BusyError, apsw.FullError, apsw.IOError) as error:
        raise RetryError(f"the archive does not take it: {error}") from error
    except apsw.Error as error:
        raise StopError(f"the archive is damaged: {error}", "restore it from a backup") from error
