"""Instants: how devices write them, and how Millrace does.

An instant is UTC, int64 nanoseconds since 1970. Reading one is pure; a bounded memo of whole
seconds spares the calendar, because the messages of a fleet share their seconds.
Source: F2-030 to F2-033, MTR-035; the output form is that of meter.md, preface.
"""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
YEAR_2000_NS = 946_684_800 * SECOND_NS
MIN_NS = -(2**63)
MAX_NS = 2**63 - 1

BLANKS = " \t\r\n\v\f"

_MEMO_ENTRIES = 8_192
_EPOCH_CHARS = 40
_FLOAT_LIMIT = 1e19
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock; the zone is applied by hand
_MAGNITUDES = ((10**11, SECOND_NS), (10**14, MILLISECOND_NS), (10**17, MICROSECOND_NS))
_TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?"
    r"(?: ?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?))?",
    re.ASCII,
)
_DIGITS = re.compile(r"(\d+)(?:\.(\d{1,9}))?", re.ASCII)

# The usual text is cut in three pieces that are looked up: whole second, `.mmm`, `uuu`.
_THOUSANDS = {f".{number:03d}": number * MILLISECOND_NS for number in range(1_000)} | {"": 0}
_UNITS = {f"{number:03d}": number * MICROSECOND_NS for number in range(1_000)} | {"": 0}
_THOUSANDS_Z = _THOUSANDS | {"Z": 0}
_UNITS_Z = _UNITS | {f"{digits}Z": ns for digits, ns in _UNITS.items()}

_utc_memo: dict[str, int] = {}
_second_texts: dict[int, str] = {}
_MEMO_SECONDS = 65_536
_zone_memos: dict[ZoneInfo, dict[str, int]] = {}


def parse_instant(value: object, zone: ZoneInfo | None = None) -> int | None:
    """Return the instant that a JSON value of a device means; None when it is unreadable.

    `zone` is the local time of texts that name none; without it they are UTC. A local time that
    occurs twice is the first of the two, a skipped one is read with the offset before the change.
    Units: UTC nanoseconds since 1970, within int64.
    Source: F2-031, F2-032, F2-033, MTR-035.
    """
    kind = type(value)
    if kind is str:
        text: str = value  # type: ignore[assignment]
        try:
            if zone is None:
                return _utc_memo[text[:19]] + _THOUSANDS_Z[text[19:23]] + _UNITS_Z[text[23:]]
            return _zone_memos[zone][text[:19]] + _THOUSANDS[text[19:23]] + _UNITS[text[23:]]
        except KeyError:
            return _read_text(text, zone)
    if kind is int:
        return _epoch(value, 0)  # type: ignore[arg-type]
    if kind is float:
        return _epoch_float(value)  # type: ignore[arg-type]
    return None


def format_instant(ns: int) -> str:
    """Return RFC 3339 text with `Z` and the shortest of 0, 3, 6 or 9 fraction digits.

    Units: UTC nanoseconds since 1970, within int64.
    """
    seconds, fraction = divmod(ns, SECOND_NS)
    text = _second_texts.get(seconds) or _second_text(seconds)
    if not fraction:
        return text + "Z"
    micros, nanos = divmod(fraction, 1000)
    if nanos:
        return f"{text}.{fraction:09d}Z"
    millis, micros_left = divmod(micros, 1000)
    return f"{text}.{micros:06d}Z" if micros_left else f"{text}.{millis:03d}Z"


def _second_text(seconds: int) -> str:
    if len(_second_texts) >= _MEMO_SECONDS:
        _second_texts.clear()
    text = _second_texts[seconds] = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    return text


def _read_text(text: str, zone: ZoneInfo | None) -> int | None:
    if zone is not None and text[-1:] == "Z":
        return parse_instant(text)
    text = text.strip(BLANKS)
    parts = _TEXT.fullmatch(text)
    if parts is None:
        digits = _DIGITS.fullmatch(text) if len(text) <= _EPOCH_CHARS else None
        if digits is None:
            return None
        fraction = digits[2] or ""
        return _epoch(int(digits[1]), int(fraction.ljust(9, "0")))
    seconds = _wall_seconds(parts)
    if seconds is None:
        return None
    return _place(parts, seconds, zone, text[:19])


def _wall_seconds(parts: re.Match[str]) -> int | None:
    year, month, day, hour, minute, second = map(int, parts.groups()[:6])
    try:
        wall = datetime(year, month, day, hour, minute, 0)  # noqa: DTZ001 - see _EPOCH
    except ValueError:
        return None
    if second > 60:  # noqa: PLR2004 - second 60 is the first of the next minute
        return None
    span = wall - _EPOCH
    return span.days * 86_400 + span.seconds + second


def _place(parts: re.Match[str], seconds: int, zone: ZoneInfo | None, prefix: str) -> int | None:
    fraction, zulu, sign, hours, minutes = parts.groups()[6:]
    memo: dict[str, int] | None = _utc_memo
    if sign:
        offset = _named_offset(sign, int(hours), int(minutes or 0))
        if offset is None:
            return None
        seconds -= offset
        memo = None
    elif zone is not None and not zulu:
        if abs(seconds) > MAX_NS // SECOND_NS:
            return None
        seconds -= _zone_offset(seconds, zone)
        memo = _zone_memos.setdefault(zone, {})
    base = seconds * SECOND_NS
    if memo is not None and MIN_NS <= base <= MAX_NS - SECOND_NS:
        if len(memo) >= _MEMO_ENTRIES:
            memo.clear()
        memo[prefix] = base
    instant = base + int(fraction.ljust(9, "0")) if fraction else base
    return instant if MIN_NS <= instant <= MAX_NS else None


def _named_offset(sign: str, hours: int, minutes: int) -> int | None:
    if hours > 23 or minutes > 59:  # noqa: PLR2004 - the hands of a clock
        return None
    offset = hours * 3600 + minutes * 60
    return -offset if sign == "-" else offset


def _zone_offset(wall_seconds: int, zone: ZoneInfo) -> int:
    # fold=0 is the first of two equal local times, and the offset before the change in a gap
    wall = (_EPOCH + timedelta(seconds=wall_seconds)).replace(tzinfo=zone)
    offset = wall.utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _epoch(whole: int, billionths: int) -> int | None:
    unit = _unit_of(abs(whole))
    ns = whole * unit + billionths * unit // SECOND_NS
    return ns if MIN_NS <= ns <= MAX_NS else None


def _unit_of(size: float) -> int:
    for limit, unit in _MAGNITUDES:
        if size < limit:
            return unit
    return 1


def _epoch_float(value: float) -> int | None:
    if not -_FLOAT_LIMIT < value < _FLOAT_LIMIT:  # NaN compares false as well
        return None
    number, divisor = value.as_integer_ratio()
    scaled, thousand = 2 * number * _unit_of(abs(value)), 1_000 * divisor
    microseconds = (scaled + thousand) // (2 * thousand)
    ns = microseconds * MICROSECOND_NS
    return ns if MIN_NS <= ns <= MAX_NS else None
