"""An empty store for a test, on a real server."""

import psycopg

from millrace.schema.ddl import statements
from millrace.store_postgres.layout import prepare_readings


def prepared(url: str) -> None:
    """Make all tables in an empty database."""
    with psycopg.connect(url, autocommit=True) as db:
        for one in statements("postgresql"):
            db.execute(one.encode())
        prepare_readings(db)
