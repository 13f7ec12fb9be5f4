"""The record step: what the work came to, as rows, counters and positions for the ledger.

Everything that is per reading is done on whole columns; Python looks at single messages only where
something unusual happened to them (a duplicate, a dead letter, a device seen for the first time).
Source: D-23, D-24, D-27, D-52, MON-030.
"""

from collections import Counter
from collections.abc import Iterable
from operator import attrgetter

import numpy as np

from millrace.model.columns import IntColumn
from millrace.model.event import Event
from millrace.model.message import RawBatch
from millrace.model.series import SeriesBook
from millrace.model.work import (
    Advance,
    Committed,
    Discovered,
    Effects,
    EventRow,
    LetterRow,
    NewSeries,
    Readings,
    Tally,
    Work,
)

POSITION_BITS = 48


def position_of(partition: int, offset: int) -> int:
    """Return a log position as one integer: partition above, offset in the lower 48 bits."""
    return partition << POSITION_BITS | offset


def record(work: Work, book: SeriesBook, *, reader: str, stream: str, now_ns: int) -> Effects:
    """Return the effects of the work; series without an id get local negative ones."""
    received_at_ns, positions = _message_columns(work.batches)
    readings, new_series, new_attributes = _readings(work, book, received_at_ns, positions)
    found = _discovered(work, received_at_ns, positions)
    refused = _lettered(work)
    return Effects(
        reader=reader,
        stream=stream,
        advances=[
            Advance(batch.partition, batch.first_offset, batch.next_offset)
            for batch in work.batches
        ],
        registry_version=work.registry_version,
        now_ns=now_ns,
        readings=readings,
        new_series=new_series,
        new_attributes=new_attributes,
        events=_events(work, found, received_at_ns, positions),
        letters=_letters(work),
        counts=_counts(work, refused),
        discovered=list(found.values()),
        paces=_paces(work),
        readings_by_family=_by_family(work),
        not_stored=_places(work, [*work.duplicates, *refused]),
    )


def name(effects: Effects, committed: Committed, book: SeriesBook, slots: Iterable[int]) -> None:
    """Put the ids that the ledger gave into the book and into the readings of the effects."""
    keys = [new.key for new in effects.new_series]
    book.learn_series(zip(keys, committed.series_ids, strict=True))
    book.learn_attributes(zip(effects.new_attributes, committed.attr_ids, strict=True))
    book.name_slots(slots)
    effects.readings = effects.readings.named(committed.series_ids, committed.attr_ids)


def _message_columns(batches: list[RawBatch]) -> tuple[IntColumn, IntColumn]:
    if not batches:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    received = [np.array(batch.received_at_ns, np.int64) for batch in batches]
    positions = [
        np.arange(len(batch), dtype=np.int64) + position_of(batch.partition, batch.first_offset)
        for batch in batches
    ]
    return np.concatenate(received), np.concatenate(positions)


def _readings(
    work: Work, book: SeriesBook, received_at_ns: IntColumn, positions: IntColumn
) -> tuple[Readings, list[NewSeries], list[str]]:
    found = work.readings
    slots = found.slot
    series = np.frombuffer(book.series_ids, np.int64)[slots] if len(slots) else slots.copy()
    attr = np.frombuffer(book.attr_ids, np.int64)[slots] if len(slots) else slots.copy()
    new_series, new_attributes = _unnamed(book, slots, series, attr)
    readings = Readings(
        series=series,
        attr=attr,
        time_ns=found.time_ns,
        value=found.value,
        flags=found.flags,
        received_at_ns=received_at_ns[found.message],
        position=positions[found.message],
    )
    return readings, new_series, new_attributes


def _unnamed(
    book: SeriesBook, slots: IntColumn, series: IntColumn, attr: IntColumn
) -> tuple[list[NewSeries], list[str]]:
    """Give local ids -1, -2, ... to series and attributes that the ledger has not named yet."""
    local_series: dict[object, int] = {}
    local_attributes: dict[str, int] = {}
    new_series: list[NewSeries] = []
    rows = np.flatnonzero((series < 0) | (attr < 0))
    missing, place = np.unique(slots[rows], return_inverse=True)
    series_ids, attr_ids = [], []
    for number in missing.tolist():
        slot = book.slots[number]
        series_id, attr_id = book.series_ids[number], book.attr_ids[number]
        if series_id < 0:
            if slot.key not in local_series:
                new_series.append(NewSeries(slot.key, slot.unit))
            series_id = -1 - local_series.setdefault(slot.key, len(local_series))
        if attr_id < 0:
            attr_id = -1 - local_attributes.setdefault(slot.attributes, len(local_attributes))
        series_ids.append(series_id)
        attr_ids.append(attr_id)
    if len(rows):
        series[rows] = np.array(series_ids, np.int64)[place]
        attr[rows] = np.array(attr_ids, np.int64)[place]
    return new_series, list(local_attributes)


def _counts(work: Work, refused: dict[int, str]) -> Counter[Tally]:
    labels = Counter(work.labels)
    counts: Counter[Tally] = Counter()
    for message, kind in work.duplicates.items():
        labels[work.labels[message]] -= 1
        counts[Tally("duplicate", work.labels[message][0], kind)] += 1
    for message, reason in refused.items():
        labels[work.labels[message]] -= 1
        counts[Tally("dead_letter", work.labels[message][0], reason)] += 1
    for (family, category), number in labels.items():
        if family and number:
            counts[Tally("stored", family, category)] = number
    return counts


def _places(work: Work, messages: list[int]) -> list[tuple[int, int]]:
    """Return partition and offset of messages."""
    located = map(work.locate, messages)
    return [(batch.partition, batch.first_offset + i) for batch, i in located]


def _lettered(work: Work) -> dict[int, str]:
    """Return the messages whose outcome is `dead_letter`, with the reason (D-52).

    That is every message that was refused as a whole, and every one that had nothing good in it.
    """
    out = work.decoded
    refused = dict(work.rejected)
    elements: dict[int, str] = {}
    for letter in out.dead_letters:
        if letter.element:
            elements.setdefault(letter.message, letter.reason)
        else:
            refused[letter.message] = letter.reason
    if elements:
        spoke = set(np.unique(work.readings.message).tolist())
        spoke.update(event.message for event in out.events)
        # What kind of device speaks, and where it stands, is no news by itself.
        spoke.update(report.message for report in out.reports if report.kind != "device")
        for message, reason in elements.items():
            if message not in spoke:
                refused.setdefault(message, reason)
    return refused


def _letters(work: Work) -> list[LetterRow]:
    rows = []
    for letter in work.decoded.dead_letters:
        batch, i = work.locate(letter.message)
        rows.append(
            LetterRow(
                letter,
                work.labels[letter.message][0],
                work.device_ids[letter.message],
                batch.partition,
                batch.first_offset + i,
                batch.received_at_ns[i],
                batch.topics[i],
                batch.payloads[i],
            )
        )
    return rows


def _by_family(work: Work) -> Counter[str]:
    families = {family for family, _ in work.labels}
    if len(families) == 1:
        return Counter({families.pop(): len(work.readings.slot)})
    counts: Counter[str] = Counter()
    numbers = np.bincount(work.readings.message, minlength=len(work.labels)).tolist()
    for (family, _), number in zip(work.labels, numbers, strict=True):
        if number:
            counts[family] += number
    return counts


def _events(
    work: Work, found: dict[int, Discovered], received_at_ns: IntColumn, positions: IntColumn
) -> list[EventRow]:
    """Return the events by message; that a device was discovered comes first (MTR-007)."""
    events = work.decoded.events
    if found:
        first = [
            Event("device_discovered", row.device_id, row.first_seen_ns, message=message)
            for message, row in found.items()
        ]
        events = sorted([*first, *events], key=attrgetter("message"))
    return [
        EventRow(
            event,
            work.labels[event.message][0],
            int(positions[event.message]),
            int(received_at_ns[event.message]),
        )
        for event in events
    ]


def _discovered(
    work: Work, received_at_ns: IntColumn, positions: IntColumn
) -> dict[int, Discovered]:
    """Return the devices that get a registry row, by the message that gives it to them."""
    rows = {
        message: Discovered(
            work.device_ids[message],
            work.labels[message][0],
            int(received_at_ns[message]),
            int(positions[message]),
        )
        for message in work.registering
    }
    by_device = {row.device_id: row for row in rows.values()}
    for report in work.decoded.reports if rows else ():
        row = by_device.get(report.device_id)
        if row is not None and report.kind == "device":
            row.device_type = row.device_type or report.data.get("device_type")
            row.location = row.location or report.data.get("location")
    return rows


def _paces(work: Work) -> dict[int, int]:
    """Return the pace of each partition after the last of its devices that get a row."""
    placed = (
        (work.locate(message)[0].partition, pace) for message, pace in work.registering.items()
    )
    return {partition: pace for partition, pace in placed if pace}
