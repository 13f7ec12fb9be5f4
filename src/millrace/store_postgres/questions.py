"""Small typed questions to the store, that several adapters ask."""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from millrace.errors import StopError
from millrace.model.work import LatestPage


def one_row(db: Connection[Any], query: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
    """Return the one row that a statement answers.

    Raises:
        StopError: There is none; the tables are not as this release makes them.
    """
    row = db.execute(query.encode(), values).fetchone()
    if row is None:
        raise StopError("PostgreSQL answered no row", "run `millrace migrate`")
    return tuple(row)


def stored_latest(db: Connection[Any]) -> tuple[int, list[LatestPage]]:
    """Return the commit that latest values are complete to, and their pages if they are kept."""
    through_id = int(one_row(db, "SELECT covered_id FROM commits")[0])
    rows = db.execute("SELECT page, frame FROM latest_pages ORDER BY page").fetchall()
    return through_id, [LatestPage(page, bytes(frame)) for page, frame in rows]
