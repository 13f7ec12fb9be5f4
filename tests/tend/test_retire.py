"""What retention removes, and what it leaves alone (MTR-137)."""

import pytest

from millrace.adapters.archive_memory import MemoryArchive
from millrace.errors import GoneError
from millrace.flow.archive import LAYOUTS, ArchivedMessage, ArchiveReader
from millrace.flow.archive.manifest import encode, list_objects
from millrace.tend.retire import Retention, retire_archive
from tests.contracts.hot_memory import DAY_NS, START_NS

DAY_S = 86_400


def filled(layout: str) -> MemoryArchive:
    """An archive with a message of each of ten days in each of two categories."""
    archive = MemoryArchive()
    for day in range(10):
        messages = [
            ArchivedMessage(
                "m", category, START_NS + day * DAY_NS, f"m/{category}", 1, retain=False,
                partition=0, offset=2 * day + place, payload=b"x",
            )
            for place, category in enumerate(("telemetry", "hello"))
        ]  # fmt: skip
        written = list(LAYOUTS[layout].pack(messages, 1000))
        for one in written:
            archive.put(one.key, one.body)
        manifest = list_objects((0, 2 * day, 2 * day + 1), layout, written)
        archive.put(manifest.key, encode(manifest))
    return archive


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_mtr137_categories_have_their_own_retention(layout: str) -> None:
    archive = filled(layout)
    now_ns = START_NS + 10 * DAY_NS
    assert retire_archive(archive, layout, Retention(), now_ns) == 0
    kept = Retention(archive_s=3 * DAY_S, categories={"hello": None})
    assert retire_archive(archive, layout, kept, now_ns) == 7
    names = [one.key for one in archive.list("")]
    assert sum("telemetry" in name for name in names) == 3
    assert sum("hello" in name for name in names) == 10
    assert sum(name.startswith("manifest=") for name in names) == 10
    with pytest.raises(GoneError):
        ArchiveReader(archive, layout).at(0, 0)
    assert ArchiveReader(archive, layout).at(0, 1).category == "hello"


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_mtr137_manifests_go_with_the_last_object_they_name(layout: str) -> None:
    archive = filled(layout)
    assert retire_archive(archive, layout, Retention(archive_s=3 * DAY_S), START_NS + 10 * DAY_NS)
    names = [one.key for one in archive.list("")]
    assert sum(name.startswith("manifest=") for name in names) == 3
    with pytest.raises(GoneError):
        ArchiveReader(archive, layout).at(0, 0)
