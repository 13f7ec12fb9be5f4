"""Readings of one day in three shapes: what sensors say, with ever less that repeats.

Every shape has 2 % flagged readings and two versions of attributes for each series.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.sources import DAY_S, SECOND_NS, START_S
from millrace.model.quality import RANGE
from millrace.ports.series import READING_SCHEMA

MICRO_NS: Final = 1000
Longs = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Random = np.random.Generator


def exact(rng: Random, series: int, count: int, step_ns: int) -> tuple[Longs, Doubles]:
    """Return instants at the exact cadence, and slow walks in hundredths."""
    return _instants(series, count, step_ns), _walks(rng, series, count)


def jittered(rng: Random, series: int, count: int, step_ns: int) -> tuple[Longs, Doubles]:
    """Return the same with a jitter of up to 1 ms, in microseconds."""
    jitter = rng.integers(0, 1_000, (series, count)) * MICRO_NS
    return _instants(series, count, step_ns) + jitter, _walks(rng, series, count)


def doubles(rng: Random, series: int, count: int, step_ns: int) -> tuple[Longs, Doubles]:
    """Return instants at the exact cadence, and values of which no two are the same."""
    return _instants(series, count, step_ns), rng.random((series, count))


SHAPES: Final[dict[str, Callable[[Random, int, int, int], tuple[Longs, Doubles]]]] = {
    "exact cadence": exact,
    "jittered": jittered,
    "random doubles": doubles,
}


def day_of(shape: str, *, series: int, count: int, seed: int = 1) -> pa.Table:
    """Return the readings of a day in the order in which they arrive: instant by instant."""
    rng = np.random.default_rng(seed)
    instants, values = SHAPES[shape](rng, series, count, DAY_S * SECOND_NS // count)
    ids = np.broadcast_to(np.arange(1, series + 1)[:, None], (series, count))
    flags = np.where(rng.random((series, count)) < 0.02, RANGE, 0)
    attributes = 2 * ids - (np.arange(count) < count // 2)
    columns = (ids, instants, values, flags.astype(np.int16), attributes)
    return pa.table([pa.array(one.T.ravel()) for one in columns], schema=READING_SCHEMA)


def _instants(series: int, count: int, step_ns: int) -> Longs:
    # Not all in the same second: each series has its own phase within a step.
    phases = (np.arange(series) % 10) * (step_ns // 10 // SECOND_NS * SECOND_NS)
    return (START_S // DAY_S * DAY_S) * SECOND_NS + phases[:, None] + np.arange(count) * step_ns


def _walks(rng: Random, series: int, count: int) -> Doubles:
    steps = np.rint(rng.normal(0.0, 1.5, (series, count)))
    return np.asarray((np.cumsum(steps, axis=1) + rng.integers(1500, 3000, (series, 1))) / 100.0)
