"""Copying to a store beside the history: from batch to batch, at least once, refused ones kept."""

from collections.abc import Sequence

import pytest

from millrace.adapters.sink_progress_sql import SqlSinkProgress
from millrace.errors import FencedError, RetryError
from millrace.ports.sink import Refused, SinkRows
from millrace.schema.tables import Tables
from millrace.tend.forward import Forwarder
from tests.contracts.hot_memory import SECOND_NS, START_NS, MemoryHot
from tests.servers.tables import Stored


class ListedSink:
    """A store that keeps what it was given, and may be away, or refuse a value."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str, float]] = []
        self.is_away = False
        self.refuses: float | None = None

    def write(self, rows: SinkRows) -> Sequence[Refused]:
        if self.is_away:
            raise RetryError("away")
        refused = []
        for row, (series, value) in enumerate(zip(rows.series, rows.value, strict=True)):
            name = rows.names[int(series)]
            if value == self.refuses:
                refused.append(Refused(row, "400 partial write"))
            else:
                unit = rows.attributes[int(rows.attr[row])]["unit"]
                self.written.append((name.device_id, unit, float(value)))
        return refused

    def close(self) -> None:
        pass


@pytest.fixture
def tables(stored: Stored) -> Tables:
    with stored.tables.writing() as changes:
        changes.change_all(
            "INSERT INTO series (series_id, device_id, metric, channel, created_at)"
            " VALUES (:id, :device, 'v', '', '')",
            [{"id": 1, "device": "m1"}, {"id": 2, "device": "m2"}],
        )
        changes.change(
            "INSERT INTO attributes (attr_id, body) VALUES (1, :body)", body='{"unit":"V"}'
        )
    return stored.tables


class Rig:
    def __init__(self, tables: Tables) -> None:
        self.hot, self.sink = MemoryHot(), ListedSink()
        self.progress = SqlSinkProgress(tables, reader="series:influx")
        self.forwarder = Forwarder(self.hot, self.progress, self.sink)

    def commit(self, *values: float) -> None:
        self.hot.commit(
            [(1 + n % 2, START_NS + n * SECOND_NS, value, 0, 1) for n, value in enumerate(values)]
        )


@pytest.fixture
def rig(tables: Tables) -> Rig:
    return Rig(tables)


def test_d28_what_is_committed_is_copied_once_while_nothing_fails(rig: Rig) -> None:
    rig.commit(1.0, 2.0)
    rig.commit(3.0)
    assert rig.forwarder.run_once(0) == 3
    assert rig.forwarder.run_once(0) == 0
    rig.commit(4.0)
    assert rig.forwarder.run_once(0) == 1
    assert [row[2] for row in rig.sink.written] == [1.0, 2.0, 3.0, 4.0]
    assert rig.sink.written[1] == ("m2", "V", 2.0)
    assert rig.progress.through() == 3


def test_d28_the_position_stays_while_the_store_is_away(rig: Rig) -> None:
    rig.commit(1.0)
    rig.sink.is_away = True
    with pytest.raises(RetryError):
        rig.forwarder.run_once(0)
    assert rig.progress.through() == 0
    rig.sink.is_away = False
    assert rig.forwarder.run_once(0) == 1


def test_mtr121_what_is_refused_is_a_dead_letter(rig: Rig, tables: Tables) -> None:
    rig.commit(1.0, 2.0, 3.0)
    rig.sink.refuses = 2.0
    assert rig.forwarder.run_once(0) == 2
    assert rig.progress.through() == 1
    with tables.reading() as asked:
        letters = asked.rows(
            "SELECT stream, element, reason, detail, device_id, status FROM dead_letters"
        )
    detail = "400 partial write"
    assert letters == [("series:influx", "v", "store_rejected", detail, "m2", "open")]


def test_p5_of_two_that_copy_one_moves_the_position(rig: Rig, tables: Tables) -> None:
    rig.commit(1.0)
    assert rig.forwarder.run_once(0) == 1
    with pytest.raises(FencedError):
        rig.progress.advance(0, 2, [])
    other = SqlSinkProgress(tables, reader="series:other")
    other.advance(0, 2, [])
    assert (rig.progress.through(), other.through()) == (1, 2)


def test_copying_goes_in_bounded_steps(rig: Rig) -> None:
    steps: list[int] = []
    forwarder = Forwarder(
        rig.hot, rig.progress, rig.sink, lambda: steps.append(rig.progress.through())
    )
    for _ in range(500):
        rig.commit(1.0)
    assert forwarder.run_once(0) == 500
    assert steps == [200, 400, 500]
