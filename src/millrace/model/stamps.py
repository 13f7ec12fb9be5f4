"""Instants read column by column: the usual text form, for many messages at once.

What is not of that form, or outside of what int64 nanoseconds hold, is left to `parse_instant`,
with which the result agrees wherever there is one.
Source: F2-031, F2-033, MTR-035.
"""

# The digits of a date stand where ISO 8601 has them.
# ruff: noqa: PLR2004

from collections.abc import Sequence
from typing import Final

import numpy as np

from millrace.model.columns import BoolColumn, ByteRows, IntColumn
from millrace.model.instants import MIN_NS, SECOND_NS, parse_instant

UNREADABLE: Final = MIN_NS

_WHOLE: Final = 19  # characters of YYYY-MM-DDTHH:MM:SS
_FRACTION_MOST: Final = 9
_DIGIT_PLACES: Final = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])
_MARK_PLACES: Final = np.array([4, 7, 13, 16])
_MARKS: Final = np.frombuffer(b"--::", np.uint8)
_DAYS_IN_MONTH: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] + [0] * 87)
_DAYS_BEFORE_MONTH: Final = np.concatenate([[0], np.cumsum(_DAYS_IN_MONTH)[:-1]])
# Whole years that int64 nanoseconds since 1970 hold.
_YEARS: Final = (1678, 2261)
_DAYS_BEFORE_1970: Final = 719_162


def instants_of(values: Sequence[object]) -> IntColumn:
    """Return what `parse_instant` says of each JSON value; `UNREADABLE` where it says None."""
    known = _usual({value for value in values if type(value) is str and value.isascii()})
    # Only texts are known, and no text equals a number, so a look-up by value is safe.
    found = [known.get(value) if type(value) is str else None for value in values]
    if None in found:
        found = [_exactly(v) if ns is None else ns for v, ns in zip(values, found, strict=True)]
    return np.array(found, np.int64)


def _usual(texts: set[str]) -> dict[str, int]:
    """Return the instants of the texts that are of the usual form."""
    by_size: dict[int, list[str]] = {}
    for text in texts:
        by_size.setdefault(len(text), []).append(text)
    known: dict[str, int] = {}
    for size, alike in by_size.items():
        if size >= _WHOLE:
            rows = np.frombuffer("".join(alike).encode(), np.uint8).reshape(len(alike), size)
            found, is_good = read_stamps(rows)
            known.update(zip(alike, found.tolist(), strict=True))
            for i in np.flatnonzero(~is_good).tolist():
                del known[alike[i]]
    return known


def read_stamps(rows: ByteRows) -> tuple[IntColumn, BoolColumn]:
    """Return the instants of texts of one length, and which of them were of the usual form.

    Shape: one text a row, ASCII: `YYYY-MM-DD`, a blank or `T`, `HH:MM:SS`, up to nine digits of a
    fraction, `Z` or nothing. Without a zone it is UTC.
    """
    count, size = rows.shape
    if size < _WHOLE or not count:
        return np.zeros(count, np.int64), np.zeros(count, bool)
    is_good = (rows[:, _MARK_PLACES] == _MARKS).all(axis=1)
    is_good &= (rows[:, 10] == 0x20) | (rows[:, 10] | 0x20 == 0x74)
    digits = rows[:, _DIGIT_PLACES] - np.uint8(0x30)
    is_good &= (digits < 10).all(axis=1)
    pairs = digits[:, 0::2].astype(np.int64) * 10 + digits[:, 1::2]
    year, month, day = pairs[:, 0] * 100 + pairs[:, 1], pairs[:, 2], pairs[:, 3]
    hour, minute, second = pairs[:, 4], pairs[:, 5], pairs[:, 6]
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    is_good &= (year >= _YEARS[0]) & (year <= _YEARS[1]) & (month < 100)
    month = np.where(is_good, month, 1)
    is_good &= (day >= 1) & (day <= _DAYS_IN_MONTH[month] + (is_leap & (month == 2)))
    is_good &= (hour < 24) & (minute < 60) & (second < 60)
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - _DAYS_BEFORE_1970
    days += _DAYS_BEFORE_MONTH[month] + (is_leap & (month > 2)) + day - 1
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    fraction, is_fraction = _fractions(rows[:, _WHOLE:])
    return seconds * SECOND_NS + fraction, is_good & is_fraction


def _fractions(tails: ByteRows) -> tuple[IntColumn, BoolColumn]:
    """Return the nanoseconds behind the whole second, and which tails were of the usual form."""
    count, size = tails.shape
    if size and bool((tails[:, -1] | 0x20 == 0x7A).all()):
        tails, size = tails[:, :-1], size - 1
    if not size:
        return np.zeros(count, np.int64), np.ones(count, bool)
    digits = tails[:, 1:] - np.uint8(0x30)
    places = size - 1
    if not 1 <= places <= _FRACTION_MOST:
        return np.zeros(count, np.int64), np.zeros(count, bool)
    weights = 10 ** np.arange(_FRACTION_MOST - 1, _FRACTION_MOST - 1 - places, -1, dtype=np.int64)
    is_good = (tails[:, 0] == 0x2E) & (digits < 10).all(axis=1)
    return digits.astype(np.int64) @ weights, is_good


def _exactly(value: object) -> int:
    found = parse_instant(value)
    return UNREADABLE if found is None else found
