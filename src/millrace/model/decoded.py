"""The collector that codecs write into: readings as columns, everything else as short lists.

A run is a number of readings of one message that share time and flags; a codec appends runs, and
the columns are expanded once per batch. Between two messages the decode step sets `message`. What
decodes many messages at once adds whole columns instead.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from millrace.model.columns import ReadingColumns, joined
from millrace.model.event import DeadLetter, Event, Report
from millrace.model.sequence import SequenceFacts


class Decoded:
    """What the codecs found in one batch of messages.

    Shape: `slots` and `values` have one entry per reading; `run_*` one per run, and the sum of
    `run_counts` equals the number of readings. `blocks` are further readings.
    Units: `run_times` in UTC nanoseconds.
    """

    __slots__ = (
        "blocks",
        "dead_letters",
        "events",
        "facts",
        "message",
        "overwritten",
        "reports",
        "run_counts",
        "run_flags",
        "run_messages",
        "run_times",
        "slots",
        "values",
    )

    def __init__(self) -> None:
        self.message = -1
        self.blocks: list[ReadingColumns] = []
        self.slots: list[int] = []
        self.values: list[float] = []
        self.run_times: list[int] = []
        self.run_flags: list[int] = []
        self.run_counts: list[int] = []
        self.run_messages: list[int] = []
        self.events: list[Event] = []
        self.dead_letters: list[DeadLetter] = []
        self.reports: list[Report] = []
        self.facts: list[SequenceFacts] = []
        self.overwritten = 0

    def reading(self, slot: int, time_ns: int, value: float, flags: int = 0) -> None:
        """Add one reading of the current message."""
        self.slots.append(slot)
        self.values.append(value)
        self.run_times.append(time_ns)
        self.run_flags.append(flags)
        self.run_counts.append(1)
        self.run_messages.append(self.message)

    def readings(
        self, slots: Sequence[int], time_ns: int, values: Sequence[float], flags: int = 0
    ) -> None:
        """Add readings of the current message that share time and flags."""
        self.slots.extend(slots)
        self.values.extend(values)
        self.run_times.append(time_ns)
        self.run_flags.append(flags)
        self.run_counts.append(len(slots))
        self.run_messages.append(self.message)

    def block(self, columns: ReadingColumns) -> None:
        """Add readings of many messages, in the order of these."""
        if len(columns.slot):
            self.blocks.append(columns)

    def columns(self) -> ReadingColumns:
        """Return all readings in the order of their messages."""
        counts = np.array(self.run_counts, np.int64)
        listed = ReadingColumns(
            np.repeat(np.array(self.run_messages, np.int64), counts),
            np.array(self.slots, np.int64),
            np.repeat(np.array(self.run_times, np.int64), counts),
            np.array(self.values, np.float64),
            np.repeat(np.array(self.run_flags, np.int16), counts),
        )
        return (
            joined([listed, *self.blocks]) if self.slots or not self.blocks else joined(self.blocks)
        )

    def event(
        self,
        type_: str,
        device_id: str,
        time_ns: int,
        data: dict[str, Any] | None = None,
        *,
        flags: int = 0,
    ) -> None:
        """Add an event of the current message."""
        self.events.append(Event(type_, device_id, time_ns, data or {}, flags, self.message))

    def reject(
        self, reason: str, element: str = "", index: int | None = None, detail: str = ""
    ) -> None:
        """Add a dead letter for one element of the current message; the rest is kept."""
        self.dead_letters.append(DeadLetter(reason, element, index, detail, self.message))

    def report(self, kind: str, device_id: str, data: dict[str, Any]) -> None:
        """Add what the current message says about its device itself."""
        self.reports.append(Report(kind, device_id, data, self.message))

    def rewind(self, message: int) -> None:
        """Forget what was written for `message`, which must be the last one written for."""
        while self.run_messages and self.run_messages[-1] == message:
            self.run_messages.pop()
            self.run_times.pop()
            self.run_flags.pop()
            count = self.run_counts.pop()
            if count:
                del self.slots[-count:], self.values[-count:]
        rows: list[list[Any]] = [self.events, self.dead_letters, self.reports, self.facts]
        for column in rows:
            while column and column[-1].message == message:
                column.pop()
