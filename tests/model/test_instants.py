"""Instants of all families: F2-031 to F2-033, MTR-035."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.model.instants import MAX_NS, MIN_NS, SECOND_NS, format_instant, parse_instant

BERLIN = ZoneInfo("Europe/Berlin")
NOON_NS = 1_751_457_598 * SECOND_NS


@pytest.mark.parametrize(
    ("value", "fraction_ns"),
    [
        ("2025-07-02 11:59:58", 0),
        ("2025-07-02T11:59:58Z", 0),
        ("2025-07-02t11:59:58z", 0),
        ("2025-07-02 11:59:58.1", 100_000_000),
        ("2025-07-02 11:59:58.12", 120_000_000),
        ("2025-07-02 11:59:58.1234", 123_400_000),
        ("2025-07-02 11:59:58.123456789", 123_456_789),
        ("2025-07-02T11:59:58.123Z", 123_000_000),
        ("2025-07-02T13:59:58.5+02:00", 500_000_000),
        ("2025-07-02T13:59:58.5 +0200", 500_000_000),
        ("2025-07-02T06:29:58-05:30", 0),
        ("2025-07-02T13:59:58+02", 0),
        ("\t2025-07-02 11:59:58 \n", 0),
        ("1751457598.000000001", 1),
        ("01751457598.5", 500_000_000),
        ("1751457598000.5", 500_000),
        (1751457598.25, 250_000_000),
        (1751457598.1234567, 123_457_000),
    ],
)
def test_forms(value: object, fraction_ns: int) -> None:
    """F2-031; the second reading comes from the memo."""
    for _ in range(2):
        assert parse_instant(value) == NOON_NS + fraction_ns


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        [],
        {},
        float("nan"),
        float("inf"),
        1e300,
        "",
        " ",
        "now",
        "2025-07-02",
        "2025-07-02 11:59",
        "2025-07-02  11:59:58",
        "2025-07-02 11:59:58.",
        "2025-07-02 11:59:58.1234567891",
        "2025-07-02 11:59:58  Z",
        "2025-07-02 11:59:58.12_4",
        "2025-07-02 11:59:58.١٢٣",
        "٢٠٢٥-07-02 11:59:58",
        "2025-07-02 11:59:58.123Z456",
        "2025-07-02 11:59:58+24:00",
        "2025-07-02 11:59:58+02:60",
        "2025-02-30 11:59:58",
        "2025-07-02 24:00:00",
        "2025-07-02 11:60:00",
        "2025-07-02 11:59:61",
        "0000-01-01 00:00:00",
        "9999-12-31 23:59:59",
        "1500-01-01 00:00:00",
        "1751457598,5",
        "-1",
        "1.",
        "1.1234567891",
        "9" * 5000,
        10**30,
        2**63,
        "9223372036854775808",
    ],
)
def test_what_cannot_be_read(value: object) -> None:
    """F2-031, F2-033; and int64 nanoseconds hold 1677 to 2262."""
    parse_instant("2025-07-02 11:59:58")
    assert parse_instant(value) is None


@pytest.mark.parametrize(
    ("value", "unit_ns"),
    [
        (10**11 - 1, SECOND_NS),
        (10**11, 1_000_000),
        (10**14 - 1, 1_000_000),
        (10**14, 1_000),
        (10**17, 1),
        (-(10**11), 1_000_000),
        (2**63 - 1, 1),
    ],
)
def test_the_magnitude_names_the_unit(value: int, unit_ns: int) -> None:
    expected = value * unit_ns if MIN_NS <= value * unit_ns <= MAX_NS else None
    assert parse_instant(value) == expected
    if value >= 0:
        assert parse_instant(str(value)) == expected


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2025-07-02 11:59:58.5", "2025-07-02T09:59:58.5Z"),
        ("2025-01-02 11:59:58", "2025-01-02T10:59:58Z"),
        ("2025-07-02 11:59:58Z", "2025-07-02T11:59:58Z"),
        ("2025-07-02 11:59:58+01:00", "2025-07-02T10:59:58Z"),
        ("2024-10-27 02:30:00", "2024-10-27T00:30:00Z"),
        ("2025-03-30 02:30:00", "2025-03-30T01:30:00Z"),
        ("2025-03-30 01:59:60", "2025-03-30T01:00:00Z"),
    ],
)
def test_local_times(text: str, utc: str) -> None:
    """F2-032: first of two equal ones, offset before the change in a gap."""
    for _ in range(2):
        assert parse_instant(text, BERLIN) == parse_instant(utc)


def test_second_sixty_is_the_first_of_the_next_minute() -> None:
    """F2-033."""
    assert parse_instant("2025-06-30T23:59:60.5Z") == parse_instant("2025-07-01T00:00:00.5Z")


def test_the_ends_of_int64() -> None:
    assert parse_instant("2262-04-11T23:47:16.854775807Z") == MAX_NS
    assert parse_instant("2262-04-11T23:47:16.854775808Z") is None
    assert parse_instant("1677-09-21T00:12:43Z") is None
    assert parse_instant(format_instant(MIN_NS + SECOND_NS)) == MIN_NS + SECOND_NS


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (NOON_NS, "2025-07-02T11:59:58Z"),
        (NOON_NS + 500_000_000, "2025-07-02T11:59:58.500Z"),
        (NOON_NS + 1_000, "2025-07-02T11:59:58.000001Z"),
        (NOON_NS + 1, "2025-07-02T11:59:58.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (MAX_NS, "2262-04-11T23:47:16.854775807Z"),
        (MIN_NS, "1677-09-21T00:12:43.145224192Z"),
    ],
)
def test_output(ns: int, text: str) -> None:
    """The shortest of 0, 3, 6 or 9 fraction digits."""
    assert format_instant(ns) == text


@settings(max_examples=200)
@given(ns=st.integers(MIN_NS + SECOND_NS, MAX_NS))
def test_what_is_written_is_read(ns: int) -> None:
    assert parse_instant(format_instant(ns)) == ns


@settings(max_examples=200)
@given(moment=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - naive is the point
def test_the_calendar_agrees(moment: datetime) -> None:
    span = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (span.days * 86_400 + span.seconds) * SECOND_NS + span.microseconds * 1_000
    assert parse_instant(moment.isoformat(" ")) == expected


@settings(max_examples=200)
@given(seconds=st.floats(0, 9e9, allow_nan=False))
def test_floats_are_rounded_to_microseconds(seconds: float) -> None:
    """F2-033."""
    got = parse_instant(seconds)
    assert got is not None
    assert got % 1_000 == 0
    assert abs(Decimal(got) - Decimal(seconds) * SECOND_NS) <= 500


@settings(max_examples=200)
@given(value=st.text(max_size=40) | st.floats() | st.integers())
def test_any_value_is_read_or_not(value: object) -> None:
    for zone in (None, BERLIN):
        got = parse_instant(value, zone)
        assert got is None or MIN_NS <= got <= MAX_NS
