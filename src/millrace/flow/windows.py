"""Aggregate windows: where they begin, as pieces of equal width.

Windows of s, m and h are aligned to the epoch. Days and weeks (which begin on Monday) are aligned
to midnight in a time zone, so their width changes where the zone's offset does; between two
changes the width is constant, and a piece says so. A midnight that a change of clocks skips is the
instant of the change; of a midnight that comes twice the first begins the day.
Source: API-032.
"""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from millrace.errors import UsageError
from millrace.ports.series import Every

_SECOND_US = 1_000_000
_WIDTHS_US = {"s": _SECOND_US, "m": 60 * _SECOND_US, "h": 3600 * _SECOND_US}
_DAYS = {"d": 1, "w": 7}
_MONDAY = date(1970, 1, 5).toordinal()
_EPOCH = date(1970, 1, 1).toordinal()
_LAST_ORDINAL = date.max.toordinal() - 7


class Piece(NamedTuple):
    """Windows of one width: the first begins at `start_us`, until the next piece begins."""

    start_us: int
    width_us: int


def pieces(every: Every, first_us: int, stop_us: int) -> list[Piece]:
    """Return the windows that cover a span, as pieces in order of time.

    Shape: at least one; the first begins at or before `first_us`.
    Raises:
        UsageError: The count is not positive, or the unit is unknown.
    """
    if every.count < 1 or every.unit not in (*_WIDTHS_US, *_DAYS):
        raise UsageError(f"a window of {every.count}{every.unit} does not exist")
    if every.unit in _WIDTHS_US:
        return [Piece(0, every.count * _WIDTHS_US[every.unit])]
    days = every.count * _DAYS[every.unit]
    anchor = _MONDAY if every.unit == "w" else _EPOCH
    starts = _starts(days, anchor, ZoneInfo(every.time_zone), (first_us, stop_us))
    found: list[Piece] = []
    for start, end in pairwise(starts):
        if not found or found[-1].width_us != end - start:
            found.append(Piece(start, end - start))
    return found


def _starts(days: int, anchor: int, zone: ZoneInfo, span_us: tuple[int, int]) -> list[int]:
    first = _local_ordinal(span_us[0], zone) - 1
    first -= (first - anchor) % days
    last = _local_ordinal(span_us[1], zone) + 1
    ordinals = range(max(first, 1), min(last + days, _LAST_ORDINAL) + 1, days)
    # A zone that crossed the date line has left out a day, whose midnight is that of the next one.
    starts = sorted({_midnight_us(ordinal, zone) for ordinal in ordinals})
    starts.append(starts[-1] + days * 86_400 * _SECOND_US)
    return starts


def _local_ordinal(time_us: int, zone: ZoneInfo) -> int:
    lowest, highest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    days = min(max(time_us // (86_400 * _SECOND_US), (lowest - epoch).days + 8),
               (highest - epoch).days - 8)  # fmt: skip
    inside = epoch + timedelta(days=days, microseconds=time_us % (86_400 * _SECOND_US))
    return inside.astimezone(zone).toordinal()


def _midnight_us(ordinal: int, zone: ZoneInfo) -> int:
    local = datetime.combine(date.fromordinal(ordinal), time(), zone)
    since = local.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _SECOND_US + since.microseconds


def bucket_sql(windows: list[Piece], column: str) -> str:
    """Return SQL that maps UTC microseconds in `column` to the start of their window."""
    *earlier, last = [
        f"{column} - (({column} - {start}) % {width} + {width}) % {width}"
        for start, width in windows
    ]
    cases = [
        f"WHEN {column} < {following.start_us} THEN {text}"
        for text, following in zip(earlier, windows[1:], strict=True)
    ]
    return f"CASE {' '.join(cases)} ELSE {last} END" if cases else last
