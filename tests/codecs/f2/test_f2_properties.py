"""Any topic and any bytes give readings, events, dead letters or a rejection; never anything else.

And the short cuts of the plans say exactly what the general plan says.
"""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.codecs.f2 import F2Codec
from millrace.codecs.f2.plan import TelemetryPlan
from millrace.codecs.f2.records import decoded_record
from millrace.errors import RejectError
from millrace.model.decoded import Decoded
from millrace.model.device import (
    Attached,
    DataPoint,
    DeviceProfile,
    Parameter,
    TemplateVersion,
    unknown,
)
from millrace.model.records import raw_record
from millrace.model.series import SeriesBook
from tests.codecs.outcome import instant, outcome

RECEIVED_NS = instant("2025-07-02T12:00:00Z")
DEVICE = "f2-e4fd45f654be"
USUAL = '"2025-07-02 11:59:58.123456"'
POINTS = (
    DataPoint(1, "Temperature", "Int16", 0, decimals=2, append=" °C"),
    DataPoint(2, "Humidity", "Uint16", 2, decimals=2, append=" %"),
    DataPoint(3, "Flow", "Float32", 4, byte_order="big"),
)
MIXED = (
    DataPoint(4, "Count", "BCD", 0, 2),
    DataPoint(5, "Name", "ASCII", 0, 4, data_format="text"),
    DataPoint(6, "Odd", "Int12", 0),
    DataPoint(7, "Run", "Bit(3)", 1),
)
PROFILE = DeviceProfile(
    DEVICE,
    "f2",
    pins={
        (1, 1): Attached("dev-4", (TemplateVersion(1, POINTS),)),
        (1, 2): Attached("dev-5", (TemplateVersion(2, MIXED, "modbus"),)),
    },
    parameters=(
        Parameter(1, "sensor-mode", "sensor", "3", "hex_to_float", "C", 1e300),
        Parameter(2, "sensor-mode", "RS485-sensor", None, "float32", "V", 0.5),
    ),
)
TOPICS = [
    f"{kind}/{DEVICE}/{rest}"
    for kind in ("tele", "cmnd")
    for rest in (
        "sensor-mode/J1/sensor-1",
        "sensor-mode/J1/sensor-2",
        "sensor-mode/J1/sensor-3",
        "sensor-mode/J2/sensor-4",
        "access-control-mode/J2/strike-1",
        "access-control-mode/J2/door-sensors",
        "access-control-mode/J2/exit-buttons",
        "access-control-mode/J2/reader-1",
        "alarm-mode/J1/motion-sensor-9",
        "alarm-mode/J9/beacon",
    )
]
KEYS = st.sampled_from(
    [
        "timestamp",
        "status",
        "data",
        "seq",
        "state",
        "voltage",
        "door-sensor-1",
        "door_1",
        "button_pressed",
        "button_id",
        "card_id",
        "read_type",
        "power-flag",
    ]
)
WORDS = st.sampled_from(
    [
        "open",
        "FF 38 11 94 01 C2 00 00",
        "FF3811947FC00000",
        "FF 38\n11 94 01 C2 00 00",
        "FF:38-11 94 41 AC 00 00",
        "12 34 41 42",
        "0x12A",
        "b'\\x02\\x00\\x03'",
        "b''",
        "2025-07-02 11:59:58.123456",
        "12.5 V",
        "\ud800",
        "",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.integers()
    | st.floats()
    | WORDS
    | st.text(max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, SCALARS, max_size=4).map(json.dumps)
PAYLOADS = (
    st.binary(max_size=40)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | OBJECTS.map(str.encode)
)


def compiled(topic: str) -> tuple[Any, SeriesBook]:
    book = SeriesBook()
    return F2Codec().compile(topic, PROFILE, book), book


@settings(max_examples=200, deadline=None)
@given(topic=st.sampled_from(TOPICS), payload=PAYLOADS)
def test_any_payload_gives_an_outcome(topic: str, payload: bytes) -> None:
    plan, book = compiled(topic)
    for _ in range(2):
        out = Decoded()
        try:
            plan.decode(payload, RECEIVED_NS, 0, out)
        except RejectError:
            continue
        got = outcome(out, book)
        assert got["readings"] or got["events"] or got["dead_letters"]
        json.dumps(got, allow_nan=False).encode()
        record = decoded_record(plan, payload, RECEIVED_NS, raw_ref=(0, 0))
        assert (record is not None) == bool(got["readings"])
    json.loads(raw_record(topic, payload, RECEIVED_NS))


@settings(max_examples=200, deadline=None)
@given(
    topic=st.text(max_size=30)
    | st.lists(
        st.sampled_from(["stat", "cmnd", "alarm-mode", "J1", "siren-1", "success", "", "Ⅷ"])
        | st.text(max_size=8),
        min_size=4,
        max_size=6,
    ).map("/".join)
)
def test_any_topic_is_addressed_or_refused(topic: str) -> None:
    codec = F2Codec()
    try:
        address = codec.address(topic)
    except RejectError as problem:
        assert problem.reason == "bad_topic"  # noqa: PT017 - both ends are good ones
        return
    if address is not None:
        assert address.device_id.isascii()
        codec.compile(topic, unknown(address.device_id, "f2"), SeriesBook())


STAMPS = st.sampled_from(
    [USUAL, "1751457598.25", "1751457598", '"yesterday"', "null", "true", "1e400", "[1]", '"1"']
)
MEMBERS = {
    "sensor-mode/J1/sensor-1": st.sampled_from(
        [
            '"FF 38 11 94 01 C2 00 00"',
            '"ff38 1194 7FC00000"',
            '"FF 38 11 94 7F 80 00 00"',
            '" FF3811944 1AC0000 "',
            '"FF\\n38119401C20000"',
            '"FF\\t38119401C20000"',
            '"FF\\u002038119401C20000"',
            '"FF:38:11:94:01:C2:00:00"',
            '"FF 38"',
            '""',
            "7",
            "\"b'FF 38 11 94 01 C2 00 00'\"",
        ]
    ),
    "access-control-mode/J2/strike-1": st.sampled_from(["true", "false", "1", '"open"', "null"]),
    "access-control-mode/J2/door-sensors": st.sampled_from(
        ["true", "false", "1", "0.0", '"open"', "null", "2", "[true]", "{}"]
    ),
}
NAMES = {
    "sensor-mode/J1/sensor-1": ["data", "data", "rssi"],
    "access-control-mode/J2/strike-1": ["status", "status", "state"],
    "access-control-mode/J2/door-sensors": ["a", "b", "door_1", "seq", "tamper"],
}
WARM = {
    "sensor-mode/J1/sensor-1": '{"data": "FF 38 11 94 01 C2 00 00"}',
    "access-control-mode/J2/strike-1": '{"status": true}',
    "access-control-mode/J2/door-sensors": '{"a": true, "b": false, "seq": true, "door_1": 1}',
}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_the_short_cut_says_what_the_general_plan_says(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(sorted(MEMBERS)))
    names = data.draw(st.lists(st.sampled_from(NAMES[place]), min_size=1, max_size=3))
    members = [f'"{name}": {data.draw(MEMBERS[place])}' for name in names]
    members += [f'"timestamp": {data.draw(STAMPS)}' for _ in range(data.draw(st.integers(0, 2)))]
    if data.draw(st.booleans()):
        members.append(f'"seq": {data.draw(st.sampled_from(["1", "-1", "1.0", "true"]))}')
    payload = ("{" + ", ".join(data.draw(st.permutations(members))) + "}").encode()
    plan, book = compiled(f"tele/{DEVICE}/{place}")
    plan.decode(WARM[place].encode(), RECEIVED_NS, 0, Decoded())
    assert type(plan) is not TelemetryPlan
    assert result(plan.decode, payload, book) == result(general(plan), payload, book)


def general(plan: TelemetryPlan) -> Any:
    return TelemetryPlan(plan.target, plan.fields).decode


def result(decode: Any, payload: bytes, book: SeriesBook) -> Any:
    out = Decoded()
    try:
        decode(payload, RECEIVED_NS, 0, out)
    except RejectError as problem:
        return problem.reason, problem.element
    got = outcome(out, book)
    return [sorted(json.dumps(item, sort_keys=True) for item in kind) for kind in got.values()]
