"""Public records: what a message came to, as JSON for consumers of others.

One decoded record for each message that gave a reading, one record for each event and each dead
letter. They tell what the codec says: duplicates are not judged, no device is registered. Every
record names its raw message, so a consumer can tell a repetition.
Source: F2-121, F2-122, D-26, D-50.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec
import numpy as np

from millrace.model.event import DeadLetter, Event
from millrace.model.instants import SECOND_NS, format_instant
from millrace.model.quality import names
from millrace.model.records import embedded
from millrace.model.series import SeriesBook
from millrace.model.work import Work

_encode = msgspec.json.Encoder().encode


class OwnRecord(Protocol):
    """How a family writes its decoded record itself; None when the message gives no reading."""

    def __call__(
        self,
        plan: Any,
        payload: bytes,
        received_at_ns: int,
        *,
        raw_ref: tuple[int, int],
        include_raw: bool,
    ) -> bytes | None: ...


class Recorder:
    """Writes public records. `own` are the families that do it themselves."""

    def __init__(
        self, book: SeriesBook, own: Mapping[str, OwnRecord], *, include_raw: bool = True
    ) -> None:
        self._book = book
        self._own = own
        self._include_raw = include_raw

    def decoded(self, work: Work, plan_of: Callable[[str], Any]) -> Iterator[tuple[int, bytes]]:
        """Yield message and decoded record; `plan_of` gives the plan of a topic."""
        rows = work.readings
        seqs = {facts.message: facts.seq for facts in work.decoded.facts}
        numbers, starts = np.unique(rows.message, return_index=True)
        ends = [*starts[1:].tolist(), len(rows.message)]
        for message, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
            batch, i = work.locate(message)
            family = work.labels[message][0]
            own = self._own.get(family)
            place = (batch.partition, batch.first_offset + i)
            if own is None:
                record = self._record(work, message, range(start, end))
                yield message, _encode({**record, "seq": seqs.get(message)})
                continue
            body = own(
                plan_of(batch.topics[i]),
                batch.payloads[i],
                batch.received_at_ns[i],
                raw_ref=place,
                include_raw=self._include_raw,
            )
            if body is not None:
                yield message, body

    def event(self, work: Work, event: Event) -> bytes:
        """Return the record of an event."""
        told = {
            "timestamp": event.time_ns / SECOND_NS,
            "device_id": event.device_id,
            "type": event.type,
            "data": event.data,
            "quality": names(event.flags),
        }
        return _encode({**told, **self._origin(work, event.message)})

    def letter(self, work: Work, letter: DeadLetter) -> bytes:
        """Return the record of a dead letter, with the bytes of its message."""
        batch, i = work.locate(letter.message)
        told = {
            "device_id": work.device_ids[letter.message],
            "reason": letter.reason,
            "element": letter.element,
            "index": letter.index,
            "detail": letter.detail,
            "payload": msgspec.Raw(embedded(batch.payloads[i])),
        }
        return _encode({**told, **self._origin(work, letter.message)})

    def _record(self, work: Work, message: int, rows: range) -> dict[str, Any]:
        columns, slots = work.readings, self._book.slots
        found = [(slots[columns.slot[row]], row) for row in rows]
        units = {slot.key.metric: slot.unit or "" for slot, _ in found}
        flags = int(np.bitwise_or.reduce(columns.flags[rows.start : rows.stop]))
        batch, i = work.locate(message)
        record: dict[str, Any] = {
            "timestamp": int(columns.time_ns[rows.start]) / SECOND_NS,
            "device_id": work.device_ids[message],
            "connector_mode": None,
            "component_type": None,
            "component_id": None,
            "value": {slot.key.metric: float(columns.value[row]) for slot, row in found},
            "unit": units if len(set(units.values())) > 1 else next(iter(units.values())),
            "quality": names(flags),
            "readings": [
                {
                    "metric": slot.key.metric,
                    "channel": slot.key.channel,
                    "value": float(columns.value[row]),
                    "unit": slot.unit or "",
                    "time": format_instant(int(columns.time_ns[row])),
                    "quality": names(int(columns.flags[row])),
                }
                for slot, row in found
            ],
        }
        if self._include_raw:
            record["raw_data"] = msgspec.Raw(embedded(batch.payloads[i]))
        return {**record, **self._origin(work, message)}

    def _origin(self, work: Work, message: int) -> dict[str, Any]:
        batch, i = work.locate(message)
        return {
            "original_topic": batch.topics[i],
            "raw_ref": {"partition": batch.partition, "offset": batch.first_offset + i},
            "received_at": batch.received_at_ns[i] / SECOND_NS,
            "family": work.labels[message][0],
        }
