"""What a commit writes beside readings: one statement a table, whatever the number of rows.

Text is cleaned of NUL, which PostgreSQL does not take.
Source: REG-042, REG-100, REG-104, D-21, D-24; libraries.md ("never executemany").
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from psycopg import Connection

from millrace.model.latest_page import complete_to, covers, merged
from millrace.model.work import (
    DeviceTouch,
    Discovered,
    Effects,
    EventRow,
    LatestPage,
    LatestPages,
    LetterRow,
    NewSeries,
    SequenceShown,
    Snapshot,
    Tally,
)
from millrace.schema.instants import stored_instant

MAX_LETTER_BYTES: Final = 2_097_152
SNAPSHOT_VERSION: Final = 1
# An entry of an index has 2,704 bytes; a body beyond this keeps only its unit.
MAX_BODY_BYTES: Final = 2_000

_FAMILIES: Final = frozenset({"f2", "meter", "sensors", "generic"})
_SERIES_LOCK: Final = 0x6D72_0003
_NEW_SERIES: Final = """INSERT INTO series (device_id, metric, channel, unit, created_at)
    SELECT n.device_id, n.metric, n.channel, n.unit, %(now)s
    FROM unnest(%(devices)s::text[], %(metrics)s::text[], %(channels)s::text[], %(units)s::text[])
    WITH ORDINALITY AS n (device_id, metric, channel, unit, place)
    WHERE NOT EXISTS (SELECT FROM series s WHERE s.device_id = n.device_id
        AND s.metric = n.metric AND s.channel = n.channel)
    ORDER BY n.place ON CONFLICT DO NOTHING"""
_NEW_UNITS: Final = """UPDATE series s SET unit = n.unit
    FROM unnest(%(devices)s::text[], %(metrics)s::text[], %(channels)s::text[], %(units)s::text[])
    AS n (device_id, metric, channel, unit)
    WHERE s.device_id = n.device_id AND s.metric = n.metric AND s.channel = n.channel
    AND s.unit IS DISTINCT FROM n.unit AND n.unit IS NOT NULL"""
_SERIES_IDS: Final = """SELECT s.series_id
    FROM unnest(%(devices)s::text[], %(metrics)s::text[], %(channels)s::text[])
    WITH ORDINALITY AS n (device_id, metric, channel, place)
    JOIN series s ON s.device_id = n.device_id AND s.metric = n.metric AND s.channel = n.channel
    ORDER BY n.place"""
_NEW_ATTRIBUTES: Final = """INSERT INTO attributes (body)
    SELECT n.body FROM unnest(%(bodies)s::text[]) AS n (body)
    WHERE NOT EXISTS (SELECT FROM attributes a WHERE a.body = n.body)
    ORDER BY n.body ON CONFLICT DO NOTHING"""
_ATTRIBUTE_IDS: Final = """SELECT a.attr_id
    FROM unnest(%(bodies)s::text[]) WITH ORDINALITY AS n (body, place)
    JOIN attributes a ON a.body = n.body ORDER BY n.place"""
_EVENTS: Final = """INSERT INTO events
    (position, device_id, family, type, time_ns, received_at_ns, flags, data)
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[],
    %s::bigint[], %s::integer[], %s::text[])"""
_LETTERS: Final = """INSERT INTO dead_letters (family, stream, partition_no, log_offset, element,
    element_index, reason, detail, received_at, device_id, topic, payload, size_bytes)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::integer[], %s::bigint[], %s::text[],
    %s::integer[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::bytea[],
    %s::bigint[])
    ON CONFLICT (stream, partition_no, log_offset, element, reason) DO NOTHING"""
_LEFT_OUT: Final = """INSERT INTO not_stored (partition_no, log_offset)
    SELECT * FROM unnest(%s::integer[], %s::bigint[]) ON CONFLICT DO NOTHING"""
_COUNTS: Final = """INSERT INTO counters (outcome, family, detail, count)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[])
    ON CONFLICT (outcome, family, detail) DO UPDATE SET count = counters.count + excluded.count"""
_TOUCHES: Final = """UPDATE devices d SET last_seen = coalesce(t.seen, d.last_seen),
    connection_status = coalesce(t.status, d.connection_status),
    fw_version = coalesce(t.version, d.fw_version), location = coalesce(t.location, d.location)
    FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::text[])
    AS t (device_id, seen, status, version, location) WHERE d.device_id = t.device_id"""
_DISCOVERED: Final = """INSERT INTO devices (device_id, family, role, registered, status,
    device_name, device_type, location, mac_address, created_at, updated_at)
    SELECT n.device_id, n.family, n.role, false, 'discovered', n.device_id, n.device_type,
    n.location, n.mac, %(now)s, %(now)s
    FROM unnest(%(devices)s::text[], %(families)s::text[], %(roles)s::text[], %(types)s::text[],
    %(locations)s::text[], %(macs)s::text[])
    AS n (device_id, family, role, device_type, location, mac)
    ORDER BY n.device_id ON CONFLICT DO NOTHING"""
_PAGES: Final = """INSERT INTO latest_pages (page, through_id, frame)
    SELECT n.page, %s, n.frame FROM unnest(%s::integer[], %s::bytea[]) AS n (page, frame)
    ON CONFLICT (page) DO UPDATE SET frame = excluded.frame"""
_STATES: Final = """INSERT INTO sequence_states (device_id, version, packed)
    SELECT n.device_id, %s, n.packed FROM unnest(%s::text[], %s::bytea[]) AS n (device_id, packed)
    ORDER BY n.device_id
    ON CONFLICT (device_id) DO UPDATE SET version = excluded.version, packed = excluded.packed"""
_TRACKING: Final = """INSERT INTO device_seq_tracking (device_id, last_seq, epoch, gap_count,
    duplicates, resets, last_ts, state, updated_at)
    SELECT n.device_id, n.last_seq, n.epoch, n.gap_count, n.duplicates, n.resets, n.last_ts,
    n.state::jsonb, %(now)s
    FROM unnest(%(devices)s::text[], %(seqs)s::bigint[], %(epochs)s::bigint[],
    %(gaps)s::bigint[], %(duplicates)s::bigint[], %(resets)s::bigint[], %(times)s::timestamptz[],
    %(states)s::text[])
    AS n (device_id, last_seq, epoch, gap_count, duplicates, resets, last_ts, state)
    WHERE EXISTS (SELECT FROM devices d WHERE d.device_id = n.device_id)
    ORDER BY n.device_id
    ON CONFLICT (device_id) DO UPDATE SET last_seq = excluded.last_seq, epoch = excluded.epoch,
    gap_count = excluded.gap_count, duplicates = excluded.duplicates, resets = excluded.resets,
    last_ts = excluded.last_ts, state = excluded.state, updated_at = excluded.updated_at"""


def name_series(db: Connection[Any], new: Sequence[NewSeries], now: str) -> list[int]:
    """Return the ids of series, making those that are not there.

    Who makes series holds a lock until the end of the transaction: so a reader that follows them
    by id never sees a higher one before a lower one. Ids grow in the order of `new`: readings of
    one moment are listed by them, and the list must not depend on the database.
    """
    if not new:
        return []
    db.execute("SELECT pg_advisory_xact_lock(%s)", (_SERIES_LOCK,))
    values = {
        "devices": [_text(one.key.device_id) for one in new],
        "metrics": [_text(one.key.metric) for one in new],
        "channels": [_text(one.key.channel) for one in new],
        "units": [_text(one.unit) for one in new],
        "now": now,
    }
    db.execute(_NEW_SERIES, values)
    db.execute(_NEW_UNITS, values)
    return [int(row[0]) for row in db.execute(_SERIES_IDS, values).fetchall()]


def name_attributes(db: Connection[Any], bodies: Sequence[str]) -> list[int]:
    """Return the ids of versions of attributes, making those that are not there."""
    if not bodies:
        return []
    db.execute("SELECT pg_advisory_xact_lock(%s)", (_SERIES_LOCK,))
    values = {"bodies": [_indexable(body) for body in bodies]}
    db.execute(_NEW_ATTRIBUTES, values)
    return [int(row[0]) for row in db.execute(_ATTRIBUTE_IDS, values).fetchall()]


def write_events(db: Connection[Any], rows: Sequence[EventRow]) -> None:
    """Write events, in their order."""
    _insert(
        db,
        _EVENTS,
        (
            (
                row.position, _text(row.event.device_id), row.family, _text(row.event.type),
                row.event.time_ns, row.received_at_ns, row.event.flags,
                orjson.dumps(row.event.data).decode(),
            )
            for row in rows
        ),
    )  # fmt: skip


def write_letters(db: Connection[Any], effects: Effects) -> None:
    """Write dead letters; payloads take a bounded room per message.

    A message of a megabyte may have thousands of bad elements. Its first letter always has the
    bytes, the others as far as all of them fit; they share stream, partition and offset.
    """
    _insert(db, _LETTERS, _letter_rows(effects))


def write_left_out(db: Connection[Any], places: Sequence[tuple[int, int]]) -> None:
    """Write which messages the archive leaves out."""
    _insert(db, _LEFT_OUT, places)


def write_counts(db: Connection[Any], counts: Mapping[Tally, int]) -> None:
    """Add to the counters of outcomes."""
    _insert(
        db,
        _COUNTS,
        sorted(
            (tally.outcome, tally.family, _text(tally.detail), number)
            for tally, number in counts.items()
        ),
    )


def write_touches(db: Connection[Any], touches: Mapping[str, DeviceTouch]) -> None:
    """Project what was heard of devices onto their registry rows."""
    _insert(
        db,
        _TOUCHES,
        (
            (
                _text(device_id), _instant(touch.last_seen_ns), touch.connection_status,
                _text(touch.fw_version), _text(touch.location),
            )
            for device_id, touch in sorted(touches.items())
        ),
    )  # fmt: skip


def discover(db: Connection[Any], rows: Sequence[Discovered], now: str) -> int:
    """Insert registry rows as one registry write; return its version (REG-100, REG-104)."""
    found = db.execute(
        "UPDATE registry_version SET version = version + 1, changed_at = %s WHERE id = 1"
        " RETURNING version",
        (now,),
    ).fetchone()
    version = int(found[0]) if found else 0
    macs = [row.device_id[3:] if _has_mac(row) else None for row in rows]
    values = {
        "now": now,
        "devices": [row.device_id for row in rows],
        "families": [row.family if row.family in _FAMILIES else "generic" for row in rows],
        "roles": ["controller" if row.family == "f2" else "standalone" for row in rows],
        "types": [_text(row.device_type) for row in rows],
        "locations": [_text(row.location) for row in rows],
        "macs": macs,
    }
    db.execute(_DISCOVERED, values)
    db.execute(
        "INSERT INTO audit_log (at, actor_kind, actor, action, object_type, object_id, after,"
        " registry_version) VALUES (%s, 'system', 'ingest', 'discover', 'device', %s, %s::jsonb,"
        " %s)",
        (now, rows[0].device_id, json.dumps(values["devices"]), version),
    )
    return version


def write_latest(
    db: Connection[Any], effects: Effects, latest: LatestPages, *, has_pages: bool
) -> None:
    """Write up to which commit latest values are complete, and their pages if somebody needs them.

    Where readings are rows, the newest of a series is found by its key. The number of this commit
    has been taken, so whoever else writes pages waits.
    """
    through_id = latest.through_id
    if has_pages:
        through_id = _complete_to(db, effects, latest)
        _write_pages(db, latest.pages, through_id)
    db.execute("UPDATE commits SET covered_id = greatest(covered_id, %s)", (through_id,))


def _complete_to(db: Connection[Any], effects: Effects, latest: LatestPages) -> int:
    """Keep what is covered of our partitions; return up to which commit all of them are."""
    reader, written = effects.reader, covers(latest)
    row = db.execute(
        "SELECT positions FROM snapshots WHERE reader = %s AND kind = 'latest'", (reader,)
    ).fetchone()
    stored = {int(p): cover for p, cover in json.loads(row[0]).items()} if row else {}
    positions = db.execute(
        "SELECT partition_no, next_offset FROM positions WHERE reader = %s AND stream = %s",
        (reader, effects.stream),
    ).fetchall()
    write_by_partition(db, reader, "latest", written)
    before = db.execute("SELECT covered_id FROM commits").fetchone()
    return complete_to(written, stored, dict(positions), int(before[0]) if before else 0)


def _write_pages(db: Connection[Any], pages: Sequence[LatestPage], through_id: int) -> None:
    numbers = [one.page for one in pages]
    if pages:
        stored = db.execute(
            "SELECT page, frame FROM latest_pages WHERE page = ANY (%s)", (numbers,)
        ).fetchall()
        frames = dict(stored)
        mixed = [merged(frames.get(one.page), one.frame) for one in pages]
        db.execute(_PAGES, (through_id, numbers, mixed))
    db.execute("UPDATE latest_pages SET through_id = %s", (through_id,))


def write_snapshot(db: Connection[Any], reader: str, snapshot: Snapshot) -> None:
    """Write the state of the middle; partitions that another process has stay as they are."""
    write_by_partition(db, reader, "middle", snapshot.positions)
    rows = snapshot.sequence
    if rows:
        devices, states = [row.device_id for row in rows], [row.state for row in rows]
        db.execute(_STATES, (SNAPSHOT_VERSION, devices, states))


def write_sequences(db: Connection[Any], rows: Sequence[SequenceShown], now: str) -> None:
    """Project what may be seen of the sequences of devices."""
    if not rows:
        return
    values = {
        "now": now,
        "devices": [row.device_id for row in rows],
        "states": [json.dumps({"missing": row.missing}) if row.missing else "{}" for row in rows],
        "seqs": [row.last_seq for row in rows],
        "epochs": [row.epoch for row in rows],
        "gaps": [row.gap_count for row in rows],
        "duplicates": [row.duplicates for row in rows],
        "resets": [row.resets for row in rows],
        "times": [_instant(row.last_ts_ns) for row in rows],
    }
    db.execute(_TRACKING, values)


def write_by_partition(
    db: Connection[Any], reader: str, kind: str, numbers: Mapping[int, object]
) -> None:
    """Write a number or more for each of these partitions; those of other partitions stay."""
    db.execute(
        "INSERT INTO snapshots AS s (reader, kind, version, positions)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT (reader, kind) DO UPDATE"
        " SET version = excluded.version,"
        " positions = (s.positions::jsonb || excluded.positions::jsonb)::text",
        (reader, kind, SNAPSHOT_VERSION, json.dumps(numbers)),
    )


def read_paces(db: Connection[Any], reader: str) -> dict[int, int]:
    """Return the stored pace of registration by partition."""
    row = db.execute(
        "SELECT positions FROM snapshots WHERE reader = %s AND kind = 'registration'", (reader,)
    ).fetchone()
    return {int(p): due_ns for p, due_ns in json.loads(row[0]).items()} if row else {}


def _insert(db: Connection[Any], query: str, rows: Iterable[tuple[Any, ...]]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        db.execute(query.encode(), columns)


def _letter_rows(effects: Effects) -> Iterator[tuple[Any, ...]]:
    taken: Counter[tuple[int, int]] = Counter()
    for row in effects.letters:
        message = (row.partition, row.offset)
        taken[message] += len(row.payload)
        yield _letter(row, effects.stream, has_payload=taken[message] <= MAX_LETTER_BYTES)


def _letter(row: LetterRow, stream: str, *, has_payload: bool) -> tuple[Any, ...]:
    letter = row.letter
    return (
        row.family, stream, row.partition, row.offset, _text(letter.element)[:255], letter.index,
        letter.reason, _text(letter.detail)[:1000], stored_instant(row.received_at_ns),
        _text(row.device_id)[:255], _text(row.topic)[:1024], row.payload if has_payload else None,
        len(row.payload),
    )  # fmt: skip


def _has_mac(row: Discovered) -> bool:
    mac = row.device_id[3:]
    return row.family == "f2" and len(mac) == 12 and not mac.strip("0123456789abcdef")  # noqa: PLR2004


def _indexable(body: str) -> str:
    if len(body.encode()) <= MAX_BODY_BYTES:
        return body
    return orjson.dumps({"unit": orjson.loads(body).get("unit")}).decode()


def _instant(ns: int | None) -> str | None:
    return None if ns is None else stored_instant(ns)


def _text(text: str | None) -> Any:
    """Return text without NUL, None as it is."""
    return text if text is None else text.replace("\x00", "\ufffd")
