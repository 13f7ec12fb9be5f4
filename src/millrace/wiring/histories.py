"""Sealed history, written and asked, chosen by the scheme of `series.url`.

Source: architecture.md 3.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from millrace.adapters.series_delta import DeltaQuery, DeltaSeries
from millrace.adapters.series_delta.storage import Storage
from millrace.ports.ledger import LatestPages
from millrace.ports.series import READING_SCHEMA, SeriesQuery, SeriesWriter
from millrace.record.latest import open_page
from millrace.settings import Settings
from millrace.wiring.series_urls import check, has_rows, table_url
from millrace.wiring.stores import open_store
from millrace.wiring.urls import path_of, scheme_of


@contextmanager
def open_writer(settings: Settings) -> Iterator[SeriesWriter]:
    """Open the writing end, for the thread that seals."""
    if has_rows(settings):
        from millrace.adapters.series_postgres import PostgresSeries
        from millrace.wiring.stores_postgres import store_url

        with closing(PostgresSeries(store_url(settings))) as rows:
            yield rows
        return
    with closing(DeltaSeries(table_place(settings))) as series:
        yield series


@contextmanager
def open_query(settings: Settings) -> Iterator[SeriesQuery]:
    """Open the queries over hot and sealed readings."""
    if has_rows(settings):
        from millrace.adapters.series_postgres import PostgresQuery
        from millrace.wiring.stores_postgres import store_url

        with closing(PostgresQuery(store_url(settings))) as rows:
            yield rows
        return
    with open_store(settings) as store:
        hot = store.hot()
        query = DeltaQuery(table_place(settings), hot, latest_source=lambda: latest_table(hot))
        with closing(query):
            yield query


def table_place(settings: Settings) -> Path | Storage:
    """Return where the table of sealed history is.

    Raises:
        UsageError: The URL is wrong.
    """
    check(settings)
    url = table_url(settings)
    if scheme_of(url) == "delta":
        return path_of(url)
    from millrace.adapters.series_delta.bucket import BucketStorage
    from millrace.wiring.objects import s3_options

    return BucketStorage(
        s3_options(settings, "series.url", url),
        settings.data / "copies",
        copies_bytes=settings.series.copies_bytes,
    )


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
