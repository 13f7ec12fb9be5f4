"""The ledger on PostgreSQL: one transaction takes readings, rows, state and positions, or nothing.

Readings go straight into their table; the hot batch of the same commit is what serve follows and
what `tend` rolls up, and lives for minutes only. The order of steps keeps locks short and in one
order: the fence first, then what only this process writes, then the number of the commit, behind
which everybody waits, and the registry last (D-25).
A connection that breaks during COMMIT leaves the outcome open; the positions tell (F24).
Source: D-12, D-23, D-24, D-25, REG-042, REG-076, REG-100, REG-104.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Connection, errors

from millrace.adapters.ledger_postgres import effects as writing
from millrace.adapters.ledger_postgres.readings import ReadingRows, columns_of, days_of
from millrace.errors import FencedError, RejectError, RetryError, StaleError, StopError
from millrace.flow.crashpoints import crashpoint
from millrace.flow.hot_frame import seal_hot
from millrace.model.series import SeriesKey
from millrace.model.work import Advance, Committed, Effects, LatestPage, Readings, SequenceRow
from millrace.ports.ledger import Claim
from millrace.schema.instants import stored_instant
from millrace.store_postgres.days import make_partitions, partitions, today_of
from millrace.store_postgres.faults import refusals
from millrace.store_postgres.layout import has_chunks
from millrace.store_postgres.questions import one_row, stored_latest
from millrace.store_postgres.session import Session

_ADVANCE: Final = (
    "UPDATE positions SET next_offset = %s, updated_at = %s WHERE reader = %s AND stream = %s"
    " AND partition_no = %s AND next_offset = %s AND epoch = %s"
)
_TAKE: Final = (
    "INSERT INTO positions AS p (reader, stream, partition_no, epoch) VALUES (%s, %s, %s, 1)"
    " ON CONFLICT (reader, stream, partition_no) DO UPDATE SET epoch = p.epoch + 1"
    " RETURNING epoch, next_offset"
)
_SEQUENCES: Final = (
    "SELECT s.device_id, coalesce(t.last_seq, -1), coalesce(t.epoch, 0), coalesce(t.gap_count, 0),"
    " coalesce(t.duplicates, 0), coalesce(t.resets, 0), s.packed"
    " FROM sequence_states s LEFT JOIN device_seq_tracking t ON t.device_id = s.device_id"
)


@dataclass(frozen=True, slots=True)
class _Open:
    """What was handed to COMMIT without an answer."""

    effects: Effects
    committed: Committed


class PostgresLedger:
    """The writing end; see `ports.ledger.Ledger`.

    `has_rows` says whether readings go into their table, which they do where history is kept in
    the same database; otherwise only hot batches and pages of latest values are written.
    """

    def __init__(self, url: str, *, has_rows: bool = True) -> None:
        self._session = Session(url, name="millrace-ledger")
        self._rows = ReadingRows() if has_rows else None
        self._room: set[int] = set()
        self._has_chunks: bool | None = None
        self._epochs: dict[tuple[str, str, int], int] = {}
        self._open: _Open | None = None

    def claim(self, reader: str, stream: str, partitions: Sequence[int]) -> Claim:
        self._open = None
        with self._session.transaction() as db:
            found = {p: self._take(db, reader, stream, p) for p in sorted(partitions)}
            paces = writing.read_paces(db, reader)
        return Claim(found, {p: due_ns for p, due_ns in paces.items() if p in found})

    def commit(self, effects: Effects) -> Committed:
        try:
            committed = self._commit(effects)
        except (FencedError, StaleError, RejectError):
            self._open = None
            raise
        # While the server is away the question stays open; only an answer closes it.
        self._open = None
        crashpoint("ledger_after_commit")
        return committed

    def series(self, device_ids: Sequence[str]) -> list[tuple[SeriesKey, int]]:
        with self._session.transaction() as db:
            rows = db.execute(
                "SELECT device_id, metric, channel, series_id FROM series"
                " WHERE device_id = ANY (%s)",
                (list(device_ids),),
            ).fetchall()
        return [(SeriesKey(d, m, c), number) for d, m, c, number in rows]

    def snapshot(self, reader: str) -> tuple[dict[int, int], list[SequenceRow]]:
        with self._session.transaction("REPEATABLE READ") as db:
            row = db.execute(
                "SELECT version, positions FROM snapshots WHERE reader = %s AND kind = 'middle'",
                (reader,),
            ).fetchone()
            if row is None:
                return {}, []
            if row[0] != writing.SNAPSHOT_VERSION:
                raise StopError(
                    f"the stored state has version {row[0]},"
                    f" this release reads {writing.SNAPSHOT_VERSION}",
                    "run the release that wrote it, or a later one",
                )
            rows = db.execute(_SEQUENCES).fetchall()
        states = [
            SequenceRow(device_id, last_seq, epoch, gaps, copies, resets, None, packed)
            for device_id, last_seq, epoch, gaps, copies, resets, packed in rows
        ]
        return {int(p): offset for p, offset in json.loads(row[1]).items()}, states

    def latest_pages(self) -> tuple[int, list[LatestPage]]:
        """Return the stored pages of latest values, and the hot batch they are complete to."""
        with self._session.transaction() as db:
            return stored_latest(db)

    def close(self) -> None:
        self._session.close()

    def _commit(self, effects: Effects) -> Committed:
        unsure = self._open
        self._make_room(effects)
        with self._session.transaction() as db:
            if unsure is not None and unsure.effects is effects and self._is_in(db, effects):
                committed = unsure.committed
            else:
                with refusals():
                    committed = self._write(db, effects)
                crashpoint("ledger_before_commit")
            self._open = _Open(effects, committed)
        return committed

    def _take(self, db: Connection[Any], reader: str, stream: str, partition: int) -> int:
        epoch, offset = one_row(db, _TAKE, (reader, stream, partition))
        self._epochs[reader, stream, partition] = epoch
        return int(offset)

    def _make_room(self, effects: Effects) -> None:
        """Make the partitions that readings need, in a transaction of its own."""
        if self._rows is None or self._has_chunks or not len(effects.readings):
            return
        days = days_of(effects.readings)
        if days <= self._room:
            return
        with self._session.transaction() as db:
            self._has_chunks = has_chunks(db)
            if not self._has_chunks:
                make_partitions(db, days, today_of(effects.now_ns))
                self._room = {day for one in partitions(db) for day in range(one.first, one.stop)}

    def _is_in(self, db: Connection[Any], effects: Effects) -> bool:
        """Say whether a commit without an answer has happened.

        Its transaction may still be about to end; its locks are waited for.
        """
        moves = {move.partition: move for move in effects.advances}
        rows = db.execute(
            "SELECT partition_no, next_offset, epoch FROM positions WHERE reader = %s"
            " AND stream = %s AND partition_no = ANY (%s) ORDER BY partition_no FOR UPDATE",
            (effects.reader, effects.stream, list(moves)),
        ).fetchall()
        for partition, _, epoch in rows:
            if epoch != self._epoch(effects, partition):
                raise _fenced(effects.stream, partition)
        return any(
            offset == moves[partition].next_offset != moves[partition].expected
            for partition, offset, _ in rows
        )

    def _write(self, db: Connection[Any], effects: Effects) -> Committed:
        now = stored_instant(effects.now_ns)
        for move in sorted(effects.advances, key=lambda move: move.partition):
            self._advance(db, effects, move, now)
        series_ids = writing.name_series(db, effects.new_series, now)
        attr_ids = writing.name_attributes(db, effects.new_attributes)
        readings = effects.readings.named(series_ids, attr_ids)
        self._write_rows(db, readings)
        writing.write_letters(db, effects)
        writing.write_left_out(db, effects.not_stored)
        commit_id = self._number(db, effects)
        if len(readings):
            db.execute(
                "INSERT INTO hot_batches (id, committed_at_ns, row_count, frame)"
                " VALUES (%s, %s, %s, %s)",
                (commit_id, effects.now_ns, len(readings), seal_hot(readings)),
            )
        writing.write_events(db, effects.events)
        writing.write_counts(db, effects.counts)
        if effects.latest is not None:
            writing.write_latest(db, effects, effects.latest, has_pages=self._rows is None)
        if effects.snapshot is not None:
            writing.write_snapshot(db, effects.reader, effects.snapshot)
        if effects.paces:
            writing.write_by_partition(db, effects.reader, "registration", effects.paces)
        version = _registry(db, effects, now)
        writing.write_touches(db, effects.touches)
        writing.write_sequences(db, effects.sequences, now)
        return Committed(commit_id, version, series_ids, attr_ids)

    def _advance(self, db: Connection[Any], effects: Effects, move: Advance, now: str) -> None:
        place = (effects.reader, effects.stream, move.partition)
        epoch = self._epoch(effects, move.partition)
        done = db.execute(_ADVANCE, (move.next_offset, now, *place, move.expected, epoch))
        if done.rowcount != 1:
            raise _fenced(effects.stream, move.partition)

    def _epoch(self, effects: Effects, partition: int) -> int:
        return self._epochs.get((effects.reader, effects.stream, partition), -1)

    def _write_rows(self, db: Connection[Any], readings: Readings) -> None:
        if self._rows is None or not len(readings):
            return
        if self._has_chunks:
            # Late readings open compressed batches; a bound on that would refuse the commit for
            # ever, and ours is the size of a commit (D-29).
            db.execute("SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
        try:
            self._rows.write(db, columns_of(readings), has_chunks=bool(self._has_chunks))
        except errors.CheckViolation as error:
            # Retention has removed the day while this went on.
            self._room.clear()
            raise RetryError("the partition of a day has gone") from error

    def _number(self, db: Connection[Any], effects: Effects) -> int:
        """Return the number of this commit; from here to its end all others wait.

        Batches and events are followed by their ids, so they must appear in that order.
        """
        if len(effects.readings):
            query = "UPDATE commits SET last_id = last_id + 1 RETURNING last_id"
        else:
            query = "SELECT last_id FROM commits FOR UPDATE"
        return int(one_row(db, query)[0])


def _registry(db: Connection[Any], effects: Effects, now: str) -> int:
    """Return the registry version of this commit, after its own registrations."""
    expected = effects.registry_version
    if effects.discovered:
        version = writing.discover(db, effects.discovered, now)
        expected += 1
    else:
        version = int(one_row(db, "SELECT version FROM registry_version WHERE id = 1")[0])
    if version != expected:
        raise StaleError(f"the registry is at {version}, not {expected}")
    return version


def _fenced(stream: str, partition: int) -> FencedError:
    return FencedError(
        f"another process has taken over {stream}/{partition}",
        "stop the other process, or let this one end",
    )
