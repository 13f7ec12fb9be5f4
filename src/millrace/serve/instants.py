"""Instants and spans as callers write them: RFC 3339, `now()`, or relative like `-90m`.

Source: API-002; attack A42.
"""

import re

from millrace.model.instants import MAX_NS, MIN_NS, format_instant, parse_instant
from millrace.ports.series import Every, Span
from millrace.serve.problems import Problem, invalid

UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SECOND_NS = 1_000_000_000

# A plus sign that was not escaped arrives as a blank.
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+\- ]\d\d:\d\d)", re.ASCII
)
_RELATIVE = re.compile(r"-(\d{1,12})([smhdw])", re.ASCII)
_EVERY = re.compile(r"([1-9]\d{0,8})([smhdw])", re.ASCII)
_STORED = re.compile(r"(.+\.)(\d{6})Z")


def read_instant(field: str, text: str, now_ns: int) -> int:
    """Return the UTC nanoseconds that a time parameter means. Raises: Problem."""
    if text == "now()":
        return now_ns
    relative = _RELATIVE.fullmatch(text)
    if relative:
        at = now_ns - int(relative[1]) * UNIT_S[relative[2]] * _SECOND_NS
        return max(at, MIN_NS)
    found = parse_instant(text.replace(" ", "+")) if _RFC3339.fullmatch(text) else None
    if found is None:
        raise invalid(field, "must be RFC 3339 with an offset, now(), or relative like -90m")
    return found


def read_span(start: str, stop: str, now_ns: int) -> Span:
    """Return the half-open span between two time parameters. Raises: Problem."""
    span = Span(read_instant("start", start, now_ns), read_instant("stop", stop, now_ns))
    if span.start_ns >= span.stop_ns:
        raise Problem("invalid_range", "start must be before stop")
    return span


def read_every(text: str, time_zone: str) -> Every:
    """Return the width of aggregate windows. Raises: Problem."""
    found = _EVERY.fullmatch(text)
    if found is None or int(found[1]) * UNIT_S[found[2]] * _SECOND_NS > MAX_NS:
        raise invalid("every", "must be a count of s, m, h, d or w, like 5m")
    return Every(int(found[1]), found[2], time_zone)


def shorten(stored: str | None) -> str | None:
    """Return an instant of the registry with 0, 3 or 6 fraction digits instead of always 6."""
    found = _STORED.fullmatch(stored) if stored else None
    if found is None:
        return stored
    digits = found[2]
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{found[1]}{digits}Z" if digits else f"{found[1][:-1]}Z"


def position_text(position: int) -> str:
    """Return `<partition>-<offset>` (D-11)."""
    return f"{position >> 48}-{position & ((1 << 48) - 1)}"


__all__ = [
    "UNIT_S", "format_instant", "position_text", "read_every", "read_instant", "read_span",
    "shorten",
]  # fmt: skip
