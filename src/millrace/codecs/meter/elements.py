"""The exact reading of telemetry: every form, one element at a time.

Forms may be mixed in one array and each element is judged alone: what is wrong with one becomes a
dead letter that names it, and the others go on. Times are judged last, together, because one good
time in a message shows that the clock of the device is right.
Source: MTR-030 to MTR-043, MTR-045.
"""

from typing import Any

from millrace.codecs.meter.envelope import Envelope
from millrace.codecs.meter.placing import Point
from millrace.codecs.meter.table import SeriesTable
from millrace.errors import RejectError
from millrace.model import quality
from millrace.model.decoded import Decoded
from millrace.model.instants import parse_instant
from millrace.model.payload import MAX_ELEMENT_CHARS, metric_name, number, unit_text

RESERVED = frozenset(
    "timestamp ts device_id v seq msg_type batch measurements unit".split()  # noqa: SIM905 - as in MTR-031
)


class ElementReader:
    """Reads the elements of one message into points; bad ones become letters in `out`."""

    def __init__(
        self, table: SeriesTable, envelope: Envelope, received_at_ns: int, out: Decoded
    ) -> None:
        self._table = table
        self._out = out
        self._default = (received_at_ns, quality.CLOCK)
        if envelope.time_ns is not None:
            self._default = (envelope.time_ns, 0)
        self.points: list[Point] = []

    def read_array(self, elements: list[Any]) -> None:
        """Read the elements of `measurements`."""
        for index, element in enumerate(elements):
            try:
                self._read(element, index)
            except RejectError as error:
                self._out.reject(error.reason, f"measurements[{index}]", index, error.detail)

    def read_flat(self, body: dict[str, Any]) -> None:
        """Read the numeric keys of the message itself (v1 flat, MTR-031)."""
        time_ns, clock = self._time(body, ("timestamp", "ts"), is_element=False)
        named = self._numbers(body, lambda key: key[:MAX_ELEMENT_CHARS], None)
        unit, flag = unit_text(body.get("unit")) if len(named) == 1 else (None, 0)
        for key, value in named:
            element = key[:MAX_ELEMENT_CHARS]
            try:
                self._add(key, unit, value, (time_ns, clock | flag), (element, None))
            except RejectError as error:
                self._out.reject(error.reason, element, None, error.detail)

    def _read(self, element: Any, index: int) -> None:
        if type(element) is not dict:
            raise RejectError("not_object", "an element is an object")
        if not element:
            raise RejectError("empty_element")
        if "val" in element:
            if element.get("type") is None:
                raise RejectError("missing_type", "the element has a value and no type")
            self._read_named(element, ("type", "val", "unit"), index)
        elif type(element.get("n")) is str:
            if "v" not in element:
                raise RejectError("missing_value", "the element has a name and no value")
            self._read_named(element, ("n", "v", "u"), index)
        elif "type" in element:
            raise RejectError("missing_value", "the element has a type and no value")
        else:
            self._read_keys(element, index)

    def _read_named(self, element: dict[str, Any], keys: tuple[str, str, str], index: int) -> None:
        metric = metric_name(element[keys[0]])
        value = number(element[keys[1]])
        unit, flag = unit_text(element.get(keys[2]))
        time_ns, clock = self._time(element, ("ts",))
        place = (f"measurements[{index}]", index)
        self._add(metric, unit, value, (time_ns, clock | flag), place)

    def _read_keys(self, element: dict[str, Any], index: int) -> None:
        """Read the numeric keys of one element (v1 batch, MTR-032)."""
        place = f"measurements[{index}]"
        stamp = self._time(element, ("timestamp", "ts"))
        letters = len(self._out.dead_letters)
        named = self._numbers(element, lambda _: place, index)
        if not named and len(self._out.dead_letters) == letters:
            raise RejectError("empty_element", "no key of the element is a number")
        for key, value in named:
            try:
                self._add(key, None, value, stamp, (place, index))
            except RejectError as error:
                self._out.reject(error.reason, place, index, error.detail)

    def _numbers(
        self, members: dict[str, Any], place: Any, index: int | None
    ) -> list[tuple[str, float]]:
        """Return the numeric members; text, null, arrays and objects are no readings in v1."""
        found = []
        for key, value in members.items():
            if key in RESERVED or not isinstance(value, int | float):
                continue
            try:
                found.append((metric_name(key), number(value)))
            except RejectError as error:
                self._out.reject(error.reason, place(key), index, error.detail)
        return found

    def _time(
        self, members: dict[str, Any], keys: tuple[str, ...], *, is_element: bool = True
    ) -> tuple[int, int]:
        """Return time and flags of an element, or those of the message if it has no own time."""
        for key in keys:
            value = members.get(key)
            if value is None:
                continue
            time_ns = parse_instant(value)
            if time_ns is not None:
                return time_ns, 0
            if is_element:
                raise RejectError("bad_time", "the time of the element cannot be read")
        return self._default

    def _add(
        self,
        metric: str,
        unit: str | None,
        value: float,
        stamp: tuple[int, int],
        place: tuple[str, int | None],
    ) -> None:
        entry = self._table.entry(metric, unit)
        time_ns, flags = stamp
        if not entry.low <= value <= entry.high:
            flags |= quality.RANGE
        self.points.append(Point(entry, time_ns, value, flags, *place))
