"""All readings of many series, page by page, each page a short transaction of its own.

Nothing is held while the reader of an export takes his time. Series that have little come many at
a time; one that fills a page comes alone, and goes on behind the last reading it has given. So no
reading comes twice, and what is committed meanwhile is in where the export has not been yet.
Source: API-033; P10.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from millrace.adapters.series_postgres.statements import (
    EXPORT,
    Stretch,
    ask_readings,
    id_array,
    instant,
    starts_of,
)
from millrace.store_postgres.session import Sessions

PAGE_ROWS: Final = 65_536
MOST_SERIES: Final = 256


def export_pages(
    sessions: Sessions, series_ids: Sequence[int], stretch: Stretch
) -> Iterator[pa.RecordBatch]:
    """Yield readings ordered by (place of the id, time). Shape: at most `PAGE_ROWS` a batch."""
    left = [one for one in dict.fromkeys(map(int, series_ids)) if 0 <= one < 1 << 31]
    resume_us, count = stretch.start_us, 16
    while left:
        group = left[:count]
        starts = [resume_us, *[stretch.start_us] * (len(group) - 1)]
        values: dict[str, Any] = {
            "ids": id_array(group),
            "starts": starts_of(starts),
            "start": instant(min(starts)),
            "stop": instant(stretch.stop_us),
            "limit": PAGE_ROWS,
        }
        with sessions.transaction() as db:
            page = ask_readings(db, EXPORT, values)
        yield from page.to_batches()
        if len(page) < PAGE_ROWS:
            left, resume_us = left[len(group) :], stretch.start_us
            count = min(2 * count, MOST_SERIES)
        else:
            last = page.slice(len(page) - 1).to_pylist()[0]
            left = left[group.index(last["series_id"]) :]
            resume_us, count = last["time_ns"] // 1000 + 1, max(1, count // 4)
