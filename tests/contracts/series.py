"""What `ports.series` means: every adapter of sealed history passes these."""

from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from millrace.errors import RejectError, UsageError
from millrace.ports.ledger import HotReadings
from millrace.ports.series import AGGREGATES, READING_SCHEMA, Every, SeriesQuery, SeriesWriter, Span
from tests.contracts.hot_memory import (
    ALWAYS,
    DAY_NS,
    SECOND_NS,
    START_NS,
    MemoryHot,
    Oracle,
    Row,
    aggregate,
    rows_of,
    table,
)

HOUR_NS = 3600 * SECOND_NS
IDS = [3, 7, 8, 4000, 90_000]


class Commits(HotReadings, Protocol):
    """Hot batches, and what the pump does to them."""

    newest: int

    def commit(self, rows: Sequence[Row], committed_at_ns: int = START_NS) -> int: ...


class Rig:
    """Writer, query, hot batches and oracle, moved together."""

    def __init__(
        self, writer: SeriesWriter, hot: Commits, query: SeriesQuery, seed: int = 1
    ) -> None:
        self.writer = writer
        self.hot = hot
        self.query = query
        self.oracle = Oracle()
        self.random = Random(seed)

    def commit(self, rows: list[Row]) -> None:
        self.hot.commit(rows)
        self.oracle.commit(rows)

    def seal(self) -> None:
        batches = self.hot.hot(self.writer.sealed_through())
        rows = pa.concat_tables([hot_table(batch.frame) for batch in batches])
        self.writer.seal(rows, batches[-1].id)
        self.hot.forget_hot(batches[-1].id)

    def random_rows(self, count: int, around_ns: int, spread_ns: int) -> list[Row]:
        """Rows of which some meet earlier ones of the same series and instant."""
        return [
            (
                self.random.choice(IDS),
                around_ns + self.random.randrange(spread_ns) // SECOND_NS * SECOND_NS,
                round(self.random.gauss(20, 5), 2),
                self.random.choice([0, 4, 512]),
                self.random.randrange(1, 5),
            )
            for _ in range(count)
        ]


def hot_table(frame: bytes) -> pa.Table:
    """Return the readings of a frame as the writer takes them."""
    from millrace.flow.hot_frame import open_hot  # noqa: PLC0415 (only this helper needs it)

    return pa.Table.from_batches([open_hot(frame)]).select(READING_SCHEMA.names)


class SeriesContract:
    """Subclass it, and give `make_writer` and `make_query`."""

    @abstractmethod
    def make_writer(self) -> SeriesWriter:
        """Return a writer of the one history of this test."""

    @abstractmethod
    def make_query(
        self, hot: HotReadings, latest_source: Callable[[], pa.Table] | None = None
    ) -> SeriesQuery:
        """Return a query over that history and these hot readings."""

    @pytest.fixture
    def rig(self) -> Rig:
        hot = MemoryHot()
        return Rig(self.make_writer(), hot, self.make_query(hot))

    def test_nothing_is_nothing(self, rig: Rig) -> None:
        assert rig.query.refresh() == 0
        assert rig.writer.sealed_through() == 0
        assert rig.query.raw([1], ALWAYS, limit=10).num_rows == 0
        assert rig.query.raw([], ALWAYS, limit=10).schema == READING_SCHEMA
        assert rig.query.latest().num_rows == 0
        assert rig.query.summary([1]).num_rows == 0
        assert rig.query.aggregate([1], ALWAYS, Every(1, "d"), ["mean"], limit=5).num_rows == 0
        assert not list(rig.query.export([1, 2], ALWAYS))

    def test_d30_sealing_twice_is_sealing_once(self, rig: Rig) -> None:
        rig.writer.seal(table([(1, START_NS, 1.5, 0, 1)]), 4)
        rig.writer.seal(table([(1, START_NS, 9.5, 0, 1)]), 4)
        rig.writer.seal(table([(1, START_NS + 1000, 9.5, 0, 1)]), 3)
        assert rig.writer.sealed_through() == 4
        rig.query.refresh()
        assert rows_of(rig.query.raw([1], ALWAYS, limit=9)) == [(1, START_NS, 1.5, 0, 1)]

    def test_d30_an_empty_seal_still_moves_the_id(self, rig: Rig) -> None:
        rig.writer.seal(table([]), 7)
        assert rig.writer.sealed_through() == 7
        assert self.make_writer().sealed_through() == 7

    def test_d12_the_later_row_wins_within_one_seal(self, rig: Rig) -> None:
        rig.writer.seal(table([(1, START_NS + 999, 1.0, 0, 1), (1, START_NS, 2.0, 4, 3)]), 1)
        rig.query.refresh()
        assert rows_of(rig.query.raw([1], ALWAYS, limit=9)) == [(1, START_NS, 2.0, 4, 3)]

    def test_d12_the_later_commit_wins_wherever_the_rows_are(self, rig: Rig) -> None:
        for value in (1.0, 2.0, 3.0):
            rig.commit([(1, START_NS, value, 0, 1), (1, START_NS + DAY_NS, value, 0, 1)])
            rig.seal()
        rig.commit([(1, START_NS, 4.0, 0, 1)])
        rig.query.refresh()
        expected = [(1, START_NS, 4.0, 0, 1), (1, START_NS + DAY_NS, 3.0, 0, 1)]
        assert rows_of(rig.query.raw([1], ALWAYS, limit=9)) == expected
        rig.writer.compact(START_NS + 30 * DAY_NS)
        rig.query.refresh()
        assert rows_of(rig.query.raw([1], ALWAYS, limit=9)) == expected
        assert rig.query.summary([1]).column("count").to_pylist() == [2]

    def test_d31_a_row_is_seen_once_while_it_is_hot_and_sealed(self, rig: Rig) -> None:
        rig.commit([(1, START_NS, 1.0, 0, 1)])
        rig.query.refresh()
        rig.writer.seal(table([(1, START_NS, 1.0, 0, 1)]), 1)
        assert rig.query.refresh() == 1
        assert rig.query.summary([1]).column("count").to_pylist() == [1]
        rig.hot.forget_hot(1)
        assert rig.query.refresh() == 1
        assert rig.query.summary([1]).column("count").to_pylist() == [1]

    def test_d31_what_was_sealed_unseen_is_seen(self, rig: Rig) -> None:
        rig.query.refresh()
        assert rig.query.latest().num_rows == 0
        rig.commit([(1, START_NS, 1.0, 0, 1)])
        rig.seal()
        rig.commit([(2, START_NS, 2.0, 0, 1)])
        assert rig.query.refresh() == 2
        assert rows_of(rig.query.latest()) == rig.oracle.latest([1, 2])
        assert rows_of(rig.query.raw([1, 2], ALWAYS, limit=9)) == rig.oracle.raw([1, 2], ALWAYS)

    def test_times_before_1970_and_at_the_edges_of_days(self, rig: Rig) -> None:
        times = (-DAY_NS - 1000, -1000, 0, DAY_NS - 1000, DAY_NS, START_NS - 1)
        rig.commit([(1, time_ns, float(n), 0, 1) for n, time_ns in enumerate(times)])
        rig.seal()
        rig.query.refresh()
        assert rows_of(rig.query.raw([1], ALWAYS, limit=9)) == rig.oracle.raw([1], ALWAYS)
        inside = Span(-1000, DAY_NS)
        assert rows_of(rig.query.raw([1], inside, limit=9)) == rig.oracle.raw([1], inside)
        days = rig.query.aggregate([1], ALWAYS, Every(1, "d"), ["count"], limit=9)
        assert days.column("time_ns").to_pylist() == [
            -2 * DAY_NS, -DAY_NS, 0, DAY_NS, START_NS - DAY_NS,
        ]  # fmt: skip

    def test_hostile_values_never_become_infinite_aggregates(self, rig: Rig) -> None:
        values = (1.7e308, 1.7e308, -0.0, 5e-324)
        rig.commit([(1, START_NS + n * 1000, value, 0, 1) for n, value in enumerate(values)])
        rig.query.refresh()
        answer = rig.query.aggregate([1], ALWAYS, Every(1, "d"), AGGREGATES, limit=9).to_pylist()
        assert answer[0]["max"] == 1.7e308
        assert answer[0]["sum"] is None
        assert answer[0]["stddev"] is None
        assert all(one is None or abs(one) < float("inf") for one in answer[0].values())

    def test_late_duplicate_and_shuffled_rows_against_the_oracle(self, rig: Rig) -> None:
        for step in range(30):
            now_ns = START_NS + step * 2 * HOUR_NS
            rows = rig.random_rows(60, now_ns, HOUR_NS)
            rows += rig.random_rows(5, now_ns - 2 * DAY_NS, 2 * DAY_NS)
            rig.commit(rows)
            if step % 3 == 2:
                rig.seal()
            if step % 7 == 6:
                rig.writer.compact(now_ns)
                rig.writer.vacuum(now_ns)
            assert rig.query.refresh() == rig.hot.newest
            self.check(rig, Span(now_ns - DAY_NS - HOUR_NS, now_ns + HOUR_NS))
        self.check(rig, ALWAYS)
        rig.writer.compact(START_NS + 30 * DAY_NS)
        rig.query.refresh()
        self.check(rig, ALWAYS)

    def check(self, rig: Rig, span: Span) -> None:
        """Compare every kind of question with the oracle."""
        some = rig.random.sample(IDS, 3)
        for ids in (some, IDS):
            for descending in (False, True):
                answer = rig.query.raw(ids, span, limit=100_000, descending=descending)
                assert rows_of(answer) == rig.oracle.raw(ids, span, descending=descending)
        assert rows_of(rig.query.latest(sorted(some))) == rig.oracle.latest(some)
        started = self.make_query(rig.hot)
        started.refresh()
        assert rows_of(started.latest(sorted(some))) == rig.oracle.latest(some)
        exported = [row for part in rig.query.export(some, span) for row in rows_of(part)]
        expected = rig.oracle.select(some, span)
        assert exported == sorted(expected, key=lambda row: (some.index(row[0]), row[1]))
        summary = {row["series_id"]: row for row in rig.query.summary(IDS).to_pylist()}
        for one in IDS:
            times = [row[1] for row in rig.oracle.select([one])]
            found = (summary[one]["first_ns"], summary[one]["last_ns"], summary[one]["count"])
            assert found == (min(times), max(times), len(times))

    @pytest.mark.parametrize("descending", [False, True])
    def test_api030_pages_join_into_the_whole(self, rig: Rig, *, descending: bool) -> None:
        for day in range(4):
            rig.commit(rig.random_rows(150, START_NS + day * DAY_NS, DAY_NS))
            if day < 3:
                rig.seal()
        rig.query.refresh()
        pages: list[Row] = []
        after = None
        while True:
            page = rows_of(rig.query.raw(IDS, ALWAYS, limit=37, descending=descending, after=after))
            if not page:
                break
            pages += page
            after = (page[-1][1], page[-1][0])
        assert pages == rig.oracle.raw(IDS, ALWAYS, descending=descending)

    @pytest.mark.parametrize(
        ("every", "start"),
        [
            (Every(7, "m"), datetime(2026, 3, 28, tzinfo=UTC)),
            (Every(6, "h"), datetime(2026, 3, 28, tzinfo=UTC)),
            (Every(1, "d", "Europe/Berlin"), datetime(2026, 3, 27, tzinfo=UTC)),
            (Every(1, "d", "Europe/Berlin"), datetime(2026, 10, 23, tzinfo=UTC)),
            (Every(1, "w", "America/New_York"), datetime(2026, 10, 26, tzinfo=UTC)),
            (Every(1, "d", "America/Sao_Paulo"), datetime(2018, 11, 2, tzinfo=UTC)),
            (Every(2, "d", "Asia/Kathmandu"), datetime(2026, 3, 27, tzinfo=UTC)),
            (Every(1, "d", "Africa/Cairo"), datetime(2026, 10, 28, tzinfo=UTC)),
        ],
    )
    def test_api032_windows_against_plain_python(
        self, rig: Rig, every: Every, start: datetime
    ) -> None:
        start_ns = int(start.timestamp()) * SECOND_NS
        for part in range(4):
            rig.commit(rig.random_rows(400, start_ns + part * DAY_NS, 2 * DAY_NS))
            if part < 3:
                rig.seal()
        rig.query.refresh()
        span = Span(start_ns + HOUR_NS, start_ns + 5 * DAY_NS)
        answer = rig.query.aggregate(IDS, span, every, AGGREGATES, limit=100_000)
        expected: dict[tuple[int, int], list[Row]] = defaultdict(list)
        for row in rig.oracle.select(IDS, span):
            expected[row[0], window_start_ns(row[1], every)].append(row)
        found = answer.to_pylist()
        assert [(row["series_id"], row["time_ns"]) for row in found] == sorted(expected)
        for row in found:
            wanted = aggregate(expected[row["series_id"], row["time_ns"]])
            for name in AGGREGATES:
                assert row[name] == pytest.approx(wanted[name], rel=1e-9, abs=1e-9), name

    @pytest.mark.parametrize(
        ("zone", "day", "hours"),
        [
            ("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC), 23),
            ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC), 25),
            ("America/St_Johns", datetime(2026, 3, 8, tzinfo=UTC), 23),
            ("Australia/Lord_Howe", datetime(2026, 4, 5, tzinfo=UTC), 24.5),
            ("Pacific/Apia", datetime(2011, 12, 29, tzinfo=UTC), 24),
        ],
    )
    def test_f33_the_day_on_which_clocks_change_has_its_own_length(
        self, rig: Rig, zone: str, day: datetime, hours: float
    ) -> None:
        """A reading every half hour falls on the day that a clock on the wall shows."""
        start_ns = int(day.timestamp()) * SECOND_NS - 2 * DAY_NS
        times = range(start_ns, start_ns + 5 * DAY_NS, HOUR_NS // 2)
        rig.commit([(1, time_ns, 1.0, 0, 1) for time_ns in times])
        rig.query.refresh()
        local, span = ZoneInfo(zone), Span(start_ns, start_ns + 5 * DAY_NS)
        shown = Counter(
            datetime.fromtimestamp(time_ns // SECOND_NS, local).date() for time_ns in times
        )
        found = rig.query.aggregate([1], span, Every(1, "d", zone), ["count"], limit=99).to_pylist()
        days = [datetime.fromtimestamp(row["time_ns"] // SECOND_NS, local) for row in found]
        assert {at.date(): row["count"] for at, row in zip(days, found, strict=True)} == shown
        assert shown[day.date()] == 2 * hours
        assert all(at.time() == datetime.min.time() for at in days)
        hourly = rig.query.aggregate([1], span, Every(1, "h", zone), ["count"], limit=999)
        assert hourly.column("count").to_pylist() == [2] * 120

    def test_api032_too_many_windows_are_refused(self, rig: Rig) -> None:
        rig.commit([(1, START_NS + n * SECOND_NS, 1.0, 0, 1) for n in range(11)])
        rig.query.refresh()
        answer = rig.query.aggregate([1], ALWAYS, Every(1, "s"), ["count"], limit=11)
        assert answer.num_rows == 11
        with pytest.raises(RejectError) as caught:
            rig.query.aggregate([1], ALWAYS, Every(1, "s"), ["count"], limit=10)
        assert caught.value.reason == "too_many_points"

    @pytest.mark.parametrize(
        ("every", "functions"),
        [
            (Every(0, "s"), ["mean"]),
            (Every(1, "y"), ["mean"]),
            (Every(1, "s"), ["value); drop table x"]),
        ],
    )
    def test_a20_what_does_not_exist_is_refused(
        self, rig: Rig, every: Every, functions: list[str]
    ) -> None:
        with pytest.raises(UsageError):
            rig.query.aggregate([1], ALWAYS, every, functions, limit=9)

    def test_retire_deletes_whole_days(self, rig: Rig) -> None:
        for day in range(3):
            rig.commit([(1, START_NS + day * DAY_NS + n * HOUR_NS, 1.0, 0, 1) for n in range(24)])
            rig.seal()
        before_ns = START_NS + 2 * DAY_NS + 5 * HOUR_NS
        assert rig.writer.retire(before_ns) == 2
        assert rig.writer.retire(before_ns) == 0
        rig.oracle.retire(START_NS + 2 * DAY_NS)
        rig.query.refresh()
        assert rows_of(rig.query.raw([1], ALWAYS, limit=99)) == rig.oracle.raw([1], ALWAYS)
        assert rig.writer.sealed_through() == 3

    def test_latest_is_newest_by_time_not_by_arrival(self, rig: Rig) -> None:
        rig.commit([(1, START_NS + HOUR_NS, 1.0, 0, 1)])
        rig.commit([(1, START_NS, 2.0, 0, 1), (5, START_NS, 5.0, 4, 2)])
        rig.query.refresh()
        assert rows_of(rig.query.latest([5, 1, 77])) == [
            (5, START_NS, 5.0, 4, 2),
            (1, START_NS + HOUR_NS, 1.0, 0, 1),
        ]
        rig.commit([(1, START_NS + HOUR_NS, 3.0, 0, 1)])
        rig.query.refresh()
        assert rows_of(rig.query.latest([1])) == [(1, START_NS + HOUR_NS, 3.0, 0, 1)]

    def test_another_writer_goes_on_where_the_first_stopped(self, rig: Rig) -> None:
        rig.writer.seal(table([(1, START_NS, 1.0, 0, 1)]), 5)
        again = self.make_writer()
        assert again.sealed_through() == 5
        again.seal(table([(1, START_NS, 2.0, 0, 1)]), 6)
        rig.query.refresh()
        assert rows_of(rig.query.raw([1], ALWAYS, limit=9)) == [(1, START_NS, 2.0, 0, 1)]


class SealedFilesContract(SeriesContract):
    """What holds besides where history is files that sealing adds to."""

    def test_d30_compaction_replaces_small_files(self, rig: Rig) -> None:
        for part in range(12):
            rig.commit(rig.random_rows(20, START_NS + part * HOUR_NS, HOUR_NS))
            rig.seal()
        assert rig.writer.compact(START_NS + 12 * HOUR_NS) == 12
        assert rig.writer.compact(START_NS + 12 * HOUR_NS) == 0
        rig.commit(rig.random_rows(20, START_NS + 20 * HOUR_NS, HOUR_NS))
        rig.seal()
        assert rig.writer.compact(START_NS + 21 * HOUR_NS) == 0
        assert rig.writer.compact(START_NS + 2 * DAY_NS) == 2
        rig.query.refresh()
        assert rows_of(rig.query.raw(IDS, ALWAYS, limit=999)) == rig.oracle.raw(IDS, ALWAYS)

    def test_d30_replaced_files_stay_for_a_minute(self, rig: Rig) -> None:
        for part in range(12):
            rig.commit(rig.random_rows(20, START_NS + part * HOUR_NS, HOUR_NS))
            rig.seal()
        rig.query.refresh()
        rig.writer.compact(START_NS + DAY_NS // 2)
        assert rig.writer.vacuum(START_NS) == 0
        assert rig.writer.vacuum(START_NS + 59 * SECOND_NS) == 0
        assert rows_of(rig.query.raw(IDS, ALWAYS, limit=999)) == rig.oracle.raw(IDS, ALWAYS)
        assert rig.writer.vacuum(START_NS + 60 * SECOND_NS) == 12
        rig.query.refresh()
        assert rows_of(rig.query.raw(IDS, ALWAYS, limit=999)) == rig.oracle.raw(IDS, ALWAYS)

    def test_latest_begins_with_its_source(self, rig: Rig) -> None:
        rig.commit([(1, START_NS, 1.0, 0, 1)])
        rig.seal()
        rig.commit([(2, START_NS, 2.0, 0, 1)])
        rig.seal()
        known = table([(1, START_NS, 1.0, 0, 1), (9, START_NS, 9.0, 0, 1)])
        marked = known.replace_schema_metadata({b"through_id": b"1"})
        query = self.make_query(rig.hot, lambda: marked)
        query.refresh()
        assert [row[0] for row in rows_of(query.latest())] == [1, 2, 9]


def window_start_ns(time_ns: int, every: Every) -> int:
    """Return the start of the window of an instant, by walking over midnights."""
    widths = {"s": SECOND_NS, "m": 60 * SECOND_NS, "h": HOUR_NS}
    if every.unit in widths:
        width = every.count * widths[every.unit]
        return time_ns // width * width
    zone = ZoneInfo(every.time_zone)
    days = every.count * (7 if every.unit == "w" else 1)
    anchor = date(1970, 1, 5 if every.unit == "w" else 1)
    day = datetime.fromtimestamp(time_ns // SECOND_NS, zone).date() + timedelta(days=1)
    while True:
        start = datetime.combine(day, time(), zone).astimezone(UTC)
        start_ns = int(start.timestamp()) * SECOND_NS
        if (day - anchor).days % days == 0 and start_ns <= time_ns:
            return start_ns
        day -= timedelta(days=1)
