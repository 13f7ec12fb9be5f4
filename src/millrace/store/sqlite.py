"""The one SQLite file of registry and ledger: how it is opened, and how it gets its schema.

Every connection writes ahead, syncs in full and enforces foreign keys; a connection that could not
be set up like that is an error, not a warning.
Source: REG-002 to REG-004, D-20.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from millrace.errors import StopError
from millrace.schema.history import pending, require_current
from millrace.schema.scripts import revision_sql
from millrace.store.transaction import transaction, translate

BUSY_TIMEOUT_MS: Final = 5_000
MIGRATION_TIMEOUT_MS: Final = 60_000


def open_store(path: Path, *, read_only: bool = False) -> apsw.Connection:
    """Open the database of registry and ledger, ready to use.

    Raises:
        StopError: It is not there, its schema is not the one that this release needs, or a setting
            that durability or integrity depends on did not take.
        RetryError: It is locked or the disk does not answer.
    """
    if not path.is_file():
        raise StopError(f"there is no database {path}", "start with `millrace up`, which makes it")
    db = _connect(path, read_only=read_only)
    try:
        require_current(stored_revision(db))
    except BaseException:
        db.close()
        raise
    return db


def migrate(path: Path) -> bool:
    """Bring the database to the schema of this release, making it first if it is not there.

    Each revision is one transaction, so a migration that is killed has not happened, and two at
    the same time wait for each other. Returns whether anything was done.
    Idempotent: yes.

    Raises:
        StopError: The database has a revision that this release does not know.
    """
    _create(path)
    db = _connect(path, read_only=False)
    try:
        db.set_busy_timeout(MIGRATION_TIMEOUT_MS)
        before = stored_revision(db)
        for revision in pending(before):
            stored = stored_revision(db)
            run_revision(db, stored, revision_sql("sqlite", stored, revision))
        return stored_revision(db) != before
    finally:
        db.close()


def stored_revision(db: apsw.Connection) -> str | None:
    """Return the revision of the schema, None for an empty database."""
    with reading(db):
        named = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'alembic_version'"
        if db.execute(named).fetchone() is None:
            return None
        row = db.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])


def run_revision(db: apsw.Connection, stored: str | None, script: str) -> None:
    """Run the SQL of one revision as one transaction, unless `stored` is no longer the revision."""
    # Tables are rebuilt by copy, which must not fire the actions of foreign keys; the check
    # before the commit takes their place. Inside a transaction the setting cannot change.
    db.pragma("foreign_keys", 0)
    try:
        with transaction(db):
            if stored_revision(db) != stored:
                return
            for _ in db.execute(script):
                pass
            if db.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise StopError("the migration would break foreign keys; nothing was done")
    finally:
        db.pragma("foreign_keys", 1)


@contextmanager
def reading(db: apsw.Connection) -> Iterator[None]:
    """Run the body on one view of the database; inside a transaction it is that one's.

    Raises:
        RetryError: The database is busy or away.
        StopError: It is damaged.
    """
    try:
        if db.in_transaction:
            yield
            return
        db.execute("BEGIN")
        try:
            yield
        finally:
            if db.in_transaction:
                db.execute("COMMIT")
    except apsw.Error as error:
        raise translate(error) from error


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The files that SQLite puts beside it take their mode from this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _connect(path: Path, *, read_only: bool) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    try:
        db = apsw.Connection(str(path), flags=flags)
        try:
            _set_up(db, read_only=read_only)
        except BaseException:
            db.close()
            raise
    except apsw.Error as error:
        raise translate(error) from error
    return db


def _set_up(db: apsw.Connection, *, read_only: bool) -> None:
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    # Without this a misspelt column in double quotes would silently be a text.
    db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    if not read_only and db.pragma("journal_mode") != "wal":
        db.pragma("journal_mode", "wal")
    db.pragma("synchronous", "full")
    db.pragma("foreign_keys", 1)
    db.pragma("temp_store", "memory")
    got = (db.pragma("journal_mode"), db.pragma("synchronous"), db.pragma("foreign_keys"))
    if got != ("wal", 2, 1):
        raise StopError(
            f"SQLite did not take journal_mode, synchronous, foreign_keys: {got}",
            "put the data folder on a local disk; network file systems cannot do this",
        )
