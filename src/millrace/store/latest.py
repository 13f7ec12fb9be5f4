"""The stored latest values, for the ledger and for those who read it."""

import apsw

from millrace.model.work import LatestPage
from millrace.store.questions import answers


def stored_latest(db: apsw.Connection) -> tuple[int, list[LatestPage]]:
    """Return the hot batch that the latest pages are complete to, and the pages."""
    rows = answers(db, "SELECT through_id, page, frame FROM latest_pages ORDER BY page")
    through_id = min((row[0] for row in rows), default=0)
    return through_id, [LatestPage(page, frame) for _, page, frame in rows]
