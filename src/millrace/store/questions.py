"""Small typed questions to the store, that several adapters ask."""

from collections.abc import Sequence
from typing import Any

import apsw

Value = str | int | float | bytes | None


def answers(db: apsw.Connection, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
    """Return all rows of a statement."""
    return db.execute(sql, tuple(values)).fetchall()


def answer(db: apsw.Connection, sql: str, values: Sequence[Value] = ()) -> tuple[Any, ...] | None:
    """Return the first row of a statement, None when there is none; the statement is finished."""
    rows = answers(db, sql, values)
    return rows[0] if rows else None


def number(db: apsw.Connection, sql: str, values: Sequence[Value] = ()) -> int:
    """Return the integer that a statement answers, 0 for nothing or NULL."""
    row = answer(db, sql, values)
    return int(row[0] or 0) if row else 0
