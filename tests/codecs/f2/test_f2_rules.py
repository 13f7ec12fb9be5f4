"""Rules of f2.md that the vectors do not reach, each by its id."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from millrace.codecs.f2 import F2Codec, F2Options
from millrace.codecs.f2.frames import is_crc_good, modbus_crc, read_frame
from millrace.codecs.f2.literals import unwrap
from millrace.codecs.f2.measurements import read_measurements
from millrace.codecs.f2.topics import component_of, device_id_of, parse_topic
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
from millrace.model.series import SeriesBook
from tests.codecs.outcome import decode, instant

RECEIVED_NS = instant("2025-07-02T12:00:00Z")
DEVICE = "f2-e4fd45f654be"
STAMP = "2025-07-02 11:59:58"


def run(
    topic: str, body: object, profile: DeviceProfile | None = None, **options: Any
) -> dict[str, Any]:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    codec = F2Codec(F2Options(**options))
    profile = profile or unknown(DEVICE, "f2")
    return decode(codec, topic, payload, RECEIVED_NS, profile, repeat=2)


def values(got: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    return {(row["metric"], row["channel"]): row["value"] for row in got["readings"]}


def letters(got: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(row["reason"], row["element"]) for row in got["dead_letters"]]


def stat(component: str, mode: str = "access-control-mode", connector: str = "J2") -> str:
    return f"stat/{DEVICE}/{mode}/{connector}/{component}"


@pytest.mark.parametrize(
    ("name", "device_id"),
    [
        ("F2-E4:FD:45:F6:54:BE", DEVICE),
        ("E4-FD-45-F6-54-BE", DEVICE),
        ("f2-dev-4", "f2-dev-4"),
        ("dev-4x", "dev-4x"),
        ("A" * 64, "A" * 64),
    ],
)
def test_f2_003_devices(name: str, device_id: str) -> None:
    assert device_id_of(name) == device_id


@pytest.mark.parametrize("name", ["dev-4", "", "-x", "A" * 65, "a b", "\u212a", "f2-aa:bb"])
def test_f2_003_no_devices(name: str) -> None:
    with pytest.raises(RejectError, match="bad_topic"):
        device_id_of(name)


@pytest.mark.parametrize(
    ("level", "connector"),
    [
        *((level, "J2") for level in ("J2", "j2", "2", "02", "J02", "conn2")),
        *((level, level) for level in ("J6", "0", "port_1")),
    ],
)
def test_f2_005_connectors(level: str, connector: str) -> None:
    topic = parse_topic(f"stat/x/alarm-mode/{level}/siren-1")
    assert topic is not None
    assert topic.connector == connector
    assert topic.is_usual == (connector == "J2")


@pytest.mark.parametrize(
    ("level", "component"),
    [
        ("motion-sensor-3", ("motion-sensor", "3")),
        ("Strike-001", ("strike", "1")),
        ("door-sensors", ("door-sensors", None)),
        ("exit-buttons-1", ("exit-buttons", None)),
        ("exit-buttons-2", ("exit-buttons", "2")),
        ("sensor-0012", ("sensor-0012", None)),
    ],
)
def test_f2_006_components(level: str, component: tuple[str, str | None]) -> None:
    assert component_of(level) == component


@pytest.mark.parametrize(
    "topic",
    [
        "stat/x/alarm-mode/J1",
        "stat/x/alarm mode/J1/siren-1",
        "stat/x/alarm-mode/J.1/siren-1",
        "stat/x/alarm-mode/J1/1siren",
        "stat/x/alarm-mode/J1/siren-1/success",
        "cmnd/x/alarm-mode/J1/siren-1/success",
        "cmnd/x/access-control-mode/J1/reader-1/failure",
        "tele/x/\u212a/J1/siren-1",
    ],
)
def test_f2_002_bad_topics(topic: str) -> None:
    with pytest.raises(RejectError, match="bad_topic"):
        F2Codec().address(topic)


def test_f2_002_other_first_levels_are_nobodys() -> None:
    assert F2Codec().address("iot/x/telemetry") is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_payload"),
        (b"x" * 65, "too_large"),
        (b"\xff", "not_utf8"),
        (b" \n[1, Infinity]", "bad_json"),
        (b"\xef\xbb\xbf{", "bad_json"),
        (b'{"seq": 1, "timestamp": 5}', "no_value"),
        (b"null", "no_value"),
    ],
)
def test_f2_020_bad_messages(body: bytes, reason: str) -> None:
    got = run(stat("beacon"), body, max_payload_bytes=64)
    assert letters(got) == [(reason, "")]


def test_f2_008_too_large_holds_for_commands_as_well() -> None:
    got = run(f"cmnd/{DEVICE}/alarm-mode/J1/siren-1", b"x" * 65, max_payload_bytes=64)
    assert letters(got) == [("too_large", "")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"b'a\tb'", "a\tb"),
        (r'B"it\'s"', "it's"),
        (r"b'\q\101\x41'", r"\qAA"),
        (r"b'\xc3\xa4'", "ä"),
        (r"b'a\x00'", "61 00"),
        (r"b'open", r"b'open"),
        (r"b'a' b'b'", r"b'a' b'b'"),
        (r"b'ä'", r"b'ä'"),
        (r"b'\x4'", r"b'\x4'"),
    ],
)
def test_f2_023_bytes_literals(text: str, shown: str) -> None:
    assert unwrap(text).text == shown


def test_f2_024_a_number_that_is_not_finite_costs_its_element() -> None:
    body = b'{"timestamp": 1751457598, "status": 1e400, "voltage": 1e400, "x": 1e400, "y": 1}'
    got = run(stat("strike-1"), body)
    assert values(got) == {("strike-1.J2", "y"): 1.0}
    assert letters(got) == [("not_finite", name) for name in ("status", "voltage", "x")]


def test_f2_025_at_most_256_values_in_document_order() -> None:
    got = run(stat("beacon"), {f"k{number}": number for number in range(300)})
    assert sorted(values(got).values()) == list(range(256))
    assert letters(got) == [("limit", "")]


def test_f2_025_keys_with_control_characters() -> None:
    got = run(stat("beacon"), {"a\u0007": 1, "b": {"c\u0085": 1, "d": 2}})
    assert list(values(got).values()) == [2.0]
    assert letters(got) == [("bad_value", "a\u0007"), ("bad_value", "b.c\u0085")]


def test_f2_060_a_text_where_a_number_is_expected_may_be_wrong() -> None:
    got = run(stat("strike-1"), {"voltage": "much", "current": True, "state": "locked"})
    assert values(got) == {("strike-1.J2", ""): 0.0}
    assert letters(got) == [("bad_value", "voltage"), ("bad_value", "current")]


@pytest.mark.parametrize(
    ("number", "channel"),
    [(4, "exit-button-4"), ("04", "exit-button-4"), (None, "button_pressed")],
)
def test_f2_060_buttons(number: object, channel: str) -> None:
    body = {"button_pressed": "yes"} | ({"button_id": number} if number is not None else {})
    assert values(run(stat("exit-buttons"), body)) == {("exit-buttons.J2", channel): 1.0}


def test_f2_054_a_reply_is_an_event_and_no_reading() -> None:
    got = run(stat("reader-1"), {"timestamp": STAMP, "data": "b'\\x02\\xff\\x03'"})
    assert not got["readings"]
    assert [(row["kind"], row["text"]) for row in got["events"]] == [("reader_reply", "02 FF 03")]


@pytest.mark.parametrize("data", ["0x5B", "5 B", "GG", "5B\n5F", "00" * 1025, "b''", "5B,5F"])
def test_f2_090_no_frames(data: str) -> None:
    with pytest.raises(RejectError, match="bad_hex"):
        read_frame(data)


@pytest.mark.parametrize(
    ("data", "frame"),
    [
        (" 5b-5F:00\t01 ", b"[_\0\1"),
        ("5B5F 0001", b"[_\0\1"),
        ("-5B-", b"["),
        (r"b'[_\x00'", b"[_\0"),
        ("b'5B 5F'", b"[_"),
        ("00" * 1024, bytes(1024)),
    ],
)
def test_f2_090_frames(data: str, frame: bytes) -> None:
    assert read_frame(data) == frame


def test_f2_097_crc() -> None:
    """The frame is the one of REG-132."""
    frame = bytes.fromhex("01 03 06 09 2E 11 94 01 C2 0D 3B")
    assert is_crc_good(frame)
    assert modbus_crc(b"123456789") == 0x4B37
    assert not is_crc_good(frame[:-1])
    assert not is_crc_good(b"\xff\xff\xff")


def point(number: int, encoding: str, **columns: Any) -> DataPoint:
    return DataPoint(number, f"P{number}", encoding, columns.pop("offset", 0), **columns)


def instrument(*points: DataPoint, crc: str = "none") -> DeviceProfile:
    attached = Attached("dev-9", (TemplateVersion(7, points, crc),))
    return DeviceProfile(DEVICE, "f2", pins={(1, 1): attached})


def frame_values(data: str, *points: DataPoint) -> list[float]:
    got = run(f"tele/{DEVICE}/sensor-mode/J1/sensor-1", {"data": data}, instrument(*points))
    return [row["value"] for row in sorted(got["readings"], key=lambda row: str(row["metric"]))]


def test_f2_093_byte_orders() -> None:
    orders = [
        point(number, "Uint32", byte_order=order)
        for number, order in enumerate(("big", "little", "word-swapped"))
    ]
    assert frame_values("01 02 03 04", *orders) == [0x01020304, 0x04030201, 0x03040102]
    swapped = point(1, "Uint64", byte_order="word-swapped")
    assert frame_values("01 02 03 04 05 06 07 08", swapped) == [float(0x0708050603040102)]


def test_f2_094_the_quotient_is_the_nearest_double() -> None:
    points = [point(1, "Uint64", decimals=18), point(2, "Int16", decimals=1, offset=6)]
    assert frame_values("0D E0 B6 B3 A7 64 00 03", *points) == [
        1000000000000000003 / 10**18,
        0.3,
    ]
    weight = point(1, "ASCII", length=4, decimals=2)
    assert frame_values("32 2E 36 37", weight) == [0.0267]


def test_f2_096_points_in_any_order_and_overlapping() -> None:
    points = [point(1, "Uint8", offset=1), point(2, "Uint16"), point(3, "Int8", offset=0)]
    assert frame_values("FF 02", *points) == [2.0, 65282.0, -1.0]


def test_f2_041_attributes() -> None:
    got = run(
        f"tele/{DEVICE}/sensor-mode/J1/sensor-1",
        {"data": "01", "rssi": -60},
        instrument(point(5, "Uint8")),
    )
    reading, other = got["readings"]
    assert reading["attributes"] == {
        "connector_mode": "sensor-mode",
        "component_type": "sensor",
        "component_id": "1",
        "connector": "J1",
        "topic": f"tele/{DEVICE}/sensor-mode/J1/sensor-1",
        "controller": DEVICE,
        "pin": 1,
        "data_point_id": 5,
        "template_version_id": 7,
        "unit": "",
    }
    assert "data_point_id" not in other["attributes"]


@pytest.mark.parametrize(
    ("received_at", "value"),
    [
        ("2025-06-01T00:00:00Z", 255.0),
        ("2025-07-01T00:00:00Z", 255.0),
        ("2025-07-02T00:00:00Z", -1.0),
        ("2025-07-03T00:00:00Z", -0.1),
    ],
)
def test_reg_093_the_version_by_the_time_of_receipt(received_at: str, value: float) -> None:
    starts = [instant(f"2025-07-0{day}T00:00:00Z") for day in (1, 2, 3)]
    rows = [point(1, "Uint8"), point(1, "Int8"), point(1, "Int8", decimals=1)]
    versions = tuple(
        TemplateVersion(number, (rows[number],), "none", starts[number], end)
        for number, end in enumerate([*starts[1:], None])
    )
    profile = DeviceProfile(DEVICE, "f2", pins={(1, 1): Attached("dev-9", versions)})
    got = decode(
        F2Codec(),
        f"tele/{DEVICE}/sensor-mode/J1/sensor-1",
        b'{"data": "FF"}',
        instant(received_at),
        profile,
        repeat=2,
    )
    assert [row["value"] for row in got["readings"]] == [value]


def simple(encoding: str, scale: float = 1.0, component: str = "sensor") -> DeviceProfile:
    row = Parameter(1, "sensor", component, "", encoding, "u", scale)
    return DeviceProfile(DEVICE, "f2", parameters=(row,))


@pytest.mark.parametrize(
    ("encoding", "scale", "data", "value"),
    [
        ("HEX_TO_FLOAT", 0.1, "0x12a", 29.8),
        ("hex_to_float", 1.0, "b'FFFFFFFFFFFFFFFF'", float(2**64)),
        ("Float32", 0.5, "41 AC 00 00 FF", 10.75),
        ("bit(3)", 2.0, "08", 2.0),
        ("boolean_map", 1.0, True, 1.0),
    ],
)
def test_f2_084_simple_rows(encoding: str, scale: float, data: object, value: float) -> None:
    got = run(stat("sensor-9", "sensor-mode"), {"data": data}, simple(encoding, scale))
    assert list(values(got).values()) == [value]
    assert not letters(got)
    assert got["readings"][0]["quality"] == ["clock"]


@pytest.mark.parametrize(
    ("encoding", "scale", "data", "reason"),
    [
        ("hex_to_float", 1.0, "12 A", "bad_hex"),
        ("hex_to_float", 1.0, "0" * 17, "bad_hex"),
        ("hex_to_float", 1e308, "FFFF", "not_finite"),
        ("uint16", 1.0, "01", "short_frame"),
        ("uint16", 1.0, 7, "bad_value"),
        ("float32", 1.0, "7FC00000", "not_finite"),
        ("BCD", 1.0, "01", "bad_encoding"),
        ("frame", 1.0, "01", "bad_encoding"),
        ("generic", 1.0, "01", "bad_encoding"),
    ],
)
def test_f2_084_faults(encoding: str, scale: float, data: object, reason: str) -> None:
    got = run(stat("sensor-9", "sensor-mode"), {"data": data}, simple(encoding, scale))
    assert letters(got) == [(reason, "data")]


def test_f2_080_the_row_with_the_id_before_the_one_without_then_the_lowest() -> None:
    rows = tuple(
        Parameter(number, "access-control-mode", "strike", component_id, "boolean", unit)
        for number, component_id, unit in [(1, None, "a"), (3, "1", "c"), (2, "01", "b")]
    )
    profile = DeviceProfile(DEVICE, "f2", parameters=rows)
    for component, unit in (("strike-1", "b"), ("strike-2", "a")):
        got = run(stat(component), {"timestamp": STAMP, "status": True}, profile)
        assert [row["unit"] for row in got["readings"]] == [unit]


def test_f2_032_the_controllers_zone_before_the_setting() -> None:
    body = {"timestamp": STAMP, "status": True}
    for zone, hour in ((None, "09"), ("UTC", "11"), ("America/New_York", "15")):
        profile = DeviceProfile(DEVICE, "f2", time_zone=zone)
        got = run(stat("strike-1"), body, profile, time_zone="Europe/Berlin")
        assert got["readings"][0]["time"] == instant(f"2025-07-02T{hour}:59:58Z")


@pytest.mark.parametrize(
    ("place", "payload", "detail"),
    [
        (
            "access-control-mode/J1/reader-2/success",
            "2",
            {"command": "reader_indicator", "code": 2},
        ),
        ("access-control-mode/J1/reader-2/success", "4", None),
        ("access-control-mode/J1/reader-3/success", "2", None),
        ("access-control-mode/J1/strike-1", '{"power-flag": 2}', None),
        ("access-control-mode/J1/strike-1", '{"power-flag": true}', None),
        ("access-control-mode/J1/strike-1", '{"power-flag": 1, "volume": 3}', None),
        ("access-control-mode/J1/strike-3", '{"power-flag": 1}', None),
        ("access-control-mode/J1/door-sensors", "", None),
        ("alarm-mode/J1/siren-1", "true", None),
        ("alarm-mode/J1/siren-1", "0", {"command": "siren", "on": False}),
    ],
)
def test_f2_113_commands_on_the_wire(
    place: str, payload: str, detail: dict[str, Any] | None
) -> None:
    got = run(f"cmnd/{DEVICE}/{place}", payload.encode())
    assert [row["detail"] for row in got["events"]] == [
        detail or {"command": "other", "payload": payload}
    ]
    assert not got["dead_letters"]


def test_mtr_045_cardinality_costs_its_element() -> None:
    book, out = SeriesBook(max_per_device=2), Decoded()
    plan = F2Codec().compile(stat("beacon"), unknown(DEVICE, "f2"), book)
    plan.decode(b'{"a": 1, "b": 2, "c": 3, "a.b": 1}', RECEIVED_NS, 0, out)
    assert out.values == [1.0, 2.0]
    assert [(row.reason, row.element) for row in out.dead_letters] == [
        ("cardinality", "c"),
        ("cardinality", "a.b"),
    ]


def test_f2_192_field_names() -> None:
    record = {
        "timestamp": 1751457598,
        "mac_address": "E4:FD:45:F6:54:BE",
        "mode": "m",
        "pin": 3,
        "value": {"a": "21.5 °C", "b": True, "c": 4},
        "unit": {"c": "V"},
    }
    measured = read_measurements(record, RECEIVED_NS)
    assert [
        (row.label, row.value, row.unit, row.pin_position) for row in measured.measurements
    ] == [("a", 21.5, "°C", "3"), ("c", 4.0, "V", "3")]
    assert [(label, problem.reason) for label, problem in measured.problems] == [("b", "bad_value")]
    first = measured.measurements[0]
    assert (first.device_id, first.connector_mode, first.component_type) == (DEVICE, "m", "unknown")
    with pytest.raises(RejectError, match="no_device"):
        read_measurements({"value": 1}, RECEIVED_NS)
