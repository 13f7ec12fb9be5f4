"""The tables of registry and ledger in every database that they may be in, empty for each test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from millrace.schema.tables import Row, Tables
from millrace.store.sqlite import migrate as migrate_sqlite
from millrace.store.tables import open_tables
from millrace.store_postgres.layout import prepare_readings
from millrace.store_postgres.migrations import migrate as migrate_postgres
from millrace.store_postgres.session import Session
from millrace.store_postgres.tables import PostgresTables
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres

SYSTEMS = (
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.services),
    pytest.param("pgbouncer", marks=pytest.mark.services),
)


class Stored:
    """One migrated database; `open` gives the tables of another connection."""

    def __init__(self, system: str, place: str, opening: Callable[[], Tables]) -> None:
        self.system = system
        self.place = place
        self._opening = opening
        self._stack = ExitStack()
        self.tables = self.open()

    def open(self) -> Tables:
        """Return tables of their own; they are closed with the test."""
        return self._stack.enter_context(closing(self._opening()))

    def rows(self, query: str, /, **values: Any) -> list[Row]:
        """Run a query in a transaction of its own."""
        with self.tables.reading() as asked:
            return asked.rows(query, **values)

    def change(self, statement: str, /, **values: Any) -> int:
        """Run a statement in a transaction of its own."""
        with self.tables.writing() as changes:
            return changes.change(statement, **values)

    def insert(self, table: str, row: dict[str, Any]) -> None:
        """Insert one row; a number in it is counted on from."""
        marks = ", ".join(f":{name}" for name in row)
        with self.tables.writing() as changes:
            changes.change(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", **row)  # noqa: S608 - names of the test
            if "id" in row:
                changes.follow_numbers(table)

    def close(self) -> None:
        """End all connections."""
        self._stack.close()


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """Give a migrated database, which is quicker to copy than to migrate."""
    name = postgres.make_database()
    migrate_postgres(postgres.url(name))
    session = Session(postgres.url(name), name="test")
    with session.transaction() as db:
        prepare_readings(db)
    session.close()
    return name


@pytest.fixture
def migrated_url(postgres: Postgres, postgres_template: str) -> Iterator[str]:
    """Give the URL of a migrated database of the shared server."""
    name = postgres.make_database(template=postgres_template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(params=SYSTEMS)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    """Give a migrated database of each system."""
    system: str = request.param
    if system == "sqlite":
        path = tmp_path / "millrace.db"
        migrate_sqlite(path)
        found = Stored(system, str(path), lambda: open_tables(path, read_only=False))
    else:
        url: str = request.getfixturevalue("migrated_url")
        if system == "pgbouncer":
            pooler: PgBouncer = request.getfixturevalue("pgbouncer")
            url = pooler.url(url.rpartition("/")[2])
        found = Stored(system, url, lambda: PostgresTables(url, name="test"))
    yield found
    found.close()
