"""The schema of registry and ledger on PostgreSQL: making it, and refusing another one.

A migration is one transaction for each revision, under a lock that ends with it: two migrators
wait for each other, and one that is killed half way has done nothing.
Source: REG-001 to REG-004, REG-082; reliability.md F26 to F28.
"""

import re
from typing import Any, Final

from psycopg import Connection, sql

from millrace.errors import StopError
from millrace.schema.history import pending, require_current
from millrace.schema.scripts import revision_sql
from millrace.schema.views import LEGACY_VIEWS
from millrace.store_postgres.place import conninfo_of
from millrace.store_postgres.session import Session

MIGRATION_TIMEOUT_S: Final = 600
OLDEST_SERVER: Final = 140_000

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('millrace schema ' || current_schema()))"
_QUOTED: Final = re.compile(r'"(\w+)"')


def migrate(url: str, *, legacy_schema: str = "") -> bool:
    """Bring the database to the schema of this release; return whether anything was done.

    Blocks: while somebody else migrates. Idempotent: yes.
    Raises:
        StopError: It has a revision that this release does not know, is too old, or may not be
            changed by this user; or there is no such database or user.
        RetryError: It is away, or read-only at the moment.
    """
    session = Session(url, name="millrace-migrate", timeout_s=MIGRATION_TIMEOUT_S, at_start=True)
    try:
        with session.transaction() as db:
            _require_server(db)
            before = _stored_revision(db)
        if pending(before):
            _make_schema(session, conninfo_of(url)[1])
        for _ in pending(before):
            _run_next(session)
        if legacy_schema:
            _make_legacy_views(session, legacy_schema)
    finally:
        session.close()
    return bool(pending(before))


def require_ready(url: str, *, writing: bool = True) -> None:
    """Check that a database can be worked on.

    Raises:
        StopError: Its schema is not the one that this release needs, it is too old, it takes no
            writes, or there is no such database or user.
        RetryError: It is away.
    """
    session = Session(url, name="millrace-check", at_start=True)
    try:
        with session.transaction() as db:
            _require_server(db)
            is_read_only = db.execute("SHOW transaction_read_only").fetchone() == ("on",)
            stored = _stored_revision(db)
    finally:
        session.close()
    require_current(stored)
    if writing and is_read_only:
        raise StopError(
            "the database is read-only: a standby, or a server that was set so",
            "let store.url name the primary server",
        )


def _run_next(session: Session) -> None:
    """Run the revision that is next, unless somebody else has just done it."""
    with session.transaction() as db:
        db.execute(_LOCK)
        stored = _stored_revision(db)
        left = pending(stored)
        if left:
            db.execute(revision_sql("postgresql", stored, left[0]).encode())


def _make_schema(session: Session, name: str) -> None:
    with session.transaction() as db:
        db.execute("SELECT pg_advisory_xact_lock(hashtext('millrace schema'))")
        if not _answer(db, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)", name):
            db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))


def _make_legacy_views(session: Session, name: str) -> None:
    """Make the views of older systems anew, in a schema of their own (REG-082)."""
    _make_schema(session, name)
    with session.transaction() as db:
        db.execute(_LOCK)
        for view, query in LEGACY_VIEWS.items():
            named = sql.Identifier(name, view)
            db.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(named))
            body = _QUOTED.sub(lambda found: found[0].lower(), query)
            db.execute(sql.SQL("CREATE VIEW {} AS ").format(named) + sql.SQL(body))


def _stored_revision(db: Connection[Any]) -> str | None:
    if not _answer(
        db,
        "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = current_schema()"
        " AND tablename = 'alembic_version')",
    ):
        return None
    found: str | None = _answer(db, "SELECT max(version_num) FROM alembic_version")
    return found


def _require_server(db: Connection[Any]) -> None:
    if db.info.server_version < OLDEST_SERVER:
        raise StopError(
            f"the server is PostgreSQL {db.info.server_version // 10_000}",
            f"use PostgreSQL {OLDEST_SERVER // 10_000} or later",
        )


def _answer(db: Connection[Any], query: str, *values: Any) -> Any:
    row = db.execute(query.encode(), values or None).fetchone()
    return row[0] if row else None
