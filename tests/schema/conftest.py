from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from millrace.store.sqlite import migrate, open_store


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("schema") / "millrace.db"
    migrate(path)
    return path


@pytest.fixture
def db(migrated: Path) -> Iterator[apsw.Connection]:
    """The migrated database; what a test writes is rolled back."""
    connection = open_store(migrated)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.close()
