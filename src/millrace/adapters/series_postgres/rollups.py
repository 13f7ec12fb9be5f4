"""Roll-ups: what minutes, hours and days of each series hold, computed again where rows are new.

Who seals knows which readings are new; the minutes they fall in are computed from the readings, the
hours from the minutes, the days from the hours. So late and replaced readings are counted right,
and doing it twice changes nothing. A sum that leaves the range of doubles is NULL: it is added up
scaled by a power of two, which is exact.
Source: architecture.md 5, F2-141, F39.
"""

# ruff: noqa: S608 (statements are composed here, of fixed texts only)

from typing import Final, NamedTuple

import numpy as np

from millrace.adapters.series_postgres.statements import Connected, Stretch
from millrace.store_postgres.arrays import INSTANT, INT4, Array, Column
from millrace.store_postgres.layout import total

_SECOND_US: Final = 1_000_000
# A statement takes so many buckets; more of them would plan and lock for too long.
_MOST: Final = 50_000


class Level(NamedTuple):
    """One table of roll-ups. Units: `width_us` microseconds."""

    name: str
    source: str
    width_us: int


LEVELS: Final = (
    Level("readings_1m", "readings", 60 * _SECOND_US),
    Level("readings_1h", "readings_1m", 3600 * _SECOND_US),
    Level("readings_1d", "readings_1h", 86_400 * _SECOND_US),
)

_OF_READINGS: Final = f"""count(*), {total("s.value", "true")}, min(s.value), max(s.value),
    (array_agg(s.attr_id ORDER BY s.time DESC))[1]"""
_OF_ROLL_UPS: Final = f"""sum(s.count), {total("s.sum", "bool_and(s.sum IS NOT NULL)")},
    min(s.min), max(s.max), (array_agg(s.attr_id ORDER BY s.bucket DESC))[1]"""


def roll_up(db: Connected, series: Column, time_us: Column) -> None:
    """Compute the roll-ups again in which these readings fall, in the caller's transaction."""
    for level in LEVELS:
        buckets = np.unique(
            np.stack((series, np.floor_divide(time_us, level.width_us) * level.width_us)), axis=1
        )
        series, time_us = buckets
        for at in range(0, len(series), _MOST):
            part = slice(at, at + _MOST)
            _compute(db, level, series[part], time_us[part])


def _compute(db: Connected, level: Level, series: Column, time_us: Column) -> None:
    figures, instant = (
        (_OF_READINGS, "time") if level.source == "readings" else (_OF_ROLL_UPS, "bucket")
    )
    width = f"interval '{level.width_us // _SECOND_US} seconds'"
    values = {
        "series": Array(INT4, series),
        "buckets": Array(INSTANT, time_us),
        **Stretch(int(time_us.min()), int(time_us.max()) + level.width_us).values(),
    }
    db.execute(
        f"""INSERT INTO {level.name} (series_id, bucket, count, sum, min, max, attr_id)
        SELECT n.series_id, n.bucket, {figures}
        FROM unnest(%(series)s, %(buckets)s) AS n (series_id, bucket)
        JOIN {level.source} s ON s.series_id = n.series_id
            AND s.{instant} >= n.bucket AND s.{instant} < n.bucket + {width}
            AND s.{instant} >= %(start)s AND s.{instant} < %(stop)s
        GROUP BY 1, 2
        ON CONFLICT (series_id, bucket) DO UPDATE SET count = excluded.count, sum = excluded.sum,
            min = excluded.min, max = excluded.max, attr_id = excluded.attr_id""".encode(),
        values,
    )
