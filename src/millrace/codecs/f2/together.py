"""Frames of many instruments of one template, decoded together in whole columns.

Payloads of one length are laid side by side. The first one says where its digits are; the others
must be the same but for digits, or wait for the next round. What is not taken here goes through
the plan of its topic, and tests hold both against each other.
Source: F2-020, F2-031, F2-081, F2-090; the cost of a message is a promise of performance.md.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from millrace.codecs.f2.frames import MAX_FRAME_BYTES
from millrace.codecs.f2.points import PointReader
from millrace.model.codec import Messages
from millrace.model.columns import BoolColumn, ByteRows, FloatColumn, ReadingColumns
from millrace.model.decoded import Decoded
from millrace.model.instants import DAY_NS, YEAR_2000_NS
from millrace.model.stamps import read_stamps

# Payloads of one length are written in few ways; what is left after so many rounds is unusual.
_ROUNDS: Final = 2
_USUAL: Final = re.compile(
    rb'\{ ?"timestamp": ?"([0-9TZtz:. -]{19,30})", ?"data": ?"((?:[0-9A-Fa-f]{2} ?)+)" ?\}'
)
_NO_DIGIT: Final = 255
_NIBBLES: Final = np.full(256, _NO_DIGIT, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789", np.uint8)] = np.arange(10)
_NIBBLES[np.frombuffer(b"abcdef", np.uint8)] = np.arange(10, 16)
_NIBBLES[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)
_INTEGER_BYTES_MOST: Final = 4


class _Layout(NamedTuple):
    """Where a payload has what: constant bytes, the timestamp, the hex digits of the frame."""

    constant: npt.NDArray[np.intp]
    stamp: slice
    digits: npt.NDArray[np.intp]


class Column(NamedTuple):
    """One data point of a template: bytes `start` to `end` of a frame, as numpy reads them."""

    start: int
    end: int
    kind: str
    divisor: float


class FrameColumns:
    """Decodes messages of plans that share their columns and have `slots`, one for each column."""

    def __init__(self, columns: Sequence[Column], max_payload_bytes: int) -> None:
        self._columns = columns
        self._end = max(column.end for column in columns)
        self._max_payload_bytes = max_payload_bytes

    def decode(self, messages: Messages, out: Decoded) -> list[int]:
        """Write what is usual; see `model.codec.Together`."""
        by_size: dict[int, list[int]] = {}
        left = []
        for i, (plan, payload) in enumerate(zip(messages.plans, messages.payloads, strict=True)):
            if plan.slots and len(payload) <= self._max_payload_bytes:
                by_size.setdefault(len(payload), []).append(i)
            else:
                left.append(i)
        for waiting in by_size.values():
            for _ in range(_ROUNDS):
                waiting = self._take(messages, waiting, out)  # noqa: PLW2901 - what is left of it
                if not waiting:
                    break
            left += waiting
        return left

    def _take(self, messages: Messages, indices: list[int], out: Decoded) -> list[int]:
        """Write the messages that are like the first; return the indices of the others."""
        payloads = [messages.payloads[i] for i in indices]
        layout = _layout(payloads[0], self._end)
        if layout is None:
            return indices
        rows = np.frombuffer(b"".join(payloads), np.uint8).reshape(len(payloads), -1)
        is_like = (rows[:, layout.constant] == rows[0, layout.constant]).all(axis=1)
        time_ns, is_stamp = read_stamps(rows[:, layout.stamp])
        frames, is_hex = _frames(rows[:, layout.digits])
        values, is_finite = self._values(frames)
        received_at_ns = np.array([messages.received_at_ns[i] for i in indices], np.int64)
        is_timely = (time_ns >= YEAR_2000_NS) & (time_ns <= received_at_ns + DAY_NS)
        is_good = is_like & is_stamp & is_hex & is_finite & is_timely
        good = np.flatnonzero(is_good)
        if len(good):
            chosen = [indices[i] for i in good.tolist()]
            width = len(self._columns)
            slots = [messages.plans[i].slots for i in chosen]
            numbers = np.array([messages.numbers[i] for i in chosen], np.int64)
            out.block(
                ReadingColumns(
                    np.repeat(numbers, width),
                    np.array(slots, np.int64).ravel(),
                    np.repeat(time_ns[good], width),
                    values[good].ravel(),
                    np.zeros(len(good) * width, np.int16),
                )
            )
        return [indices[i] for i in np.flatnonzero(~is_good).tolist()]

    def _values(self, frames: ByteRows) -> tuple[FloatColumn, BoolColumn]:
        values = np.empty((len(frames), len(self._columns)), np.float64)
        for number, (start, end, kind, divisor) in enumerate(self._columns):
            raw = np.ascontiguousarray(frames[:, start:end]).view(kind)[:, 0]
            # The bytes of a broken row may be a signalling NaN; such a row is left out below.
            with np.errstate(invalid="ignore"):
                values[:, number] = raw.astype(np.float64) / divisor
        return values, np.logical_and.reduce(np.isfinite(values), axis=1)


def column_of(reader: PointReader) -> Column | None:
    """Return the column of a data point; None for one that numpy would not divide like Python."""
    size = reader.end - reader.start
    if not reader.struct_format or (not reader.is_float and size > _INTEGER_BYTES_MOST):
        return None
    kind = ("<" if reader.is_little else ">") + reader.struct_format
    return Column(reader.start, reader.end, kind, float(10**reader.point.decimals))


def _layout(payload: bytes, end: int) -> _Layout | None:
    """Return the layout of a payload of the usual form whose frame reaches `end`."""
    usual = _USUAL.fullmatch(payload)
    if usual is None:
        return None
    data = np.arange(*usual.span(2))
    text = np.frombuffer(payload, np.uint8)
    digits = data[_NIBBLES[text[data]] != _NO_DIGIT]
    if not end <= len(digits) // 2 <= MAX_FRAME_BYTES:
        return None
    is_constant = np.ones(len(payload), bool)
    is_constant[slice(*usual.span(1))] = is_constant[digits] = False
    return _Layout(np.flatnonzero(is_constant), slice(*usual.span(1)), digits)


def _frames(digits: ByteRows) -> tuple[ByteRows, BoolColumn]:
    """Return the bytes of frames in hex, and which of them were."""
    nibbles = _NIBBLES[digits]
    is_hex = (nibbles != _NO_DIGIT).all(axis=1)
    return nibbles[:, 0::2] << np.uint8(4) | nibbles[:, 1::2], is_hex
