"""Sealed history, written and asked, chosen by the scheme of `series.url`.

Source: architecture.md 3.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import pyarrow as pa

from millrace.adapters.series_delta import DeltaQuery, DeltaSeries
from millrace.ports.ledger import LatestPages
from millrace.ports.series import READING_SCHEMA, SeriesQuery, SeriesWriter
from millrace.record.latest import open_page
from millrace.settings import Settings
from millrace.wiring import places
from millrace.wiring.stores import open_store


@contextmanager
def open_writer(settings: Settings) -> Iterator[SeriesWriter]:
    """Open the writing end, for the thread that seals."""
    with closing(DeltaSeries(places.series_folder(settings))) as series:
        yield series


@contextmanager
def open_query(settings: Settings) -> Iterator[SeriesQuery]:
    """Open the queries over hot and sealed readings."""
    with open_store(settings) as store:
        hot = store.hot()
        query = DeltaQuery(
            places.series_folder(settings), hot, latest_source=lambda: latest_table(hot)
        )
        with closing(query):
            yield query


def latest_table(stored: LatestPages) -> pa.Table:
    """Return the stored latest values; the metadata says up to which hot batch they hold."""
    through_id, pages = stored.latest_pages()
    opened = [open_page(page) for page in pages]
    ids = np.concatenate([ids for ids, _ in opened] or [np.zeros(0, np.int64)])
    columns = {
        name: np.concatenate([rows[field] for _, rows in opened] or [np.zeros(0, kind)])
        for name, field, kind in (
            ("time_ns", "time_ns", np.int64),
            ("value", "value", np.float64),
            ("flags", "flags", np.int16),
            ("attr_id", "attr", np.int64),
        )
    }
    table = pa.table({"series_id": ids, **columns}, schema=READING_SCHEMA)
    return table.replace_schema_metadata({b"through_id": str(through_id).encode()})
