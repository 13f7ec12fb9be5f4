"""Patterns of the generic codec: which topics they take, and what is wrong with them.

A pattern is an MQTT filter in which `{device_id}` and `{channel}` stand for one level each and
bind it; `+` and `#` match as in MQTT. All faults of all patterns are reported at once.
Source: decisions.md, generic codec; D-51.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from typing import Final, NamedTuple, Protocol

from millrace.errors import UsageError

DEVICE: Final = "{device_id}"
CHANNEL: Final = "{channel}"
ANY: Final = "+"
REST: Final = "#"

_ONE_LEVEL: Final = (DEVICE, CHANNEL, ANY)
_MAX_METRIC_CHARS: Final = 128


class ReadingLike(Protocol):
    """One value to read; what the settings hold has the same members."""

    @property
    def path(self) -> str: ...
    @property
    def metric(self) -> str | None: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def scale(self) -> float: ...
    @property
    def channel(self) -> str | None: ...


class PatternLike(Protocol):
    """One pattern; what the settings hold has the same members."""

    @property
    def topic(self) -> str: ...
    @property
    def time(self) -> str | None: ...
    @property
    def readings(self) -> str | Sequence[ReadingLike] | None: ...


@dataclass(frozen=True, slots=True)
class GenericReading:
    """One value to read. `path` is dotted; `*` stands for any key or index of one level."""

    path: str
    metric: str | None = None
    unit: str | None = None
    scale: float = 1.0
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class GenericPattern:
    """How the messages of one topic pattern are read; without `readings` every numeric leaf."""

    topic: str
    time: str | None = None
    readings: str | Sequence[GenericReading] | None = None


class Bound(NamedTuple):
    """The levels that a topic gave to `{device_id}` and `{channel}`."""

    device_id: str
    channel: str


def bind(levels: Sequence[str], topic: Sequence[str]) -> Bound | None:
    """Return what a topic binds, None when the pattern does not take it."""
    bound = {DEVICE: "", CHANNEL: ""}
    for at, level in enumerate(levels):
        if level == REST:
            return Bound(bound[DEVICE], bound[CHANNEL])
        if at >= len(topic) or (level not in _ONE_LEVEL and level != topic[at]):
            return None
        if level in bound:
            bound[level] = topic[at]
    return Bound(bound[DEVICE], bound[CHANNEL]) if len(topic) == len(levels) else None


def check(patterns: Sequence[PatternLike], reserved: Sequence[str]) -> None:
    """Refuse patterns that cannot work; `reserved` are the first levels of other families.

    Raises:
        UsageError: It lists every fault.
    """
    faults = [
        f"generic pattern {pattern.topic!r}: {fault}"
        for pattern in patterns
        for fault in _faults(pattern, reserved)
    ]
    faults += [
        f"generic patterns {one.topic!r} and {other.topic!r} overlap"
        for one, other in combinations(patterns, 2)
        if _is_overlap(one.topic.split("/"), other.topic.split("/"))
    ]
    if faults:
        raise UsageError("; ".join(faults), "correct the [[generic]] tables of the settings")


def _faults(pattern: PatternLike, reserved: Sequence[str]) -> Iterator[str]:
    levels = pattern.topic.split("/")
    first = levels[0]
    if first in _ONE_LEVEL or first == REST or not first or first.startswith("$"):
        yield "the first level chooses the family and must be a plain word"
    elif first in reserved:
        yield f"{first!r} belongs to a built-in family"
    if levels.count(DEVICE) != 1:
        yield f"{DEVICE} must be one level"
    if levels.count(CHANNEL) > 1:
        yield f"{CHANNEL} can be one level only"
    if REST in levels[:-1]:
        yield f"{REST} must be the last level"
    for level in levels:
        is_sign = level in _ONE_LEVEL or level == REST
        if not is_sign and any(sign in level for sign in "+#{}\0"):
            yield f"{level!r} is neither a word nor a sign of its own"
    if pattern.time is not None and not _is_path(pattern.time, with_stars=False):
        yield f"{pattern.time!r} is no path to a time"
    yield from _reading_faults(pattern.readings)


def _reading_faults(readings: str | Sequence[ReadingLike] | None) -> Iterator[str]:
    if readings is None:
        return
    if isinstance(readings, str):
        readings = [GenericReading(readings)]
    for reading in readings:
        if not _is_path(reading.path, with_stars=True):
            yield f"{reading.path!r} is no path"
        if not isfinite(reading.scale) or reading.scale == 0:
            yield f"{reading.path!r}: the scale must be a finite number other than 0"
        if reading.metric is not None and not 0 < len(reading.metric) <= _MAX_METRIC_CHARS:
            yield f"{reading.path!r}: a metric has 1 to {_MAX_METRIC_CHARS} characters"


def _is_path(path: str, *, with_stars: bool) -> bool:
    parts = path.split(".")
    return all(parts) and (with_stars or "*" not in parts)


def _is_overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether some topic fits both filters."""
    for at in range(max(len(one), len(other)) + 1):
        mine = one[at] if at < len(one) else None
        yours = other[at] if at < len(other) else None
        if REST in (mine, yours):
            return True
        if mine is None or yours is None:
            return mine is yours
        if mine not in _ONE_LEVEL and yours not in _ONE_LEVEL and mine != yours:
            return False
    return True
