"""Columns of instants agree with single ones."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.instants import parse_instant
from millrace.model.stamps import UNREADABLE, instants_of, read_stamps

usual = st.builds(
    lambda when, blank, fraction, zone: when.strftime(f"%Y-%m-%d{blank}%H:%M:%S") + fraction + zone,
    st.datetimes(),
    st.sampled_from(" Tt"),
    st.sampled_from(["", ".5", ".123456", ".123456789", ".1234567890", "."]),
    st.sampled_from(["", "Z", "z", "+02:00"]),
)
dates = ["2025-02-29", "2024-02-29", "1900-02-29", "2025-00-10", "2025-13-10", "2025-12-32"]
hours = ["24:00:00", "23:59:60Z", "23:60:00", "23:59:61", "2a:00:00"]
limits = ["0000-01-01T00:00:00", "9999-12-31T23:59:59.9", "1677-01-01T00:00:00", "1772366399"]
limits += [f"2262-04-11T23:47:16.85477580{digit}Z" for digit in (7, 8)]
broken = st.sampled_from(
    [
        *(f"{date}T00:00:00Z" for date in dates),
        *(f"2025-12-31T{hour}" for hour in hours),
        *limits,
        "",
        "x" * 19,
        "\u0968\u0966\u0968\u096b-12-31T23:59:59",
    ]
)
numbers = st.integers() | st.floats() | st.booleans() | st.none()


@given(st.lists(usual | broken | st.text(max_size=30) | numbers, max_size=30))
def test_columns_agree_with_single_instants(values: list[Any]) -> None:
    expected = [parse_instant(value) for value in values]
    assert instants_of(values).tolist() == [UNREADABLE if ns is None else ns for ns in expected]


def test_usual_texts_need_no_second_look() -> None:
    texts = [f"2026-03-01T12:00:{s:02d}.250Z" for s in range(60)]
    rows = np.frombuffer("".join(texts).encode(), np.uint8).reshape(60, -1)
    found, is_good = read_stamps(rows)
    assert is_good.all()
    assert found.tolist() == [parse_instant(text) for text in texts]
