"""B6: bytes of a sealed reading, with its flags and attributes, in three shapes of data.

A day is sealed as `tend` does it, batch by batch in the order of arrival, and merged into day
files; what counts is every byte of the files that the table then names. PostgreSQL gets the same
rows by COPY into a table with the same columns and the key that an upsert needs; its size is that
of heap and key, and hardly depends on the shape.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.bench import Bench
from bench.checks import require
from bench.postgres import measured_postgres, size_of
from bench.report import at_least, at_most
from bench.shapes import SHAPES, day_of
from bench.sources import DAY_S, SECOND_NS, START_S
from millrace.adapters.series_delta.writer import DeltaSeries

AT_MOST = {"exact cadence": 1.5, "jittered": 3.2, "random doubles": 9}
TIMES_SMALLER = {"exact cadence": 60, "jittered": 30, "random doubles": 10}
SERIES = 250
BATCH_ROWS = 1_000_000


def run(bench: Bench) -> None:
    """Seal a day of each shape, and copy it into PostgreSQL where there is one."""
    count = bench.size(14_400, 720)
    rows_copied = SERIES * bench.size(4_000, 720)
    sealed = {}
    for shape in SHAPES:
        rows = day_of(shape, series=SERIES, count=count)
        sealed[shape] = _sealed_bytes(bench.folder(shape.replace(" ", "-")), rows) / len(rows)
        bench.row(f"{shape}, sealed", sealed[shape], "B/reading", at_most(AT_MOST[shape]))
    with measured_postgres() as postgres:
        if postgres is None:
            bench.row("PostgreSQL heap and key", None, note="PostgreSQL is not installed")
            return
        for shape in SHAPES:
            rows = day_of(shape, series=SERIES, count=count).slice(0, rows_copied)
            larger = size_of(postgres, rows) / len(rows)
            bench.detail(f"PostgreSQL, {shape}", larger)
            bar, note = at_least(TIMES_SMALLER[shape]), f"{larger:.1f} B/reading"
            bench.row(f"{shape}, PostgreSQL", larger / sealed[shape], "times", bar, note=note)


def _sealed_bytes(folder: Path, rows: pa.Table) -> int:
    """Return the size of the files that hold these readings once everything is merged."""
    later_ns = (START_S // DAY_S * DAY_S + 3 * DAY_S) * SECOND_NS
    series = DeltaSeries(folder, now_ns=lambda: later_ns)
    try:
        for number, start in enumerate(range(0, len(rows), BATCH_ROWS), 1):
            series.seal(rows.slice(start, BATCH_ROWS), number)
        while series.compact(later_ns):
            pass
        files = series.files()
    finally:
        series.close()
    require(sum(file.rows for file in files) == len(rows), "readings were lost while sealing")
    tables = [pq.read_table(folder / file.path) for file in files]
    total = sum(np.sum(table["value"].to_numpy()) for table in tables)
    wanted = np.sum(rows["value"].to_numpy())
    require(abs(total - wanted) <= 1e-9 * abs(wanted), f"the sum is {total}, not {wanted}")
    sizes = [(folder / file.path).stat().st_size for file in files]
    require(sum(sizes) == sum(file.size_bytes for file in files), "the table lies about its files")
    return sum(sizes)
