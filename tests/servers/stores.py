"""The tables of a store in an empty database of a real server."""

from contextlib import closing

from millrace.store_postgres.layout import prepare_readings
from millrace.store_postgres.migrations import migrate
from millrace.store_postgres.session import Session


def prepared(url: str) -> str:
    """Make all tables in an empty database; return its URL."""
    migrate(url)
    with closing(Session(url, name="test")) as session, session.transaction() as db:
        prepare_readings(db)
    return url
