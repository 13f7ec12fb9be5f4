"""Work: batches of messages and all that they cause; and the effects that the ledger takes.

Each step adds to the work and takes nothing from it. Effects are what is left when everything has
been decided: rows and counters with no logic in them, so that a ledger only has to store them.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

import numpy as np

from millrace.model.columns import FlagColumn, FloatColumn, IntColumn, ReadingColumns, no_readings
from millrace.model.decoded import Decoded
from millrace.model.event import DeadLetter, Event
from millrace.model.message import RawBatch
from millrace.model.series import SeriesKey


class Count:
    """Names of the counters that are kept with the positions (MON-030)."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Tally:
    """One kind of outcome that is counted. `detail` is category, kind or reason."""

    outcome: str
    family: str
    detail: str = ""


def _resolved(column: IntColumn, ids: Sequence[int]) -> IntColumn:
    if not ids:
        return column
    result = column.copy()
    local = column < 0
    result[local] = np.asarray(ids, np.int64)[-column[local] - 1]
    return result


@dataclass(slots=True)
class Readings:
    """Readings as columns, in the order in which they were decided.

    Shape: one entry per reading in every column.
    Units: `time_ns` and `received_at_ns` UTC nanoseconds. `series` and `attr` are the ids of the
    ledger; a negative id -n-1 is entry n of `Effects.new_series` or `Effects.new_attributes`.
    `position` is partition << 48 | offset.
    """

    series: IntColumn
    attr: IntColumn
    time_ns: IntColumn
    value: FloatColumn
    flags: FlagColumn
    received_at_ns: IntColumn
    position: IntColumn

    def __len__(self) -> int:
        return len(self.series)

    def named(self, series_ids: Sequence[int], attr_ids: Sequence[int]) -> "Readings":
        """Return the readings with local ids replaced by those that the ledger gave."""
        series, attr = _resolved(self.series, series_ids), _resolved(self.attr, attr_ids)
        return replace(self, series=series, attr=attr)


@dataclass(frozen=True, slots=True)
class NewSeries:
    """A series that the ledger may not have yet."""

    key: SeriesKey
    unit: str | None


@dataclass(slots=True)
class Discovered:
    """A device that spoke without being in the registry (REG-104)."""

    device_id: str
    family: str
    first_seen_ns: int
    position: int
    device_type: str | None = None
    location: str | None = None


@dataclass(slots=True)
class LetterRow:
    """A dead letter with the message it came from. Source: REG-042."""

    letter: DeadLetter
    family: str
    device_id: str
    partition: int
    offset: int
    received_at_ns: int
    topic: str
    payload: bytes


@dataclass(slots=True)
class EventRow:
    """An event with its place in the log and its instant of receipt."""

    event: Event
    family: str
    position: int
    received_at_ns: int


@dataclass(frozen=True, slots=True)
class Advance:
    """One partition moves from `expected` to `next_offset`, or the whole commit fails."""

    partition: int
    expected: int
    next_offset: int


@dataclass(slots=True)
class DeviceTouch:
    """What is projected onto the registry row of a device. None leaves the column alone."""

    last_seen_ns: int | None = None
    connection_status: str | None = None
    fw_version: str | None = None
    device_type: str | None = None
    location: str | None = None


@dataclass(slots=True)
class SequenceRow:
    """The persisted sequence state of one device: visible columns and the packed rest."""

    device_id: str
    last_seq: int
    epoch: int
    gap_count: int
    duplicates: int
    resets: int
    last_ts_ns: int | None
    state: bytes


@dataclass(slots=True)
class SequenceShown:
    """What may be seen of the sequence of one device. `missing` can still be filled; ascending."""

    device_id: str
    last_seq: int
    epoch: int
    gap_count: int
    duplicates: int
    resets: int
    last_ts_ns: int | None
    missing: tuple[int, ...] = ()


@dataclass(slots=True)
class Snapshot:
    """State of the pure middle as of a position; what follows is re-read from the log.

    `sequence` holds only rows that changed since the snapshot before. `positions` are the next
    offsets up to which the state is complete.
    """

    positions: dict[int, int]
    sequence: list[SequenceRow] = field(default_factory=list)


@dataclass(slots=True)
class LatestPage:
    """Latest values of 4,096 consecutive series ids, as a frame; see `record.latest`."""

    page: int
    frame: bytes


@dataclass(slots=True)
class LatestPages:
    """Pages of latest values that changed, complete up to and including hot batch `through_id`.

    `positions` are the offsets of the writer's partitions before which nothing is missing.
    """

    through_id: int
    pages: list[LatestPage]
    positions: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Effects:
    """All that one commit writes, and the positions that move with it.

    `paces` are those of the partitions that discovered a device; see `decode.registration`.
    """

    reader: str
    stream: str
    advances: list[Advance]
    registry_version: int
    now_ns: int
    readings: Readings
    new_series: list[NewSeries] = field(default_factory=list)
    new_attributes: list[str] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    letters: list[LetterRow] = field(default_factory=list)
    counts: Counter[Tally] = field(default_factory=Counter)
    discovered: list[Discovered] = field(default_factory=list)
    paces: dict[int, int] = field(default_factory=dict)
    touches: dict[str, DeviceTouch] = field(default_factory=dict)
    sequences: list[SequenceShown] = field(default_factory=list)
    readings_by_family: Counter[str] = field(default_factory=Counter)
    not_stored: list[tuple[int, int]] = field(default_factory=list)
    latest: LatestPages | None = None
    snapshot: Snapshot | None = None


@dataclass(slots=True)
class Committed:
    """What the ledger answers: the id of the commit, and the ids of what was new."""

    commit_id: int
    registry_version: int
    series_ids: list[int]
    attr_ids: list[int]


@dataclass(slots=True)
class Work:
    """Batches of several partitions on their way through decode, analyze and record.

    Shape: messages are numbered through all batches; `bases[b]` is the number of the first message
    of batch `b`. `labels` and `device_ids` have one entry per message: (family, category) and the
    device that spoke. `readings` is what `decoded` has found, as columns. `duplicates` maps a
    message to the kind of its duplicate, `rejected` to the reason of its dead letter; `unknown` are
    messages of devices without a registry row, `registering` those that give their device one, with
    the pace of their partition after it (0 for none); see `decode.registration`.
    """

    batches: list[RawBatch]
    bases: list[int]
    registry_version: int
    decoded: Decoded = field(default_factory=Decoded)
    readings: ReadingColumns = field(default_factory=no_readings)
    labels: list[tuple[str, str]] = field(default_factory=list)
    device_ids: list[str] = field(default_factory=list)
    duplicates: dict[int, str] = field(default_factory=dict)
    rejected: dict[int, str] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)
    registering: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    def locate(self, message: int) -> tuple[RawBatch, int]:
        """Return the batch that holds a message, and its index there."""
        number = bisect_right(self.bases, message) - 1
        return self.batches[number], message - self.bases[number]


def gather(batches: list[RawBatch], registry_version: int) -> Work:
    """Return work over these batches, with nothing decided yet."""
    bases = list(accumulate(map(len, batches), initial=0))[:-1]
    return Work(batches, bases, registry_version)
