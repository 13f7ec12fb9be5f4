"""Lines of the line protocol: the documented mappings, which no device can break (A21)."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from influxdb_client.client.write.point import Point

from millrace.adapters.series_influx.lines import escaped, head_of, line_of
from millrace.ports.sink import SeriesName

AT_NS = 1_772_366_400_123_456_789


def line(name: SeriesName, attributes: dict[str, Any], value: float) -> str | None:
    head = head_of(name, attributes)
    return None if head is None else line_of(head, value, AT_NS)


@pytest.mark.parametrize(
    ("metric", "unit", "value", "expected"),
    [
        ("voltage_dc", "V", 750.4,
         "iot_telemetry,device_id=m\\ 1,metric=voltage_dc,unit=V value=750.4"),
        ("pf", None, 1.0, "iot_telemetry,device_id=m\\ 1,metric=pf value=1"),
        ("p", "", -0.0, "iot_telemetry,device_id=m\\ 1,metric=p value=-0"),
        ("big", "W", 1e22, "iot_telemetry,device_id=m\\ 1,metric=big,unit=W value=1e+22"),
        ("tiny", "W", 5e-324, "iot_telemetry,device_id=m\\ 1,metric=tiny,unit=W value=5e-324"),
    ],
)  # fmt: skip
def test_mtr120_a_meter(metric: str, unit: str | None, value: float, expected: str) -> None:
    assert line(SeriesName("m 1", metric, ""), {"unit": unit}, value) == f"{expected} {AT_NS}"


def test_mtr120_a_channel_is_a_tag_of_its_own() -> None:
    found = line(SeriesName("c1", "rt", "Temp=Room 1"), {"unit": "Cel"}, 21.5)
    tags = "device_id=c1,metric=rt,channel=Temp\\=Room\\ 1,unit=Cel"
    assert found == f"iot_telemetry,{tags} value=21.5 {AT_NS}"


@pytest.mark.parametrize(
    ("metric", "value", "field"),
    [
        ("temperature_celsius", 22.0, "temperature_celsius=22"),
        ("meta_battery_level", 87.0, "meta_battery_level=87i"),
        ("meta_battery_level", 86.5, "meta_battery_level=86i"),
        ("meta_signal_strength", -71.5, "meta_signal_strength=-72i"),
        ("dew,point", 1.25, "dew\\,point=1.25"),
    ],
)
def test_sns080_a_sensor(metric: str, value: float, field: str) -> None:
    attributes = {"device_type": "temperature_sensor", "location": "room A", "unit": None}
    start = "temperature_sensor,device_id=s1,location=room\\ A"
    assert line(SeriesName("s1", metric, ""), attributes, value) == f"{start} {field} {AT_NS}"
    del attributes["location"]
    found = line(SeriesName("s1", metric, ""), attributes, value)
    assert found == f"temperature_sensor,device_id=s1 {field} {AT_NS}"


def test_sns080_the_health_score_is_not_written() -> None:
    name = SeriesName("s1", "health_score", "")
    assert head_of(name, {"device_type": "gps_sensor", "unit": None}) is None
    assert head_of(name, {"unit": None}) is not None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_f39_what_is_no_number_is_no_line(value: float) -> None:
    assert line(SeriesName("m", "v", ""), {"unit": "V"}, value) is None


def test_f39_an_integer_that_does_not_fit_is_no_line() -> None:
    name, attributes = SeriesName("s", "meta_battery_level", ""), {"device_type": "x"}
    assert line(name, attributes, 2.0**63) is None
    assert line(name, attributes, 2.0**62) is not None


PRINTABLE = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1)


def is_alike(text: str) -> bool:
    """Whether the client and we agree about what to do: it has no answer to backslashes."""
    return "\\" not in text


def official(measurement: str, tags: dict[str, str], fields: dict[str, Any]) -> str:
    """Return the line of the official client."""
    members = {"measurement": measurement, "tags": tags, "fields": fields, "time": AT_NS}
    return str(Point.from_dict(members).to_line_protocol())


@given(PRINTABLE.filter(is_alike), PRINTABLE.filter(is_alike), st.floats(allow_nan=False))
def test_differential_the_official_client_writes_the_same(
    device_id: str, unit: str, value: float
) -> None:
    tags = {"device_id": device_id, "metric": "v", "unit": unit}
    expected = official("iot_telemetry", tags, {"value": value}) or None
    assert line(SeriesName(device_id, "v", ""), {"unit": unit}, value) == expected


@given(PRINTABLE.filter(is_alike), PRINTABLE.filter(is_alike), st.integers(-(2**53), 2**53))
def test_differential_a_sensor(device_type: str, location: str, level: int) -> None:
    if device_type.startswith("#"):
        return  # the client writes a comment
    tags = {"device_id": "s", "location": location}
    attributes = {"device_type": device_type, "location": location}
    found = line(SeriesName("s", "meta_battery_level", ""), attributes, float(level))
    assert found == official(device_type, tags, {"meta_battery_level": level})


LINE = re.compile(
    r"(?P<measurement>(?:[^,= \\\n]|\\[, ]|=|\\(?![,= ]))+)"
    r"(?P<tags>(?:,[a-z_]+=(?:[^,= \\\n]|\\[,= ]|\\(?![,= ]))+)+)"
    r" (?P<field>(?:[^,= \\\n]|\\[,= ]|\\(?![,= ]))+)=(?P<value>[^ ,]+) (?P<time>\d+)"
)
HOSTILE = st.text(st.sampled_from(list('\\,= \n\r\t\0"#a1é\u2028\x85')), min_size=1)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_a21_no_name_ends_a_tag_a_field_or_a_line(one: str, two: str, three: str) -> None:
    for attributes in ({"unit": three}, {"device_type": three, "location": two}):
        found = line(SeriesName(one, two, ""), attributes, 1.5)
        assert found is not None
        assert len(found.splitlines()) == 1
        assert not found.startswith("#")
        parts = LINE.fullmatch(found)
        assert parts is not None, found
        tags = len(re.findall(r"(?<!\\),", found))
        assert tags == (3 if "unit" in attributes else 2)
        assert parts["value"] == "1.5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\\", "a/"), ("a\\,b", "a/\\,b"), ("a\\\\ b", "a//\\ b"), ("a\\b", "a\\b"),
        ("x\n1,y=2", "x\\ 1\\,y\\=2"), ("\0", "\\ "),
    ],
)  # fmt: skip
def test_a21_no_backslash_stands_before_what_has_a_meaning(text: str, expected: str) -> None:
    assert escaped(text) == expected
