"""Windows: where aggregates begin, how many there are, and how wide they must at least be.

Seconds, minutes and hours are aligned to the epoch; days and weeks (Monday) to midnight in the
time zone of the query, so a day has 23 or 25 hours when the clocks change.
Source: API-032, API-018.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from millrace.ports.series import Every, Span
from millrace.serve.instants import UNIT_S
from millrace.serve.problems import Problem, invalid

MAX_POINTS = 10_000
_SECOND_NS = 1_000_000_000
_EPOCH_DAY = date(1970, 1, 1)
_EPOCH_MONDAY = date(1970, 1, 5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDTHS = (
    "1s", "2s", "5s", "10s", "15s", "30s", "1m", "2m", "5m", "10m", "15m", "30m", "1h", "2h",
    "3h", "6h", "12h", "1d", "2d", "1w", "2w", "4w", "13w", "26w", "52w",
)  # fmt: skip


def zone(name: str) -> ZoneInfo:
    """Return an IANA time zone. Raises: Problem."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid("tz", "must be an IANA time zone like Europe/Vienna") from None


def width_ns(every: Every) -> int:
    """Return the usual width of a window."""
    return every.count * UNIT_S[every.unit] * _SECOND_NS


def count(span: Span, every: Every) -> int:
    """Return about how many windows a span has, never less than there are by more than one."""
    return (span.stop_ns - span.start_ns) // width_ns(every) + 1


def starts(span: Span, every: Every) -> Iterator[int]:
    """Yield the starts of all windows that overlap a span."""
    if every.unit in "smh":
        width = width_ns(every)
        yield from range(span.start_ns // width * width, span.stop_ns, width)
        return
    days = every.count * (7 if every.unit == "w" else 1)
    anchor = _EPOCH_MONDAY if every.unit == "w" else _EPOCH_DAY
    local = zone(every.time_zone)
    seconds = span.start_ns // _SECOND_NS
    first = (_EPOCH + timedelta(seconds=seconds)).astimezone(local).date()
    day = anchor + timedelta(days=(first - anchor).days // days * days)
    before = None
    while (start := _midnight_ns(day, local)) < span.stop_ns:
        # A zone that crossed the date line has left out a day.
        if start != before:
            yield start
        before = start
        day += timedelta(days=days)


def too_many(span: Span, series: int) -> Problem:
    """Return the problem of a query with too many windows; `min_every` is a width that works."""
    wide_enough = (
        width for width in _WIDTHS if count(span, _every(width)) * max(1, series) <= MAX_POINTS
    )
    return Problem(
        "too_many_points",
        f"More than {MAX_POINTS} points; use wider windows, fewer series or a shorter span",
        members={"min_every": next(wide_enough, None)},
    )


def _every(text: str) -> Every:
    return Every(int(text[:-1]), text[-1])


def _midnight_ns(day: date, local: ZoneInfo) -> int:
    at = datetime.combine(day, time(), local)
    return (at - _EPOCH) // timedelta(seconds=1) * _SECOND_NS
