"""What the API has no route for yet, looked up where it is kept: dead letters and the archive."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

from millrace.flow.archive.reader import ArchiveReader
from millrace.ports.series import Span
from millrace.schema.tables import Tables
from millrace.settings import Settings
from millrace.store.tables import open_tables
from millrace.store_postgres.tables import PostgresTables
from millrace.wiring import places
from millrace.wiring.archives import open_archive

_EVER = Span(0, 1 << 62)


@contextmanager
def tables(settings: Settings) -> Iterator[Tables]:
    """Open the tables of registry and ledger, wherever they are."""
    url = str(settings.urls()["store"])
    if url.startswith("postgresql:"):
        opened: Tables = PostgresTables(url, name="conformance")
    else:
        opened = open_tables(places.store_path(settings), read_only=True)
    with closing(opened):
        yield opened


def letters(settings: Settings) -> Counter[tuple[str, str]]:
    """Count the dead letters by device and reason."""
    with tables(settings) as opened, opened.reading() as asked:
        rows = asked.rows("SELECT device_id, reason FROM dead_letters")
    return Counter((device, reason) for device, reason in rows)


def archived(settings: Settings, device: str) -> list[tuple[str, bytes]]:
    """Return topic and payload of the archived messages of a device, in order of receipt."""
    reader = ArchiveReader(open_archive(settings), settings.archive.layout)
    found = reader.messages(device, _EVER, descending=False)
    return [(message.topic, message.payload) for message in found]
