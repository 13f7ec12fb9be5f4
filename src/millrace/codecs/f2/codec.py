"""The F2 family: topics to addresses, and topics with the registry to plans.

Source: f2.md; the decoding chain is F2-080 to F2-085.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from millrace.codecs.f2.commands import seen_command
from millrace.codecs.f2.components import COMPONENTS, REGISTRY_SPELLINGS
from millrace.codecs.f2.fields import GENERIC, Rule, compile_fields
from millrace.codecs.f2.instrument import FrameFields, Straight
from millrace.codecs.f2.plan import Target, TelemetryPlan, Understood
from millrace.codecs.f2.shortcuts import FramePlan, MapPlan, StatusPlan
from millrace.codecs.f2.together import Column, FrameColumns, column_of
from millrace.codecs.f2.topics import SENSOR_MODE, F2Topic, mode_of, parse_topic
from millrace.errors import RejectError
from millrace.model.codec import Address
from millrace.model.decoded import Decoded
from millrace.model.device import Attached, DeviceProfile, Parameter, TemplateVersion
from millrace.model.documents import read_json
from millrace.model.quality import UNMAPPED
from millrace.model.series import Slots

FAMILY: Final = "f2"
MAX_PAYLOAD_BYTES: Final = 262_144
MAX_INSTRUMENTS: Final = 4_096


@dataclass(frozen=True, slots=True)
class F2Options:
    """Settings `f2.*`. `time_zone` is the IANA name for controllers without one of their own."""

    max_payload_bytes: int = MAX_PAYLOAD_BYTES
    time_zone: str = "UTC"


class Instrument(NamedTuple):
    """A template version, compiled: for any frame, for the usual one, for many of them."""

    fields: FrameFields
    straight: Straight | None
    together: FrameColumns | None


class F2Codec:
    """The codec of F2 controllers."""

    family = FAMILY

    def __init__(self, options: F2Options | None = None) -> None:
        self._options = options or F2Options()
        self._zone = zone_of(self._options.time_zone)
        self._instruments: dict[TemplateVersion, Instrument] = {}
        self._together: dict[tuple[Column, ...], FrameColumns] = {}

    def address(self, topic: str) -> Address | None:
        """Return whose message this topic carries; see `model.codec.Codec`."""
        parsed = parse_topic(topic)
        if parsed is None:
            return None
        return Address(FAMILY, parsed.type, parsed.device_id)

    def compile(
        self, topic: str, profile: DeviceProfile, slots: Slots
    ) -> "Telemetry | CommandPlan":
        """Return the plan for a topic that `address` has accepted."""
        parsed = parse_topic(topic)
        if parsed is None:
            raise RejectError("bad_topic", "no topic of an F2 controller")
        if parsed.is_reply_level:
            return CommandPlan(parsed, None, self._options.max_payload_bytes)
        telemetry = self.telemetry(parsed, profile, slots)
        if parsed.type == "cmnd":
            return CommandPlan(parsed, telemetry, self._options.max_payload_bytes)
        return telemetry

    def telemetry(self, topic: F2Topic, profile: DeviceProfile, slots: Slots) -> "Telemetry":
        """Return the plan for telemetry, whatever the type of the topic."""
        target = Target(
            topic.device_id,
            _attributes(topic),
            slots,
            0 if topic.is_usual else UNMAPPED,
            zone_of(profile.time_zone) if profile.time_zone else self._zone,
            self._options.max_payload_bytes,
        )
        simple = _simple_plan(topic, profile, target)
        attached = _attached(topic, profile)
        if attached is None:
            return simple
        spans = [
            (version, self._instrument_plan(topic, attached, version, target) or simple)
            for version in attached.versions
        ]
        return spans[0][1] if len(spans) == 1 else VersionedPlan(spans)

    def _instrument_plan(
        self, topic: F2Topic, attached: Attached, version: TemplateVersion, target: Target
    ) -> TelemetryPlan | None:
        if not version.data_points:
            return None
        attributes: Mapping[str, Any] = {
            **target.attributes,
            "controller": topic.device_id,
            "pin": int(topic.component_id or 0),
            "template_version_id": version.id,
        }
        own = replace(target, device_id=attached.device_id, attributes=attributes, flags=0)
        fields, straight, together = self._instrument(version)
        if straight is None:
            return TelemetryPlan(own, fields)
        return FramePlan(own, fields, straight, together if target.zone is None else None)

    def _instrument(self, version: TemplateVersion) -> Instrument:
        """Return what all instruments of a template version share; versions never change."""
        found = self._instruments.get(version)
        if found is None:
            if len(self._instruments) >= MAX_INSTRUMENTS:
                self._instruments.clear()
            fields = FrameFields(version)
            straight = fields.straight()
            together = self._columns(straight) if straight else None
            found = self._instruments[version] = Instrument(fields, straight, together)
        return found

    def _columns(self, straight: Straight) -> FrameColumns | None:
        """Return what decodes frames together; None where only single frames are read."""
        columns = tuple(column_of(named.reader) for named in straight.points if named.reader)
        if None in columns:
            return None
        known = cast("tuple[Column, ...]", columns)
        if known not in self._together:
            self._together[known] = FrameColumns(known, self._options.max_payload_bytes)
        return self._together[known]


class VersionedPlan:
    """Picks the template version that was active when the message was received.

    Source: REG-093.
    """

    def __init__(self, spans: Sequence[tuple[TemplateVersion, TelemetryPlan]]) -> None:
        self._spans = spans
        self._earliest = min(spans, key=lambda span: span[0].activated_at_ns or 0)[1]

    def at(self, received_at_ns: int) -> TelemetryPlan:
        """Return the plan for messages received at this instant."""
        for version, plan in self._spans:
            start, end = version.activated_at_ns, version.retired_at_ns
            if (start is None or start <= received_at_ns) and (end is None or received_at_ns < end):
                return plan
        return self._earliest

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write what the payload says into `out`; see `model.codec.Plan`."""
        self.at(received_at_ns).decode(payload, received_at_ns, flags, out)

    def understand(self, payload: bytes, received_at_ns: int) -> Understood | None:
        """Return what `decode` would write; see `TelemetryPlan.understand`."""
        return self.at(received_at_ns).understand(payload, received_at_ns)


Telemetry = TelemetryPlan | VersionedPlan


class CommandPlan:
    """A `cmnd` topic: telemetry in legacy form, or a command on the wire (F2-008)."""

    def __init__(self, topic: F2Topic, telemetry: Telemetry | None, max_payload_bytes: int) -> None:
        self._topic = topic
        self._telemetry = telemetry
        self._max_payload_bytes = max_payload_bytes

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write what the payload says into `out`; see `model.codec.Plan`."""
        if len(payload) > self._max_payload_bytes:
            raise RejectError("too_large", f"{len(payload)} bytes")
        if self._telemetry is not None and is_telemetry(payload):
            self._telemetry.decode(payload, received_at_ns, flags, out)
            return
        data: dict[str, Any] = {"metric": self._topic.place, "channel": ""}
        data["detail"] = seen_command(self._topic, payload)
        out.event("command", self._topic.device_id, received_at_ns, data)

    def understand(self, payload: bytes, received_at_ns: int) -> Understood | None:
        """Return what `decode` would write; None for a command, which has no values."""
        if self._telemetry is None or not is_telemetry(payload):
            return None
        return self._telemetry.understand(payload, received_at_ns)


def is_telemetry(payload: bytes) -> bool:
    """Return whether a payload on a five-level `cmnd` topic is telemetry. Source: F2-008."""
    try:
        value = read_json(payload)
    except RejectError:
        return False
    return type(value) is dict and "timestamp" in value and "power-flag" not in value


def zone_of(name: str | None) -> ZoneInfo | None:
    """Return a time zone; None for UTC, for no name and for a name that does not exist."""
    if not name or name == "UTC":
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return None


def _attributes(topic: F2Topic) -> dict[str, Any]:
    return {
        "connector_mode": topic.mode,
        "component_type": topic.component_type,
        "component_id": topic.component_id,
        "connector": topic.connector,
        "topic": topic.text,
    }


def _attached(topic: F2Topic, profile: DeviceProfile) -> Attached | None:
    if topic.component_type != "sensor" or topic.mode != SENSOR_MODE:
        return None
    if topic.connector_number is None or topic.component_id is None:
        return None
    attached = profile.pins.get((topic.connector_number, int(topic.component_id)))
    return attached if attached is not None and attached.versions else None


def _simple_plan(topic: F2Topic, profile: DeviceProfile, target: Target) -> TelemetryPlan:
    rule = _rule(topic, profile.parameters)
    if rule.is_row:
        target = replace(target, flags=0)
    fields = compile_fields(rule)
    if rule.encoding == "boolean":
        return StatusPlan(target, fields, rule.metric, rule.unit)
    if rule.encoding == "boolean_map":
        return MapPlan(target, fields, rule.metric, rule.unit)
    return TelemetryPlan(target, fields)


def _rule(topic: F2Topic, parameters: Sequence[Parameter]) -> Rule:
    known = COMPONENTS.get(topic.component_type)
    legacy = known.legacy if known else {}
    row = find_parameter(topic, parameters)
    if row is not None:
        return Rule(
            topic.metric,
            topic.component_type,
            row.encoding_type.strip().lower(),
            row.units,
            row.scaling_factor,
            is_row=True,
            legacy=legacy,
        )
    if known is None:
        return Rule(topic.metric, topic.component_type, GENERIC, "")
    return Rule(topic.metric, topic.component_type, known.encoding, known.unit, legacy=legacy)


def find_parameter(topic: F2Topic, parameters: Sequence[Parameter]) -> Parameter | None:
    """Return the row of `device_parameters` for a component. Source: F2-080 step 2, F2-082."""
    fitting = []
    for row in parameters:
        kind = row.component_type.lower()
        if REGISTRY_SPELLINGS.get(kind, kind) != topic.component_type:
            continue
        row_id = _row_id(row.component_id)
        if mode_of(row.mode) == topic.mode and row_id in (None, topic.component_id):
            fitting.append((row_id is None, row.id, row))
    return min(fitting, key=lambda entry: entry[:2])[2] if fitting else None


def _row_id(component_id: str | None) -> str | None:
    if not component_id:
        return None
    return component_id.lstrip("0") or "0"
