"""The adapter of docs/howto/add-a-store.md passes the contract of its port."""

from pathlib import Path

import pytest

from examples.store_sqlite.archive_sqlite import SqliteArchive
from millrace.errors import StopError
from millrace.ports.archive import Archive
from tests.architecture.documents import ROOT, blocks
from tests.contracts.archive import ArchiveContract


class TestSqliteArchive(ArchiveContract):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "archive" / "objects.db"

    def make_archive(self) -> Archive:
        return SqliteArchive(self.path)

    def test_what_was_put_is_there_after_a_restart(self) -> None:
        archive = SqliteArchive(self.path)
        archive.put("a/b", b"x")
        archive.close()
        assert SqliteArchive(self.path).get("a/b") == b"x"

    def test_a_file_that_is_no_database_stops(self) -> None:
        self.path.parent.mkdir()
        self.path.write_bytes(b"no database, and longer than a header of SQLite would be" * 40)
        with pytest.raises(StopError):
            SqliteArchive(self.path)


def test_the_document_shows_this_adapter() -> None:
    shown, test = blocks(ROOT / "docs" / "howto" / "add-a-store.md", "python")[:2]
    assert shown.text == (ROOT / "examples" / "store_sqlite" / "archive_sqlite.py").read_text()
    assert "ArchiveContract" in test.text
