"""A month of sealed history: 5,000 rail meters, 10,000 series, as `tend` would have left it.

It is written by the writer of the product, one sealed batch a day; the ledger knows the series,
the newest value of each, and that these batches are sealed. It is built once a run.
"""

from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from bench.bench import Bench
from bench.fleet import AT_NS, add_meters
from bench.sources import DAY_S, SECOND_NS, START_S
from bench.stack import Stack
from millrace.adapters.ledger_sqlite import SqliteLedger
from millrace.adapters.series_delta import DeltaSeries
from millrace.model.series import SeriesKey
from millrace.model.work import Committed, Effects, LatestPages, NewSeries, Readings
from millrace.ports.series import READING_SCHEMA
from millrace.record.latest import LatestTable
from millrace.settings import Settings
from millrace.store.sqlite import open_store
from millrace.store.transaction import transaction
from millrace.wiring.histories import table_place
from millrace.wiring.places import store_path

METERS: Final = 5_000
METRICS: Final = {"voltage_dc": "V", "current_dc": "A"}
SERIES: Final = METERS * len(METRICS)
DAYS: Final = 30
FIRST_DAY_S: Final = START_S // DAY_S * DAY_S - DAYS * DAY_S


def meter_id(number: int) -> str:
    """Return the id of a meter; the same as in the load."""
    return f"bench-meter-{number:05d}"


def readings_a_day(bench: Bench) -> int:
    """Return how many readings of each series a day has: 100 M in all, 5 M when quick."""
    return bench.size(334, 17)


def stack_with_history(bench: Bench, name: str) -> Stack:
    """Return a stack that has the history; the readings of an earlier case may have joined it."""
    folder = bench.shared / "history"
    is_there = folder.exists()
    folder.mkdir(exist_ok=True)
    stack = Stack(folder)
    if not is_there:
        _build(stack.settings, readings_a_day(bench))
    bench.detail("history", f"{SERIES * DAYS * readings_a_day(bench):,} readings, for {name}")
    return stack


def _build(settings: Settings, count: int) -> None:
    add_meters(settings, METERS)
    path = store_path(settings)
    with closing(SqliteLedger(path)) as ledger:
        known = ledger.commit(_new_series(_registry_version(path)))
        newest = _write_days(settings, known, count)
        _count_batches(path)
        table = LatestTable()
        table.update(newest)
        effects = _effects(known.registry_version)
        effects.latest = LatestPages(DAYS, table.dirty_pages())
        ledger.commit(effects)


def _new_series(version: int) -> Effects:
    effects = _effects(version)
    effects.new_series = [
        NewSeries(SeriesKey(meter_id(number), metric, ""), unit)
        for number in range(METERS)
        for metric, unit in METRICS.items()
    ]
    effects.new_attributes = [f'{{"unit":"{unit}"}}' for unit in METRICS.values()]
    return effects


def _effects(version: int) -> Effects:
    none = np.zeros(0, np.int64)
    nothing = Readings(none, none, none, np.zeros(0), np.zeros(0, np.int16), none, none)
    return Effects("bench", "bench", [], version, AT_NS, nothing)


def _write_days(settings: Settings, known: Committed, count: int) -> Readings:
    """Seal day after day; return the newest reading of each series."""
    rng = np.random.default_rng(7)
    ids = np.repeat(np.asarray(known.series_ids, np.int64), count)
    attributes = np.repeat(np.tile(np.asarray(known.attr_ids, np.int64), METERS), count)
    flags = np.zeros(len(ids), np.int16)
    step_ns = DAY_S * SECOND_NS // count
    # Every series has its own phase, in seconds.
    phases = rng.integers(0, step_ns // SECOND_NS, SERIES) * SECOND_NS
    offsets = (phases[:, None] + np.arange(count) * step_ns).ravel()
    values = np.zeros(0)
    instants = np.zeros(0, np.int64)
    with closing(DeltaSeries(table_place(settings))) as series:
        for day in range(DAYS):
            steps = rng.integers(-3, 4, (SERIES, count)) / 10
            values = (np.cumsum(steps, axis=1) + 700.0).ravel()
            instants = (FIRST_DAY_S + day * DAY_S) * SECOND_NS + offsets
            columns = (ids, instants, values, flags, attributes)
            rows = pa.table([pa.array(one) for one in columns], schema=READING_SCHEMA)
            series.seal(rows, day + 1)
    last = np.arange(count - 1, len(ids), count)
    zeros = np.zeros(SERIES, np.int64)
    return Readings(
        ids[last], attributes[last], instants[last], values[last], flags[last], zeros, zeros
    )


def _registry_version(path: Path) -> int:
    with closing(open_store(path, read_only=True)) as db:
        row = db.execute("SELECT version FROM registry_version").fetchall()[0]
        return int(str(row[0]))


def _count_batches(path: Path) -> None:
    """Let the next hot batch come behind those that are sealed."""
    with closing(open_store(path)) as db, transaction(db):
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('hot_batches', ?)", (DAYS,))
