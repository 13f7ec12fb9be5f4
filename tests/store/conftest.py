from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from millrace.store.sqlite import migrate, open_store


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a migrated database, so that not every test migrates one."""
    path = tmp_path_factory.mktemp("template") / "millrace.db"
    migrate(path)
    db = open_store(path)
    db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    db.close()
    return path.read_bytes()


@pytest.fixture
def db(tmp_path: Path, template: bytes) -> Iterator[apsw.Connection]:
    path = tmp_path / "millrace.db"
    path.write_bytes(template)
    connection = open_store(path)
    yield connection
    connection.close()
