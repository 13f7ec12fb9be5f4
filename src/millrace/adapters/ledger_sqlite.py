"""The ledger on SQLite: one transaction takes rows, counters, state and positions, or nothing.

The database is the one of the registry, so a device seen for the first time, its readings and the
position of its message are committed together. Readings are one blob a commit.
Source: D-10, D-20, D-21, D-24, D-25, REG-042, REG-076, REG-100, REG-104.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from millrace.errors import FencedError, StaleError, StopError
from millrace.flow.crashpoints import crashpoint
from millrace.flow.hot_frame import seal_hot
from millrace.model.latest_page import complete_to, covers, merged
from millrace.model.series import SeriesKey
from millrace.model.work import (
    Committed,
    DeviceTouch,
    Discovered,
    Effects,
    EventRow,
    LatestPage,
    LatestPages,
    LetterRow,
    NewSeries,
    Readings,
    SequenceRow,
    SequenceShown,
    Snapshot,
)
from millrace.ports.ledger import Claim
from millrace.schema.instants import stored_instant
from millrace.store.latest import stored_latest
from millrace.store.questions import answer, answers, number
from millrace.store.sqlite import open_store
from millrace.store.transaction import refusals, transaction

MAX_LETTER_BYTES = 2_097_152
SNAPSHOT_VERSION = 1

_SEQUENCES = (
    "SELECT s.device_id, coalesce(t.last_seq, -1), coalesce(t.epoch, 0), coalesce(t.gap_count, 0),"
    " coalesce(t.duplicates, 0), coalesce(t.resets, 0), s.packed"
    " FROM sequence_states s LEFT JOIN device_seq_tracking t ON t.device_id = s.device_id"
)


class SqliteLedger:
    """The writing end; see `ports.ledger.Ledger`."""

    def __init__(self, path: Path) -> None:
        self._db = open_store(path)
        self._epochs: dict[tuple[str, str, int], int] = {}

    def claim(self, reader: str, stream: str, partitions: Sequence[int]) -> Claim:
        with transaction(self._db):
            found = {p: self._take(reader, stream, p) for p in partitions}
            paces = self._paces(reader)
        return Claim(found, {p: due_ns for p, due_ns in paces.items() if p in found})

    def commit(self, effects: Effects) -> Committed:
        with transaction(self._db), refusals():
            version = self._check_registry(effects)
            self._advance(effects)
            series_ids = [self._series_id(new, effects.now_ns) for new in effects.new_series]
            attr_ids = [self._attr_id(body) for body in effects.new_attributes]
            readings = effects.readings.named(series_ids, attr_ids)
            commit_id = self._readings(readings, effects.now_ns)
            self._events(effects.events)
            self._letters(effects)
            self._leave_out(effects.not_stored)
            self._counts(effects)
            if effects.paces:
                self._keep(effects.reader, "registration", effects.paces)
            self._touch(effects.touches)
            self._show(effects.sequences, effects.now_ns)
            if effects.latest is not None:
                self._latest(effects, effects.latest)
            if effects.snapshot is not None:
                self._snapshot(effects.reader, effects.snapshot)
            crashpoint("ledger_before_commit")
        crashpoint("ledger_after_commit")
        return Committed(commit_id, version, series_ids, attr_ids)

    def series(self, device_ids: Sequence[str]) -> list[tuple[SeriesKey, int]]:
        rows = answers(
            self._db,
            "SELECT device_id, metric, channel, series_id FROM series"
            " WHERE device_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(device_ids)),),
        )
        return [(SeriesKey(d, m, c), number) for d, m, c, number in rows]

    def snapshot(self, reader: str) -> tuple[dict[int, int], list[SequenceRow]]:
        row = answer(
            self._db,
            "SELECT version, positions FROM snapshots WHERE reader = ? AND kind = 'middle'",
            (reader,),
        )
        if row is None:
            return {}, []
        if row[0] != SNAPSHOT_VERSION:
            raise StopError(
                f"the stored state has version {row[0]}, this release reads {SNAPSHOT_VERSION}",
                "run the release that wrote it, or a later one",
            )
        rows = answers(self._db, _SEQUENCES)
        states = [
            SequenceRow(device_id, last_seq, epoch, gaps, copies, resets, None, packed)
            for device_id, last_seq, epoch, gaps, copies, resets, packed in rows
        ]
        return {int(p): offset for p, offset in json.loads(row[1]).items()}, states

    def latest_pages(self) -> tuple[int, list[LatestPage]]:
        """Return the stored pages of latest values, and the hot batch they are complete to."""
        return stored_latest(self._db)

    def close(self) -> None:
        self._db.close()

    def _take(self, reader: str, stream: str, partition: int) -> int:
        self._db.execute(
            "INSERT INTO positions (reader, stream, partition_no) VALUES (?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (reader, stream, partition),
        )
        [(epoch, offset)] = answers(
            self._db,
            "UPDATE positions SET epoch = epoch + 1"
            " WHERE reader = ? AND stream = ? AND partition_no = ? RETURNING epoch, next_offset",
            (reader, stream, partition),
        )
        self._epochs[reader, stream, partition] = epoch
        return int(offset)

    def _paces(self, reader: str) -> dict[int, int]:
        query = "SELECT positions FROM snapshots WHERE reader = ? AND kind = 'registration'"
        row = answer(self._db, query, (reader,))
        return {int(p): due_ns for p, due_ns in json.loads(row[0]).items()} if row else {}

    def _keep(self, reader: str, kind: str, by_partition: Mapping[int, object]) -> None:
        self._db.execute(
            "INSERT INTO snapshots (reader, kind, version, positions) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (reader, kind) DO UPDATE SET version = excluded.version,"
            " positions = json_patch(positions, excluded.positions)",
            (reader, kind, SNAPSHOT_VERSION, json.dumps(by_partition)),
        )

    def _check_registry(self, effects: Effects) -> int:
        version = number(self._db, "SELECT version FROM registry_version WHERE id = 1")
        if version != effects.registry_version:
            raise StaleError(f"the registry is at {version}, not {effects.registry_version}")
        if not effects.discovered:
            return version
        return self._discover(effects.discovered, effects.now_ns)

    def _advance(self, effects: Effects) -> None:
        now = stored_instant(effects.now_ns)
        for move in effects.advances:
            epoch = self._epochs.get((effects.reader, effects.stream, move.partition), -1)
            self._db.execute(
                "UPDATE positions SET next_offset = ?, updated_at = ? WHERE reader = ?"
                " AND stream = ? AND partition_no = ? AND next_offset = ? AND epoch = ?",
                (
                    move.next_offset, now, effects.reader, effects.stream, move.partition,
                    move.expected, epoch,
                ),
            )  # fmt: skip
            if self._db.changes() != 1:
                raise FencedError(
                    f"another process has taken over {effects.stream}/{move.partition}",
                    "stop the other process, or let this one end",
                )

    def _series_id(self, new: NewSeries, now_ns: int) -> int:
        return number(
            self._db,
            "INSERT INTO series (device_id, metric, channel, unit, created_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (device_id, metric, channel)"
            " DO UPDATE SET unit = coalesce(excluded.unit, unit) RETURNING series_id",
            (*new.key, new.unit, stored_instant(now_ns)),
        )

    def _attr_id(self, body: str) -> int:
        return number(
            self._db,
            "INSERT INTO attributes (body) VALUES (?)"
            " ON CONFLICT (body) DO UPDATE SET body = excluded.body RETURNING attr_id",
            (body,),
        )

    def _readings(self, readings: Readings, now_ns: int) -> int:
        if len(readings):
            self._db.execute(
                "INSERT INTO hot_batches (committed_at_ns, row_count, frame) VALUES (?, ?, ?)",
                (now_ns, len(readings), seal_hot(readings)),
            )
            return self._db.last_insert_rowid()
        return number(self._db, "SELECT seq FROM sqlite_sequence WHERE name = 'hot_batches'")

    def _events(self, events: Iterable[EventRow]) -> None:
        self._db.executemany(
            "INSERT INTO events (position, device_id, family, type, time_ns, received_at_ns, flags,"
            " data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    row.position, row.event.device_id, row.family, row.event.type,
                    row.event.time_ns, row.received_at_ns, row.event.flags,
                    orjson.dumps(row.event.data).decode(),
                )
                for row in events
            ),
        )  # fmt: skip

    def _letters(self, effects: Effects) -> None:
        self._db.executemany(
            "INSERT INTO dead_letters (family, stream, partition_no, log_offset, element,"
            " element_index, reason, detail, received_at, device_id, topic, payload, size_bytes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (stream, partition_no, log_offset, element, reason) DO NOTHING",
            _letter_rows(effects),
        )

    def _leave_out(self, places: Sequence[tuple[int, int]]) -> None:
        self._db.executemany(
            "INSERT INTO not_stored (partition_no, log_offset) VALUES (?, ?)"
            " ON CONFLICT DO NOTHING",
            places,
        )

    def _counts(self, effects: Effects) -> None:
        self._db.executemany(
            "INSERT INTO counters (outcome, family, detail, count) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (
                (tally.outcome, tally.family, tally.detail, number)
                for tally, number in effects.counts.items()
            ),
        )

    def _touch(self, touches: dict[str, DeviceTouch]) -> None:
        self._db.executemany(
            "UPDATE devices SET last_seen = coalesce(?, last_seen),"
            " connection_status = coalesce(?, connection_status),"
            " fw_version = coalesce(?, fw_version), location = coalesce(?, location)"
            " WHERE device_id = ?",
            (
                (
                    None if touch.last_seen_ns is None else stored_instant(touch.last_seen_ns),
                    touch.connection_status, touch.fw_version, touch.location, device_id,
                )
                for device_id, touch in touches.items()
            ),
        )  # fmt: skip

    def _discover(self, rows: Sequence[Discovered], now_ns: int) -> int:
        """Insert registry rows as one registry write; return its version (REG-100, REG-104)."""
        now = stored_instant(now_ns)
        version = number(
            self._db,
            "UPDATE registry_version SET version = version + 1, changed_at = ? WHERE id = 1"
            " RETURNING version",
            (now,),
        )
        for row in rows:
            is_f2 = row.family == "f2"
            mac = row.device_id[3:] if is_f2 and _is_mac(row.device_id[3:]) else None
            self._db.execute(
                "INSERT INTO devices (device_id, family, role, registered, status, device_name,"
                " device_type, location, mac_address, created_at, updated_at)"
                " VALUES (?, ?, ?, 0, 'discovered', ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (
                    row.device_id, _registered(row.family), "controller" if is_f2 else "standalone",
                    row.device_id, row.device_type, row.location, mac, now, now,
                ),
            )  # fmt: skip
        self._db.execute(
            "INSERT INTO audit_log (at, actor_kind, actor, action, object_type, object_id, after,"
            " registry_version) VALUES (?, 'system', 'ingest', 'discover', 'device', ?, ?, ?)",
            (now, rows[0].device_id, json.dumps([row.device_id for row in rows]), version),
        )
        return version

    def _show(self, rows: Sequence[SequenceShown], now_ns: int) -> None:
        now = stored_instant(now_ns)
        self._db.executemany(
            "INSERT INTO device_seq_tracking (device_id, last_seq, epoch, gap_count, duplicates,"
            " resets, last_ts, state, updated_at) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9"
            " WHERE EXISTS (SELECT 1 FROM devices WHERE device_id = ?1)"
            " ON CONFLICT (device_id) DO UPDATE SET last_seq = excluded.last_seq,"
            " epoch = excluded.epoch, gap_count = excluded.gap_count,"
            " duplicates = excluded.duplicates, resets = excluded.resets,"
            " last_ts = excluded.last_ts, state = excluded.state,"
            " updated_at = excluded.updated_at",
            (
                (
                    row.device_id, row.last_seq, row.epoch, row.gap_count, row.duplicates,
                    row.resets, None if row.last_ts_ns is None else stored_instant(row.last_ts_ns),
                    json.dumps({"missing": row.missing}) if row.missing else "{}", now,
                )
                for row in rows
            ),
        )  # fmt: skip

    def _latest(self, effects: Effects, latest: LatestPages) -> None:
        through_id = self._complete_to(effects, latest)
        wanted = json.dumps([page.page for page in latest.pages])
        frames = dict(
            answers(
                self._db,
                "SELECT page, frame FROM latest_pages"
                " WHERE page IN (SELECT value FROM json_each(?))",
                (wanted,),
            )
        )
        self._db.executemany(
            "INSERT INTO latest_pages (page, through_id, frame) VALUES (?, ?, ?)"
            " ON CONFLICT (page) DO UPDATE SET frame = excluded.frame",
            (
                (page.page, through_id, merged(frames.get(page.page), page.frame))
                for page in latest.pages
            ),
        )
        self._db.execute("UPDATE latest_pages SET through_id = ?", (through_id,))

    def _complete_to(self, effects: Effects, latest: LatestPages) -> int:
        """Keep what is covered of our partitions; return up to which commit all of them are."""
        db, written = self._db, covers(latest)
        query = "SELECT positions FROM snapshots WHERE reader = ? AND kind = 'latest'"
        row = answer(db, query, (effects.reader,))
        stored = {int(p): cover for p, cover in json.loads(row[0]).items()} if row else {}
        query = "SELECT partition_no, next_offset FROM positions WHERE reader = ? AND stream = ?"
        positions = dict(answers(db, query, (effects.reader, effects.stream)))
        self._keep(effects.reader, "latest", written)
        before = number(db, "SELECT coalesce(min(through_id), 0) FROM latest_pages")
        return complete_to(written, stored, positions, before)

    def _snapshot(self, reader: str, snapshot: Snapshot) -> None:
        self._keep(reader, "middle", snapshot.positions)
        self._db.executemany(
            "INSERT INTO sequence_states (device_id, version, packed) VALUES (?, ?, ?)"
            " ON CONFLICT (device_id) DO UPDATE SET packed = excluded.packed",
            ((row.device_id, SNAPSHOT_VERSION, row.state) for row in snapshot.sequence),
        )


_FAMILIES = frozenset({"f2", "meter", "sensors", "generic"})


def _registered(family: str) -> str:
    """Return the family as the registry knows it (REG-020); one that it does not is generic."""
    return family if family in _FAMILIES else "generic"


def _is_mac(text: str) -> bool:
    return len(text) == 12 and not text.strip("0123456789abcdef")  # noqa: PLR2004


def _letter_rows(effects: Effects) -> Iterator[tuple[object, ...]]:
    """Yield the rows of the dead letters, whose payloads take a bounded room per message.

    A message of a megabyte may have thousands of bad elements. Its first letter always has the
    bytes, the others as far as all of them fit; they share stream, partition and offset.
    """
    taken: Counter[tuple[int, int]] = Counter()
    for row in effects.letters:
        message = (row.partition, row.offset)
        taken[message] += len(row.payload)
        yield _letter(row, effects.stream, has_payload=taken[message] <= MAX_LETTER_BYTES)


def _letter(row: LetterRow, stream: str, *, has_payload: bool) -> tuple[object, ...]:
    letter = row.letter
    return (
        row.family, stream, row.partition, row.offset, letter.element[:255], letter.index,
        letter.reason, letter.detail[:1000], stored_instant(row.received_at_ns),
        row.device_id[:255], row.topic[:1024], row.payload if has_payload else None,
        len(row.payload),
    )  # fmt: skip
