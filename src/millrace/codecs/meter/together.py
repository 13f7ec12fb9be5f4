"""Usual v2 datagrams of many meters, decoded together in whole columns.

A datagram is taken when nothing about it is unusual, and then gives what the exact way would give;
every other one is left to its plan. `tests/codecs/meter` compares the two.
Source: MTR-022, MTR-030 to MTR-043; performance.md, B3.
"""

from typing import NamedTuple, cast
from zlib import crc32

import msgspec
import numpy as np

from millrace.codecs.meter.options import MeterOptions
from millrace.codecs.meter.table import Entry, SeriesTable
from millrace.errors import RejectError
from millrace.model.codec import Messages
from millrace.model.columns import BoolColumn, FloatColumn, IntColumn, ReadingColumns
from millrace.model.decoded import Decoded
from millrace.model.instants import YEAR_2000_NS
from millrace.model.message import REDRIVE, REPLAYED
from millrace.model.payload import unit_text
from millrace.model.sequence import SEQ_MAX, SequenceFacts
from millrace.model.stamps import UNREADABLE, instants_of

CATEGORY = "telemetry"


class _Measurement(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: str
    val: float
    unit: str | None = None
    ts: str | int | None = None  # no float: 1.0 equals 1, but is rounded to microseconds


class _Datagram(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    measurements: list[_Measurement]
    seq: int | None = None
    ts: str | int | float | None = None
    device_id: str | None = None
    msg_type: str | None = None
    v: int | None = None


# Unknown members are refused, so what is accepted is three levels deep and needs no depth check.
_read_datagram = msgspec.json.Decoder(_Datagram).decode


class _Shape(NamedTuple):
    """The metrics and units of a datagram in order, and the entries they stand for as columns.

    `order` sorts the elements by series, and `is_same` says which of them then has the series of
    the one before.
    """

    types: list[str]
    units: list[str | None]
    slots: IntColumn
    lows: FloatColumn
    highs: FloatColumn
    series: IntColumn
    order: IntColumn
    is_same: BoolColumn


class Member:
    """What one plan brings: its device, its series, and the shape of the datagram before."""

    def __init__(self, device_id: str, table: SeriesTable) -> None:
        self.device_id = device_id
        self._table = table
        self._shape: _Shape | None = None

    def shape_of(self, elements: list[_Measurement]) -> _Shape | None:
        """Return the shape of these elements; None when there is something wrong with one."""
        types, units = [m.type for m in elements], [m.unit for m in elements]
        shape = self._shape
        if shape is None or types != shape.types or units != shape.units:
            shape = self._shape = self._learn(types, units)
        return shape

    def _learn(self, types: list[str], units: list[str | None]) -> _Shape | None:
        pairs = zip(types, units, strict=True)
        entries = [self._table.known.get(pair) or self._open(*pair) for pair in pairs]
        if None in entries:
            return None
        slots, series, lows, highs = zip(*cast("list[Entry]", entries), strict=True)
        numbers = np.array(series, np.int64)
        order = np.argsort(numbers, kind="stable")
        is_same = np.diff(numbers[order], prepend=-1) == 0
        return _Shape(
            types, units, np.array(slots, np.int64), np.array(lows), np.array(highs), numbers,
            order, is_same,
        )  # fmt: skip

    def _open(self, metric: str, unit: str | None) -> Entry | None:
        kept, flag = unit_text(unit)
        if flag:
            return None
        try:
            return self._table.entry(metric, kept)
        except RejectError:
            return None


class _Taken(NamedTuple):
    """Datagrams that look usual, with their index among the messages and their shape."""

    indices: list[int]
    datagrams: list[_Datagram]
    shapes: list[_Shape]


class DatagramColumns:
    """Decodes datagrams of plans that have a `member`; see `model.codec.Together`."""

    def __init__(self, options: MeterOptions) -> None:
        self._max_bytes = options.max_payload_bytes
        self._max_elements = min(options.soft_measurements, options.max_measurements)
        self._max_future_ns = options.max_future_ns

    def decode(self, messages: Messages, out: Decoded) -> list[int]:
        """Write what is usual; see `model.codec.Together`."""
        taken = self._usual(messages)
        good = set(self._write(messages, taken, out)) if taken.indices else set()
        return [i for i in range(len(messages.payloads)) if i not in good]

    def _usual(self, messages: Messages) -> _Taken:
        """Return the datagrams about whose envelope and members nothing is unusual."""
        taken = _Taken([], [], [])
        for i, (plan, payload) in enumerate(zip(messages.plans, messages.payloads, strict=True)):
            if len(payload) > self._max_bytes:
                continue
            try:
                datagram = _read_datagram(payload)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue  # unusual, not yet wrong: the exact way decides
            member: Member = plan.member
            if self._is_usual(datagram, member.device_id):
                shape = member.shape_of(datagram.measurements)
                if shape is not None:
                    taken.indices.append(i)
                    taken.datagrams.append(datagram)
                    taken.shapes.append(shape)
        return taken

    def _is_usual(self, datagram: _Datagram, device_id: str) -> bool:
        return (
            (datagram.device_id == device_id or datagram.device_id is None)
            and (datagram.msg_type == CATEGORY or datagram.msg_type is None)
            and (datagram.seq is None or 0 <= datagram.seq <= SEQ_MAX)
            and 0 < len(datagram.measurements) <= self._max_elements
        )

    def _write(self, messages: Messages, taken: _Taken, out: Decoded) -> list[int]:
        """Write the datagrams whose times and values are usual; return their indices."""
        received = np.array([messages.received_at_ns[i] for i in taken.indices], np.int64)
        counts = np.array([len(d.measurements) for d in taken.datagrams], np.int64)
        which = np.repeat(np.arange(len(counts)), counts)
        time_ns = _times(taken.datagrams)
        value = np.array([m.val for d in taken.datagrams for m in d.measurements], np.float64)
        lows = np.concatenate([shape.lows for shape in taken.shapes])
        highs = np.concatenate([shape.highs for shape in taken.shapes])
        is_odd = (time_ns < YEAR_2000_NS) | (time_ns > received[which] + self._max_future_ns)
        is_odd |= ~((value >= lows) & (value <= highs)) | ~np.isfinite(value)
        is_usual = np.bincount(which[is_odd], minlength=len(counts)) == 0
        _exclude_repeated(taken, counts, time_ns, is_usual)
        numbers = np.array([messages.numbers[i] for i in taken.indices], np.int64)
        kept = is_usual[which]
        slots = np.concatenate([shape.slots for shape in taken.shapes])
        flags = np.zeros(int(kept.sum()), np.int16)
        out.block(
            ReadingColumns(numbers[which[kept]], slots[kept], time_ns[kept], value[kept], flags)
        )
        usual = np.flatnonzero(is_usual).tolist()
        _write_facts(messages, taken, usual, out)
        return [taken.indices[n] for n in usual]


def _times(datagrams: list[_Datagram]) -> IntColumn:
    """Return the instants of all elements; those without a time have that of their datagram."""
    texts: list[str | int | float | None] = []
    for datagram in datagrams:
        own = [m.ts for m in datagram.measurements]
        texts += [datagram.ts if t is None else t for t in own] if None in own else own
    return instants_of(texts)


def _exclude_repeated(
    taken: _Taken, counts: IntColumn, time_ns: IntColumn, is_usual: BoolColumn
) -> None:
    """Clear the mark of datagrams in which a series has a time twice (MTR-043).

    Times that only grow are not looked at closer.
    """
    firsts = np.cumsum(counts) - counts
    order = np.concatenate([shape.order for shape in taken.shapes]) + np.repeat(firsts, counts)
    is_same = np.concatenate([shape.is_same for shape in taken.shapes])
    does_not_grow = is_same & (np.diff(time_ns[order], prepend=UNREADABLE) <= 0)
    for row in np.unique(np.repeat(np.arange(len(counts)), counts)[does_not_grow]).tolist():
        first, count = int(firsts[row]), int(counts[row])
        stamps = time_ns[first : first + count].tolist()
        if len(set(zip(taken.shapes[row].series.tolist(), stamps, strict=True))) < count:
            is_usual[row] = False


def _write_facts(messages: Messages, taken: _Taken, rows: list[int], out: Decoded) -> None:
    claimed = instants_of([taken.datagrams[row].ts for row in rows]).tolist()
    for row, time_ns in zip(rows, claimed, strict=True):
        i, seq = taken.indices[row], taken.datagrams[row].seq
        flags = messages.flags[i]
        if seq is not None and not flags & REDRIVE:
            out.facts.append(
                SequenceFacts(
                    messages.numbers[i],
                    messages.plans[i].member.device_id,
                    seq,
                    crc32(messages.payloads[i]),
                    messages.received_at_ns[i],
                    None if time_ns == UNREADABLE else time_ns,
                    is_live=not flags & REPLAYED,
                )
            )
