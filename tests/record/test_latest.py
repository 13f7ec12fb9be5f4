"""The newest value of each series, page by page. Source: D-21, API-031."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.model.work import LatestPage, Readings
from millrace.record.latest import PAGE_SIZE, LatestTable, open_page

Row = tuple[int, int, float]

SERIES = st.sampled_from([0, 1, PAGE_SIZE - 1, PAGE_SIZE, 5 * PAGE_SIZE + 3])
ROWS = st.lists(st.tuples(SERIES, st.integers(-5, 5), st.floats(-9, 9)), max_size=12)


def readings(rows: list[Row]) -> Readings:
    count = len(rows)
    return Readings(
        series=np.array([row[0] for row in rows], np.int64),
        attr=np.arange(count, dtype=np.int64),
        time_ns=np.array([row[1] for row in rows], np.int64),
        value=np.array([row[2] for row in rows], np.float64),
        flags=np.zeros(count, np.int16),
        received_at_ns=np.zeros(count, np.int64),
        position=np.zeros(count, np.int64),
    )


def held(pages: list[LatestPage]) -> dict[int, tuple[int, float]]:
    found: dict[int, tuple[int, float]] = {}
    for page in pages:
        ids, rows = open_page(page)
        values = zip(rows["time_ns"].tolist(), rows["value"].tolist(), strict=True)
        found.update(zip(ids.tolist(), values, strict=True))
    return found


def newest(commits: list[list[Row]]) -> dict[int, tuple[int, float]]:
    """The model: of each series the greatest time, of equal times the later one."""
    found: dict[int, tuple[int, float]] = {}
    for series, time_ns, value in (row for rows in commits for row in rows):
        if series not in found or time_ns >= found[series][0]:
            found[series] = (time_ns, value)
    return found


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=6))
def test_api031_newest_by_time_whatever_the_order(commits: list[list[Row]]) -> None:
    table = LatestTable()
    for rows in commits:
        table.update(readings(rows))
    assert held(table.dirty_pages()) == newest(commits)
    assert not table.dirty_pages()


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, max_size=4), st.lists(ROWS, max_size=4))
def test_d21_pages_written_now_and_then_hold_everything(
    before: list[list[Row]], after: list[list[Row]]
) -> None:
    table = LatestTable()
    stored: dict[int, LatestPage] = {}
    for rows in before:
        table.update(readings(rows))
    stored.update({page.page: page for page in table.dirty_pages()})
    loaded = LatestTable()
    loaded.load(stored.values())
    for rows in after:
        loaded.update(readings(rows))
    stored.update({page.page: page for page in loaded.dirty_pages()})
    assert held(list(stored.values())) == newest(before + after)


def test_d21_only_pages_that_changed_are_written() -> None:
    table = LatestTable()
    table.update(readings([(1, 1, 1.0), (PAGE_SIZE, 1, 1.0)]))
    assert [page.page for page in table.dirty_pages()] == [0, 1]
    table.update(readings([(PAGE_SIZE + 7, 1, 1.0)]))
    assert [page.page for page in table.dirty_pages()] == [1]


def test_equal_times_in_one_commit_the_later_wins() -> None:
    table = LatestTable()
    table.update(readings([(1, 5, 1.0), (1, 5, 2.0), (1, 4, 3.0)]))
    assert held(table.dirty_pages()) == {1: (5, 2.0)}
