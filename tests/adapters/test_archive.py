"""The archives: memory, plain files, and an object store."""

from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from millrace.adapters.archive_file import FileArchive
from millrace.adapters.archive_memory import MemoryArchive
from millrace.adapters.archive_object import ObjectArchive
from millrace.errors import RetryError, StopError
from millrace.ports.archive import Archive
from tests.contracts.archive import ArchiveContract


class TestMemoryArchive(ArchiveContract):
    def make_archive(self) -> Archive:
        return MemoryArchive()


class TestObjectArchive(ArchiveContract):
    def make_archive(self) -> Archive:
        return ObjectArchive(MemoryStore())


class TestFileArchive(ArchiveContract):
    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path / "archive"

    def make_archive(self) -> Archive:
        return FileArchive(self.root)

    @pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/x", "a//b", "a/\0", "", "~x", "."])
    def test_a22_a_key_never_leaves_the_folder(self, key: str) -> None:
        archive = FileArchive(self.root)
        with pytest.raises(StopError):
            archive.put(key, b"x")
        with pytest.raises(StopError):
            archive.get(key)

    def test_f3_an_unfinished_object_is_not_listed(self) -> None:
        archive = FileArchive(self.root)
        archive.put("a/b", b"whole")
        (self.root / "a" / "~c").write_bytes(b"ha")
        assert [one.key for one in archive.list("")] == ["a/b"]

    def test_f12_no_folder_to_write_to_is_a_reason_to_retry(self) -> None:
        self.root.parent.mkdir(exist_ok=True)
        self.root.write_bytes(b"a file where the folder should be")
        with pytest.raises(RetryError):
            FileArchive(self.root).put("a/b", b"x")


def test_f30_a_store_that_refuses_is_a_reason_to_retry(tmp_path: Path) -> None:
    archive = ObjectArchive(LocalStore(tmp_path))
    (tmp_path / "a").write_bytes(b"a file where the folder should be")
    with pytest.raises(RetryError):
        archive.put("a/b", b"x")
