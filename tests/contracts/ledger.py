"""What `ports.ledger.Ledger` means; every adapter passes the same suite."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from millrace.errors import FencedError, StaleError
from millrace.flow.hot_frame import open_hot
from millrace.model.event import DeadLetter, Event
from millrace.model.series import SeriesKey
from millrace.model.work import (
    Advance,
    Discovered,
    Effects,
    EventRow,
    LatestPage,
    LatestPages,
    LetterRow,
    NewSeries,
    Readings,
    SequenceRow,
    SequenceShown,
    Snapshot,
    Tally,
)
from millrace.ports.ledger import HotReadings, Ledger, StoredHotReadings
from millrace.record.latest import LatestTable, open_page

NOW = 1_772_366_400_000_000_000


def readings(series: list[int], attr: list[int] | None = None) -> Readings:
    n = len(series)
    return Readings(
        series=np.array(series, np.int64),
        attr=np.array(attr if attr is not None else [-1] * n, np.int64),
        time_ns=np.arange(n, dtype=np.int64) + NOW,
        value=np.arange(n, dtype=np.float64),
        flags=np.zeros(n, np.int16),
        received_at_ns=np.full(n, NOW, np.int64),
        position=np.arange(n, dtype=np.int64),
    )


def effects(advance: Advance, *, version: int = 1, rows: Readings | None = None) -> Effects:
    return Effects(
        reader="process",
        stream="raw",
        advances=[advance],
        registry_version=version,
        now_ns=NOW,
        readings=rows if rows is not None else readings([]),
    )


def page_of(rows: list[tuple[int, int, float]]) -> LatestPage:
    """Return the first page, with rows of (series, time, value)."""
    table = LatestTable()
    named = readings([series for series, _, _ in rows])
    named.time_ns[:] = [time_ns for _, time_ns, _ in rows]
    named.value[:] = [value for _, _, value in rows]
    table.update(named)
    return table.dirty_pages()[0]


def pages_of(hot: HotReadings) -> list[LatestPage]:
    """Return the stored pages."""
    return cast("StoredHotReadings", hot).latest_pages()[1]


class LedgerContract:
    """Subclass with a fixture `open_ledger` that opens holders of one and the same ledger."""

    @pytest.fixture
    def ledger(self, open_ledger: Callable[[], Ledger]) -> Ledger:
        ledger = open_ledger()
        ledger.claim("process", "raw", [0, 1])
        return ledger

    @pytest.fixture
    def version(self, ledger: Ledger) -> int:
        """The registry version that the ledger starts with."""
        for version in range(1, 100):
            try:
                ledger.commit(effects(Advance(1, 0, 0), version=version))
            except StaleError:
                continue
            return version
        raise AssertionError("no registry version fits")

    def test_claim_starts_at_zero_and_resumes(
        self, open_ledger: Callable[[], Ledger], ledger: Ledger, version: int
    ) -> None:
        ledger.commit(effects(Advance(0, 0, 7), version=version))
        assert open_ledger().claim("process", "raw", [0, 1]).positions == {0: 7, 1: 0}

    def test_p5_earlier_holder_can_no_longer_commit(
        self, open_ledger: Callable[[], Ledger], ledger: Ledger, version: int
    ) -> None:
        taker = open_ledger()
        taker.claim("process", "raw", [0])
        with pytest.raises(FencedError):
            ledger.commit(effects(Advance(0, 0, 5), version=version))
        taker.commit(effects(Advance(0, 0, 5), version=version))

    def test_p5_a_partition_that_stands_is_fenced_as_well(
        self, open_ledger: Callable[[], Ledger], ledger: Ledger, version: int
    ) -> None:
        taker = open_ledger()
        taker.claim("process", "raw", [1])
        work = effects(Advance(0, 0, 5), version=version)
        work.advances.append(Advance(1, 0, 0))
        work.snapshot = Snapshot({0: 5, 1: 0})
        with pytest.raises(FencedError):
            ledger.commit(work)
        assert ledger.snapshot("process") == ({}, [])
        assert taker.claim("process", "raw", [0]).positions == {0: 0}

    def test_commit_from_another_position_is_fenced(self, ledger: Ledger, version: int) -> None:
        with pytest.raises(FencedError):
            ledger.commit(effects(Advance(0, 3, 5), version=version))

    def test_refused_commit_leaves_nothing(self, ledger: Ledger, version: int) -> None:
        bad = effects(Advance(0, 3, 5), version=version, rows=readings([-1]))
        bad.new_series = [NewSeries(SeriesKey("d", "m", ""), "V")]
        bad.new_attributes = ["{}"]
        with pytest.raises(FencedError):
            ledger.commit(bad)
        assert ledger.series(["d"]) == []
        assert self.hot(ledger).hot(0) == []

    def test_stale_registry_is_refused(self, ledger: Ledger, version: int) -> None:
        with pytest.raises(StaleError):
            ledger.commit(effects(Advance(0, 0, 1), version=version + 1))

    def test_new_series_and_attributes_get_ids(self, ledger: Ledger, version: int) -> None:
        key, other = SeriesKey("d", "m", ""), SeriesKey("d", "m", "x")
        first = effects(Advance(0, 0, 1), version=version, rows=readings([-1, -2], [-1, -1]))
        first.new_series = [NewSeries(key, "V"), NewSeries(other, None)]
        first.new_attributes = ['{"unit":"V"}']
        done = ledger.commit(first)
        assert dict(ledger.series(["d"])) == dict(zip([key, other], done.series_ids, strict=True))
        frame = open_hot(self.hot(ledger).hot(0)[0].frame).to_pydict()
        assert frame["series_id"] == done.series_ids
        assert frame["attr_id"] == [done.attr_ids[0]] * 2

    def test_ids_of_new_series_grow_in_the_order_given(self, ledger: Ledger, version: int) -> None:
        work = effects(Advance(0, 0, 1), version=version, rows=readings([-1]))
        work.new_attributes = ["{}"]
        keys = [SeriesKey("d", name, "") for name in ("voltage", "current", "amount", "Zone")]
        work.new_series = [NewSeries(key, None) for key in keys]
        done = ledger.commit(work)
        assert sorted(done.series_ids) == list(done.series_ids)
        assert dict(ledger.series(["d"])) == dict(zip(keys, done.series_ids, strict=True))

    def test_known_series_keeps_its_id(self, ledger: Ledger, version: int) -> None:
        ids = []
        for n in range(2):
            again = effects(Advance(0, n, n + 1), version=version, rows=readings([-1]))
            again.new_series = [NewSeries(SeriesKey("d", "m", ""), None)]
            again.new_attributes = ["{}"]
            ids.append(ledger.commit(again).series_ids)
        assert ids[0] == ids[1]

    def test_effects_are_not_changed_by_a_commit(self, ledger: Ledger, version: int) -> None:
        work = effects(Advance(0, 0, 1), version=version, rows=readings([-1]))
        work.new_series = [NewSeries(SeriesKey("d", "m", ""), None)]
        work.new_attributes = ["{}"]
        ledger.commit(work)
        assert work.readings.series.tolist() == [-1]

    def test_commit_ids_grow_with_readings_only(self, ledger: Ledger, version: int) -> None:
        first = ledger.commit(effects(Advance(0, 0, 1), version=version, rows=readings([1], [1])))
        idle = ledger.commit(effects(Advance(0, 1, 2), version=version))
        second = ledger.commit(effects(Advance(0, 2, 3), version=version, rows=readings([1], [1])))
        assert idle.commit_id == first.commit_id
        assert second.commit_id == first.commit_id + 1

    def test_letters_events_and_counts_are_taken(self, ledger: Ledger, version: int) -> None:
        work = effects(Advance(0, 0, 2), version=version)
        letter = DeadLetter("bad_value", "data.x", 3, "no number", 0)
        work.letters = [LetterRow(letter, "sensors", "d", 0, 1, NOW, "sensors/x/d", b"\xff")]
        work.events = [EventRow(Event("hello", "d", NOW, {"a": [1]}, 0, 0), "meter", 1, NOW)]
        work.counts = Counter({Tally("stored", "meter", "hello"): 1})
        ledger.commit(work)

    def test_discovery_is_a_registry_write(self, ledger: Ledger, version: int) -> None:
        work = effects(Advance(0, 0, 1), version=version)
        work.discovered = [Discovered("meter-9", "meter", NOW, 0)]
        assert ledger.commit(work).registry_version == version + 1

    def test_snapshot_comes_back(self, ledger: Ledger, version: int) -> None:
        assert ledger.snapshot("process") == ({}, [])
        first = effects(Advance(0, 0, 1), version=version)
        first.discovered = [Discovered("m1", "meter", NOW, 0)]
        work = effects(Advance(0, 1, 4), version=ledger.commit(first).registry_version)
        row = SequenceRow("m1", 3, 1, 4, 5, 6, NOW, b"packed")
        work.snapshot = Snapshot({0: 4, 1: 0}, [row])
        work.sequences = [SequenceShown("m1", 3, 1, 4, 5, 6, NOW, (1, 2))]
        ledger.commit(work)
        positions, rows = ledger.snapshot("process")
        assert positions == {0: 4, 1: 0}
        assert [replace(r, last_ts_ns=NOW) for r in rows] == [row]

    def test_snapshots_of_several_processes_are_put_together(
        self, ledger: Ledger, version: int
    ) -> None:
        ledger.claim("process", "raw", [0, 1])
        for partition, positions in ((0, {0: 4}), (1, {1: 7}), (0, {0: 9})):
            work = effects(Advance(partition, 0, 0), version=version)
            work.snapshot = Snapshot(positions)
            ledger.commit(work)
        assert ledger.snapshot("process") == ({0: 9, 1: 7}, [])

    def test_d27_the_pace_of_registration_comes_back_with_the_claim(
        self, open_ledger: Callable[[], Ledger], ledger: Ledger, version: int
    ) -> None:
        for n, paces in enumerate(({0: NOW}, {1: NOW + 5}, {}, {0: NOW + 9})):
            work = effects(Advance(0, n, n + 1), version=version)
            work.paces = paces
            ledger.commit(work)
        assert open_ledger().claim("process", "raw", [0, 1]).paces == {0: NOW + 9, 1: NOW + 5}
        assert open_ledger().claim("process", "raw", [1]).paces == {1: NOW + 5}

    def test_hot_batches_are_kept_until_latest_values_cover_them(
        self, ledger: Ledger, version: int
    ) -> None:
        hot = self.hot(ledger)
        done = [
            ledger.commit(effects(Advance(0, n, n + 1), version=version, rows=readings([1], [1])))
            for n in range(3)
        ]
        last = done[-1]
        assert hot.forget_hot(last.commit_id) == 0
        work = effects(Advance(0, 3, 4), version=version)
        work.latest = LatestPages(last.commit_id - 1, [LatestPage(0, b"page")], {0: 2})
        ledger.commit(work)
        assert hot.forget_hot(last.commit_id) == 2
        assert [batch.id for batch in hot.hot(0)] == [last.commit_id]

    def test_d21_pages_of_several_processes_are_put_together(
        self, open_ledger: Callable[[], Ledger], ledger: Ledger, version: int
    ) -> None:
        if not self.has_pages:
            pytest.skip("where readings are rows there are no pages")
        other = open_ledger()
        other.claim("process", "raw", [1])
        writers = ((ledger, 0, [(1, 9, 1.0), (2, 5, 2.0)]), (other, 1, [(1, 8, 7.0), (3, 5, 3.0)]))
        for writer, partition, rows in writers:
            work = effects(Advance(partition, 0, 1), version=version)
            work.latest = LatestPages(0, [page_of(rows)], {partition: 0})
            writer.commit(work)
        [page] = pages_of(self.hot(ledger))
        ids, held = open_page(page)
        found = zip(ids.tolist(), held["time_ns"].tolist(), held["value"].tolist(), strict=True)
        assert list(found) == [(1, 9, 1.0), (2, 5, 2.0), (3, 5, 3.0)]

    def test_d21_nothing_is_forgotten_that_one_of_several_has_not_covered(
        self, open_ledger: Callable[[], Ledger], ledger: Ledger, version: int
    ) -> None:
        if not self.has_pages:
            pytest.skip("where readings are rows there is nothing to cover")
        other, hot = open_ledger(), self.hot(ledger)
        other.claim("process", "raw", [1])
        other.commit(effects(Advance(1, 0, 1), version=version, rows=readings([1], [1])))
        ledger.commit(effects(Advance(0, 0, 1), version=version, rows=readings([2], [1])))
        done = ledger.commit(effects(Advance(0, 1, 2), version=version, rows=readings([2], [1])))
        idle = effects(Advance(0, 2, 2), version=version)
        idle.latest = LatestPages(done.commit_id, [page_of([(2, 5, 1.0)])], {0: 2})
        ledger.commit(idle)
        assert hot.forget_hot(done.commit_id) == 0
        said = effects(Advance(1, 1, 1), version=version)
        said.latest = LatestPages(1, [page_of([(1, 5, 1.0)])], {1: 1})
        other.commit(said)
        ledger.commit(idle)
        assert hot.forget_hot(done.commit_id) == 3

    has_pages = True

    def hot(self, ledger: Ledger) -> HotReadings:
        """Return the reading end of the ledger under test."""
        raise NotImplementedError
