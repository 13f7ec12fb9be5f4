"""Partitions of `readings`: which there are, which are needed, and what retention removes.

A partition has one UTC day. Days that lie far away are rare and come from clocks that are wrong or
from old records, so they share one partition a year: it takes what is free of its year between the
partitions that exist. The name of a partition says what it covers: `readings_<first>_<stop>`, both
as dates, the second exclusive. With TimescaleDB there are chunks instead, which make themselves.
Source: architecture.md 5; D-30.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection, errors, sql

DAY_US: Final = 86_400_000_000
NEAR_DAYS: Final = 400
LOCK_TIMEOUT: Final = "1s"

# Two processes must not make the same partition; the number stands for "partitions of readings".
_LOCK: Final = 0x6D72_0001
_EPOCH: Final = date(1970, 1, 1).toordinal()


class Partition(NamedTuple):
    """Days since 1970 that one partition covers: `first` <= day < `stop`."""

    first: int
    stop: int

    @property
    def name(self) -> str:
        """The name of its table."""
        return f"readings_{_date(self.first):%Y%m%d}_{_date(self.stop):%Y%m%d}"


def today_of(now_ns: int) -> int:
    """Return the day of an instant, counted since 1970."""
    return now_ns // (DAY_US * 1000)


def partitions(db: Connection[Any]) -> list[Partition]:
    """Return the partitions that exist, in order of time."""
    rows = db.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'readings'::regclass"
    ).fetchall()
    return sorted(_parsed(str(name)) for (name,) in rows)


def missing(days: Iterable[int], have: Iterable[Partition], today: int) -> list[Partition]:
    """Return the partitions that have to be made so that all these days are covered."""
    found = sorted(have)
    made = []
    for day in sorted(set(days)):
        at = bisect_right(found, (day, DAY_US))
        before = found[at - 1] if at else None
        if before is not None and before.first <= day < before.stop:
            continue
        after = found[at] if at < len(found) else None
        fresh = _fresh(day, before, after, today)
        found.insert(at, fresh)
        made.append(fresh)
    return made


def make_partitions(db: Connection[Any], days: Iterable[int], today: int) -> list[Partition]:
    """Make what is missing for these days, and return it. The caller has a transaction.

    Others may go on to write and read meanwhile: a table is made first and then attached.
    """
    db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    fresh = missing(days, partitions(db), today)
    for one in fresh:
        name = sql.Identifier(one.name)
        db.execute(
            sql.SQL("CREATE TABLE {} (LIKE readings INCLUDING DEFAULTS INCLUDING INDEXES)").format(
                name
            )
        )
        db.execute(
            sql.SQL("ALTER TABLE readings ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                name, sql.Literal(_start(one.first)), sql.Literal(_start(one.stop))
            )
        )
    return fresh


def days_before(db: Connection[Any], before_day: int) -> list[tuple[Partition, list[int]]]:
    """Return the partitions with days before one, and which of these days have readings."""
    old = [one for one in partitions(db) if one.first < before_day]
    return [(one, _days_in(db, one, before_day)) for one in old]


def drop(db: Connection[Any], one: Partition) -> bool:
    """Remove a partition; return False when somebody holds it for now. In a transaction.

    Whoever comes behind a DROP that waits, waits as well, the commits of the ledger too: so it
    waits for `LOCK_TIMEOUT` at most, and has a transaction of its own.
    """
    with _impatient(db) as attempt:
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        db.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(one.name)))
    return attempt.is_done


def drop_chunk(db: Connection[Any], stop: datetime) -> bool:
    """Remove what TimescaleDB keeps before an instant; as `drop` does it."""
    with _impatient(db) as attempt:
        db.execute("SELECT drop_chunks('readings', %s)", (stop,))
    return attempt.is_done


def empty(db: Connection[Any], one: Partition, day: int) -> None:
    """Remove the readings of one day from a partition that has others. In a transaction."""
    statement = sql.SQL("DELETE FROM {} WHERE time >= %s AND time < %s")
    db.execute(statement.format(sql.Identifier(one.name)), (_start(day), _start(day + 1)))


def _fresh(day: int, before: Partition | None, after: Partition | None, today: int) -> Partition:
    if abs(day - today) <= NEAR_DAYS:
        return Partition(day, day + 1)
    year = _date(day).year
    first = date(year, 1, 1).toordinal() - _EPOCH
    stop = date(year + 1, 1, 1).toordinal() - _EPOCH
    if before is not None:
        first = max(first, before.stop)
    if after is not None:
        stop = min(stop, after.first)
    return Partition(first, stop)


class _Attempt:
    is_done = False


@contextmanager
def _impatient(db: Connection[Any]) -> Iterator[_Attempt]:
    """Run the body with a bound on waiting for locks; undo it when the bound is reached."""
    attempt = _Attempt()
    with suppress(errors.LockNotAvailable), db.transaction():
        db.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'".encode())
        yield attempt
        attempt.is_done = True


def _days_in(db: Connection[Any], one: Partition, before_day: int) -> list[int]:
    name = sql.Identifier(one.name)
    if one.stop - one.first == 1:
        query = sql.SQL("SELECT FROM {} LIMIT 1").format(name)
        return [one.first] if db.execute(query).fetchall() else []
    query = sql.SQL(
        "SELECT DISTINCT (time AT TIME ZONE 'UTC')::date FROM {} WHERE time < %s"
    ).format(name)
    days = db.execute(query, (_start(before_day),)).fetchall()
    return sorted(day.toordinal() - _EPOCH for (day,) in days)


def _date(day: int) -> date:
    return date.fromordinal(day + _EPOCH)


def _start(day: int) -> datetime:
    at = _date(day)
    return datetime(at.year, at.month, at.day, tzinfo=UTC)


def _parsed(name: str) -> Partition:
    _, first, stop = name.rsplit("_", 2)
    days = (datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date() for text in (first, stop))
    return Partition(*(day.toordinal() - _EPOCH for day in days))
