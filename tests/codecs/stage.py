"""Runs messages through decode, sequence and the counting of outcomes, one at a time.

Where a vector speaks of a later stage (energy, alerts, liveness, commands), that stage wraps this
one: `Seen` holds all that has been decided up to here, and the stage keeps its state over a
`restart` exactly as the ledger would.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millrace.decode.redelivery import RedeliveryMemory
from millrace.decode.router import Router
from millrace.decode.sequence import SequenceTracker, SequenceView
from millrace.decode.step import decode
from millrace.decode.verdicts import apply, judge
from millrace.model.codec import Codec
from millrace.model.device import DeviceProfile
from millrace.model.event import Report
from millrace.model.instants import MILLISECOND_NS, format_instant, parse_instant
from millrace.model.message import DUP, REPLAYED, RawBatch
from millrace.model.series import SeriesBook
from millrace.model.work import SequenceRow, gather
from millrace.record.step import record
from tests.codecs.outcome import outcome


@dataclass(slots=True)
class Seen:
    """What became of one message. `kind` is that of a duplicate or the reason of a letter."""

    outcome: str
    kind: str
    readings: list[dict[str, Any]]
    events: list[dict[str, Any]]
    dead_letters: list[dict[str, Any]]
    reports: list[Report] = field(default_factory=list)
    overwritten: int = 0


class Stage:
    """Decoding with memory, over the codecs of one or more families."""

    def __init__(self, codecs: Sequence[Codec]) -> None:
        self._book = SeriesBook()
        self._router = Router(codecs, self._book)
        self._rows: dict[str, SequenceRow] = {}
        self._offset = 0
        self.tracker = SequenceTracker()
        self.redelivery = RedeliveryMemory()

    def message(self, topic: str, payload: bytes, at_ns: int, flags: int = 0) -> Seen:
        batch = RawBatch(0, self._offset)
        batch.add(topic, payload, at_ns, flags=flags)
        self._offset += 1
        wanted = self._router.missing([topic])
        self._router.learn(wanted, {key: DeviceProfile(key[1], key[0]) for key in wanted})
        work = decode(gather([batch], 1), self._router)
        apply(work, judge(work, self.tracker, self.redelivery))
        effects = record(work, self._book, reader="r", stream="s", now_ns=at_ns)
        self._rows.update((row.device_id, row) for row in self.tracker.dirty())
        (tally,) = effects.counts
        found = outcome(work.decoded, self._book, work.readings)
        return Seen(
            tally.outcome,
            tally.detail,
            found["readings"],
            [
                {"type": event.type, "device_id": event.device_id, **event.data}
                for event in work.decoded.events
            ],
            found["dead_letters"],
            work.decoded.reports,
            work.decoded.overwritten,
        )

    def restart(self) -> None:
        """Begin again with what was committed; the redelivery memory is lost."""
        self.tracker = SequenceTracker()
        self.tracker.restore(list(self._rows.values()))
        self.redelivery = RedeliveryMemory()

    def view(self, device_id: str, at_ns: int) -> SequenceView:
        return self.tracker.view(device_id, at_ns)


def payload_of(step: Mapping[str, Any]) -> bytes:
    """Return the payload bytes of a vector, in any of its four spellings."""
    if "payload_text" in step:
        return str(step["payload_text"]).encode()
    if "payload_b64" in step:
        return base64.b64decode(step["payload_b64"])
    body = step["payload"] if "payload" in step else generated(step["payload_gen"])
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def generated(recipe: Mapping[str, Any]) -> dict[str, Any]:
    first_ns = parse_instant(recipe["first_ts"])
    assert first_ns is not None
    return {
        **recipe["envelope"],
        "measurements": [
            {
                "ts": format_instant(first_ns + k * recipe["step_ms"] * MILLISECOND_NS),
                "type": recipe["type"],
                "val": k,
                "unit": recipe["unit"],
            }
            for k in range(recipe["count"])
        ],
    }


def flags_of(step: Mapping[str, Any]) -> int:
    flags = int(step.get("qos", 2))
    return (
        flags | (DUP if step.get("dup") else 0) | (REPLAYED if step.get("retained_replay") else 0)
    )
