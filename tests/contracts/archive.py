"""What `ports.archive.Archive` means: every adapter of the archive passes these."""

from abc import abstractmethod

import pytest

from millrace.errors import NotFoundError
from millrace.ports.archive import Archive

KEYS = [
    "%2E%2E/telemetry/2026-03-01/a.jsonl.zst",
    "category=telemetry/date=2026-03-01/hour=12/part-0-1-9.parquet",
    "dev-1/telemetry/2026-03-01T12-00-00.416368-1.json",
    "dev-1/telemetry/2026-03-01T12-00-00.416368.json",
    "dev/hello/x.json",
    "dev/telemetry/x.json",
    "dev%2F/x",
    "manifest=1/partition=0000/x",
]


class ArchiveContract:
    """Subclass it, and give `make_archive`."""

    @abstractmethod
    def make_archive(self) -> Archive:
        """Return an empty archive."""

    @pytest.fixture
    def archive(self) -> Archive:
        return self.make_archive()

    def test_what_is_put_is_got(self, archive: Archive) -> None:
        for key in KEYS:
            archive.put(key, key.encode() + b"\0\xff")
        for key in KEYS:
            assert archive.get(key) == key.encode() + b"\0\xff"
        archive.put(KEYS[0], b"")
        assert archive.get(KEYS[0]) == b""

    def test_f31_putting_again_changes_nothing(self, archive: Archive) -> None:
        archive.put("a/b", b"same")
        archive.put("a/b", b"same")
        assert [(one.key, one.size) for one in archive.list("")] == [("a/b", 4)]

    def test_a_missing_object_is_said_to_be_missing(self, archive: Archive) -> None:
        archive.put("a/b", b"x")
        for key in ("a/c", "a", "a/b/c", "z"):
            with pytest.raises(NotFoundError):
                archive.get(key)
        archive.delete("a/c")

    def test_keys_are_listed_in_order(self, archive: Archive) -> None:
        for key in reversed(KEYS):
            archive.put(key, b"x")
        assert [one.key for one in archive.list("")] == sorted(KEYS)
        for prefix in ("dev/", "dev", "dev-1/telemetry/2026-03-01T12", "manifest=1/", "no/", "x"):
            expected = sorted(key for key in KEYS if key.startswith(prefix))
            assert [one.key for one in archive.list(prefix)] == expected, prefix

    def test_listing_goes_on_behind_a_key(self, archive: Archive) -> None:
        for key in KEYS:
            archive.put(key, b"x")
        found: list[str] = []
        while page := [one.key for one in archive.list("", found[-1] if found else "", 3)]:
            found += page
        assert found == sorted(KEYS)
        behind = [one.key for one in archive.list("dev/", "dev/hello/x.json")]
        assert behind == ["dev/telemetry/x.json"]

    def test_deleted_is_gone(self, archive: Archive) -> None:
        for key in KEYS:
            archive.put(key, b"x")
        for key in KEYS[1:]:
            archive.delete(key)
        assert [one.key for one in archive.list("")] == KEYS[:1]
