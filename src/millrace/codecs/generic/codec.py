"""The generic codec: JSON objects of any make, read by the patterns of the settings.

Time, value and dead-letter rules are those of meters (meter.md section 3): named values must be
numbers or truth values, anything else is `bad_value`; where every leaf or every member is taken,
texts and nulls are passed over. Values named by a pattern but absent from a message are no fault.
Source: decisions.md, generic codec; MTR-020, MTR-034 to MTR-043.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NamedTuple

from millrace.codecs.generic.patterns import (
    Bound,
    GenericReading,
    PatternLike,
    ReadingLike,
    bind,
    check,
)
from millrace.errors import RejectError
from millrace.model import quality
from millrace.model.codec import Address
from millrace.model.decoded import Decoded
from millrace.model.device import DeviceProfile
from millrace.model.instants import SECOND_NS, format_instant, parse_instant
from millrace.model.payload import (
    MAX_ELEMENT_CHARS,
    device_id_of,
    is_timely,
    metric_name,
    number,
    parse_object,
)
from millrace.model.series import Slots

FAMILY: Final = "generic"
CATEGORY: Final = "telemetry"
MAX_PAYLOAD_BYTES: Final = 2_097_152
SOFT_READINGS: Final = 200
MAX_READINGS: Final = 10_000
MAX_FUTURE_NS: Final = 600 * SECOND_NS

_INDEX_DIGITS: Final = 9
_MAX_CHANNEL_CHARS: Final = 128
_TIME_KEYS: Final = ("ts", "timestamp")


class Leaf(NamedTuple):
    """A value in a document: its dotted path, and what the stars of the pattern stood for."""

    path: str
    matched: str
    value: Any


@dataclass(frozen=True, slots=True)
class Selector:
    """One entry of `readings`, compiled. `is_named` means that the path leads to one value."""

    parts: tuple[str, ...]
    metric: str | None
    channel: str | None
    unit: str | None
    factor: Fraction | None
    is_named: bool

    def find(self, body: Any) -> Iterator[Leaf]:
        """Yield the values that the path leads to."""
        return _walk(body, self.parts, "", "")

    def name(self, leaf: Leaf, channel: str) -> tuple[str, str]:
        """Return metric and channel of a value; `channel` is the one of the topic."""
        if self.metric is None:
            metric = leaf.path if self.is_named else leaf.matched
            return metric, self.channel if self.channel is not None else channel
        if self.channel is not None:
            return self.metric, self.channel
        return self.metric, channel or leaf.matched


class GenericCodec:
    """The codec of the patterns; `reserved` are the first levels that other families own."""

    family = FAMILY

    def __init__(
        self,
        patterns: Sequence[PatternLike] = (),
        *,
        reserved: Sequence[str] = (),
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    ) -> None:
        check(patterns, reserved)
        self._patterns = [(pattern.topic.split("/"), pattern) for pattern in patterns]
        self._roots = frozenset(levels[0] for levels, _ in self._patterns)
        self._max_payload_bytes = max_payload_bytes

    def address(self, topic: str) -> Address | None:
        """Return whose message this topic carries; see `model.codec.Codec`."""
        levels = topic.split("/")
        if levels[0] not in self._roots:
            return None
        return Address(FAMILY, CATEGORY, self._match(levels)[1].device_id)

    def compile(self, topic: str, profile: DeviceProfile, slots: Slots) -> "GenericPlan":
        """Return the plan for a topic that `address` has accepted."""
        del profile  # the patterns say everything
        pattern, bound = self._match(topic.split("/"))
        return GenericPlan(pattern, bound, topic, slots, self._max_payload_bytes)

    def _match(self, levels: Sequence[str]) -> tuple[PatternLike, Bound]:
        for wanted, pattern in self._patterns:
            bound = bind(wanted, levels)
            if bound is None:
                continue
            if len(bound.channel) > _MAX_CHANNEL_CHARS:
                raise RejectError(
                    "bad_topic", f"a channel has 1 to {_MAX_CHANNEL_CHARS} characters"
                )
            return pattern, Bound(device_id_of(bound.device_id), bound.channel)
        raise RejectError("bad_topic", "no generic pattern takes this topic")


class GenericPlan:
    """One topic of one device."""

    def __init__(
        self,
        pattern: PatternLike,
        bound: Bound,
        topic: str,
        slots: Slots,
        max_payload_bytes: int,
    ) -> None:
        self._device_id, self._channel = bound
        self._attributes = {"topic": topic}
        self._slots = slots
        self._max_payload_bytes = max_payload_bytes
        self._time = (pattern.time,) if pattern.time is not None else _TIME_KEYS
        self._selectors = _selectors(pattern.readings)
        self._cache: dict[tuple[str, str, str | None], int] = {}

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write what the payload says into `out`; see `model.codec.Plan`."""
        del flags
        body = parse_object(payload, self._max_payload_bytes)
        letters = len(out.dead_letters)
        found = self._read(body, out)
        if not found and len(out.dead_letters) == letters:
            out.event("empty_message", self._device_id, received_at_ns)
        if found:
            count = len(found) + len(out.dead_letters) - letters
            time_ns, quality_flags = self._instant(body, received_at_ns, out)
            if count > SOFT_READINGS:
                quality_flags |= quality.OVERSIZE
                out.event("oversize", self._device_id, received_at_ns, {"count": count})
            out.readings(list(found), time_ns, list(found.values()), quality_flags)

    def _read(self, body: dict[str, Any], out: Decoded) -> dict[int, float]:
        found: dict[int, float] = {}
        for count, (selector, leaf) in enumerate(self._leaves(body)):
            if count >= MAX_READINGS:
                raise RejectError("too_many_measurements", f"more than {MAX_READINGS} values")
            try:
                slot, value = self._value(selector, leaf)
            except RejectError as problem:
                out.reject(problem.reason, leaf.path[:MAX_ELEMENT_CHARS], detail=problem.detail)
                continue
            if found.pop(slot, None) is not None:
                out.overwritten += 1  # the last of equal series wins
            found[slot] = value
        return found

    def _leaves(self, body: dict[str, Any]) -> Iterator[tuple[Selector, Leaf]]:
        if self._selectors is None:
            for leaf in _all_leaves(body, ""):
                if leaf.path not in self._time and isinstance(leaf.value, int | float):
                    yield _EVERY_LEAF, leaf
            return
        for selector in self._selectors:
            for leaf in selector.find(body):
                if selector.is_named or isinstance(leaf.value, int | float):
                    yield selector, leaf

    def _value(self, selector: Selector, leaf: Leaf) -> tuple[int, float]:
        value = number(leaf.value)
        if selector.factor is not None:
            value = _scaled(leaf.value, selector.factor)
        metric, channel = selector.name(leaf, self._channel)
        key = (metric_name(metric), channel, selector.unit)
        slot = self._cache.get(key)
        if slot is None:
            slot = self._slots.slot(
                self._device_id,
                metric,
                channel,
                unit=selector.unit,
                attributes=self._attributes,
            )
            self._cache[key] = slot
        return slot, value

    def _instant(self, body: dict[str, Any], received_at_ns: int, out: Decoded) -> tuple[int, int]:
        for path in self._time:
            for leaf in _walk(body, tuple(path.split(".")), "", ""):
                time_ns = parse_instant(leaf.value)
                if time_ns is None:
                    continue
                if is_timely(time_ns, received_at_ns, MAX_FUTURE_NS):
                    return time_ns, 0
                claims = {
                    "claimed": format_instant(time_ns),
                    "received": format_instant(received_at_ns),
                }
                out.event("clock_fault", self._device_id, received_at_ns, claims)
                return received_at_ns, quality.CLOCK
        return received_at_ns, quality.CLOCK


def _selectors(readings: str | Sequence[ReadingLike] | None) -> list[Selector] | None:
    if readings is None:
        return None
    if isinstance(readings, str):
        readings = [GenericReading(readings)]
    return [_selector(reading) for reading in readings]


def _selector(reading: ReadingLike) -> Selector:
    parts = tuple(reading.path.split("."))
    factor = None if reading.scale == 1 else Fraction(repr(float(reading.scale)))
    return Selector(
        parts, reading.metric, reading.channel, reading.unit, factor, is_named="*" not in parts
    )


_EVERY_LEAF: Final = Selector((), None, None, None, None, is_named=True)


def _walk(value: Any, parts: tuple[str, ...], path: str, matched: str) -> Iterator[Leaf]:
    if not parts:
        yield Leaf(path, matched, value)
        return
    first, rest = parts[0], parts[1:]
    if first == "*":
        for key, item in _members(value):
            yield from _walk(item, rest, _join(path, key), _join(matched, key))
    elif type(value) is dict and first in value:
        yield from _walk(value[first], rest, _join(path, first), matched)
    elif type(value) is list and _is_index(first, value):
        yield from _walk(value[int(first)], rest, _join(path, first), matched)


def _is_index(part: str, values: list[Any]) -> bool:
    # Python limits how many digits it converts, and no list needs ten
    is_number = part.isascii() and part.isdecimal() and len(part) <= _INDEX_DIGITS
    return is_number and int(part) < len(values)


def _all_leaves(value: Any, path: str) -> Iterator[Leaf]:
    if type(value) is dict or type(value) is list:
        for key, item in _members(value):
            yield from _all_leaves(item, _join(path, key))
    else:
        yield Leaf(path, "", value)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if type(value) is dict:
        yield from value.items()
    elif type(value) is list:
        for index, item in enumerate(value):
            yield str(index), item


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _scaled(value: float, factor: Fraction) -> float:
    # exact, then rounded once: 215 times 0.1 is 21.5
    try:
        return float(Fraction(value) * factor)
    except OverflowError:
        raise RejectError("not_finite", "the product is not finite as a double") from None
