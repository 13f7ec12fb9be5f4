"""What history in a bucket costs, a first question and later ones; and lines for InfluxDB.

`python -m bench.buckets`: moto's S3 and VictoriaMetrics on this machine. 30 days of 200 series, a
reading every 30 s (17 M readings), one file a day; then one series over the whole month.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.checks import require
from millrace.adapters.series_delta import DeltaQuery, DeltaSeries
from millrace.adapters.series_delta.bucket import BucketStorage
from millrace.adapters.series_influx import InfluxOptions, InfluxSeries
from millrace.ports.series import READING_SCHEMA, Span
from millrace.ports.sink import SeriesName, SinkRows
from tests.contracts.hot_memory import DAY_NS, START_NS, MemoryHot
from tests.servers.s3 import running_moto
from tests.servers.victoria import running_victoria

DAYS = 30
SERIES = 200
EVERY_S = 30
LINES = 200_000


def day(number: int) -> pa.Table:
    """Return the readings of one day."""
    each = 86_400 // EVERY_S
    ids = np.tile(np.arange(1, SERIES + 1), each)
    times = START_NS + number * DAY_NS + np.repeat(np.arange(each), SERIES) * EVERY_S * 10**9
    values = np.round(np.random.default_rng(number).normal(20, 3, len(ids)), 1)
    columns = [ids, times, values, np.zeros(len(ids), np.int16), ids % 7 + 1]
    return pa.table(columns, schema=READING_SCHEMA)


def timed(step: Callable[[], object]) -> float:
    """Return the milliseconds of a step."""
    started = time.perf_counter()
    step()
    return (time.perf_counter() - started) * 1000


def ask(place: Path | BucketStorage) -> tuple[float, float]:
    """Return the milliseconds of the first question and of those after it."""
    query = DeltaQuery(place, MemoryHot())
    span = Span(START_NS, START_NS + DAYS * DAY_NS)

    def month() -> None:
        rows = query.raw([7], span, limit=1_000_000)
        require(rows.num_rows == DAYS * 86_400 // EVERY_S, "a reading is missing")

    with closing(query):
        query.refresh()
        return timed(month), statistics.median(timed(month) for _ in range(9))


def history(folder: Path) -> None:
    """Seal a month into a folder and a bucket, and ask both."""
    with running_moto(folder / "s3") as server:
        written = BucketStorage(server.options(), folder / "written")
        with closing(DeltaSeries(folder / "local")) as local, closing(DeltaSeries(written)) as far:
            for number in range(DAYS):
                local.seal(day(number), number + 1)
                far.seal(day(number), number + 1)
            size_mb = sum(file.size_bytes for file in far.files()) / 1e6
        print(f"a month of {DAYS * SERIES * 86_400 // EVERY_S:,} readings, {size_mb:.0f} MB")
        for name, place in (
            ("local", folder / "local"),
            ("bucket", BucketStorage(server.options(), folder / "read")),
        ):
            first, again = ask(place)
            print(f"{name}: one series, the whole month: first {first:.0f} ms, then {again:.0f} ms")


def lines(folder: Path) -> None:
    """Write lines to a server."""
    numbers = np.arange(LINES, dtype=np.int64)
    ids = numbers % 1000 + 1
    rows = SinkRows(
        ids, np.ones(LINES, np.int64), START_NS + numbers // 1000 * 10**9,
        np.round(numbers / 7, 2), numbers, numbers,
        {n: SeriesName(f"meter-{n}", "voltage_dc", "") for n in range(1, 1001)}, {1: {"unit": "V"}},
    )  # fmt: skip
    with running_victoria(folder) as server:
        with closing(InfluxSeries(InfluxOptions(server.url))) as sink:
            taken_ms = timed(lambda: sink.write(rows))
        require(len(server.samples("iot_telemetry_value")) == LINES, "a line is missing")
    print(f"InfluxDB: {LINES / taken_ms * 1000:,.0f} lines a second")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        history(Path(name))
        lines(Path(name))
