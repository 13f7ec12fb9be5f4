"""F8, F9, P2: files of the log that were cut short or have flipped bits."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader
from millrace.errors import StopError
from tests.faults.log_writer import PARTITIONS, append_some, check, read_all

NAMES = ("log.db", "log.db-wal", "MARKS")
Damage = Callable[[bytearray], object]


def image(folder: Path, to: Path) -> Path:
    """Copy the files as a crash at this moment would leave them."""
    to.mkdir()
    for name in NAMES:
        if (folder / name).exists():
            shutil.copy(folder / name, to / name)
    return to


def fill(folder: Path, appends: int = 12) -> SqliteLog:
    """Return an open log whose last messages are in the write-ahead log only."""
    log = SqliteLog(folder, partitions=PARTITIONS, wal_limit_bytes=1 << 30)
    rng = random.Random(3)
    for _ in range(appends):
        append_some(log, rng)
    return log


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log") / "rest"
    fill(folder, appends=40).close()
    return folder


def damaged(source: Path, target: Path, name: str, damage: Damage) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    image(source, target)
    content = bytearray((source / name).read_bytes())
    damage(content)
    (target / name).write_bytes(content)
    return target


def cut_at(size: int) -> Damage:
    return lambda content: content.__delitem__(slice(size, None))


def flip_at(at: int) -> Damage:
    return lambda content: content.__setitem__(at, content[at] ^ 1 << at % 8)


def outcome(folder: Path) -> int | None:
    """Return how many messages cannot be read, None when the log refuses to open."""
    try:
        reader = SqliteLogReader(folder)
    except StopError:
        return None
    try:
        missing = read_all(reader, may_be_damaged=True)
        reader.notes(b"")
    except StopError:
        return None
    finally:
        reader.close()
    return missing


def test_f8_a_torn_append_that_nobody_was_told_of(tmp_path: Path) -> None:
    log = fill(tmp_path / "log")
    before = image(tmp_path / "log", tmp_path / "before")
    acknowledged = [extent.end for extent in log.extents()]
    append_some(log, random.Random(4))
    after = image(tmp_path / "log", tmp_path / "after")
    stored = [extent.end for extent in log.extents()]
    log.close()
    shutil.copy(before / "MARKS", after / "MARKS")
    whole = (after / "log.db-wal").stat().st_size
    kept = (before / "log.db-wal").stat().st_size
    for size in (*range(kept, whole, 509), whole - 1, whole):
        torn = damaged(after, tmp_path / "torn", "log.db-wal", cut_at(size))
        assert check(torn, acknowledged) == (stored if size == whole else acknowledged)


@pytest.mark.parametrize("name", ["log.db", "log.db-wal"])
def test_f8_losing_what_was_acknowledged_is_refused(tmp_path: Path, name: str) -> None:
    log = fill(tmp_path / "log")
    acknowledged = [extent.end for extent in log.extents()]
    source = image(tmp_path / "log", tmp_path / "source")
    log.close()
    whole = (source / name).stat().st_size
    refused = 0
    for size in range(0, whole, max(1, whole // 60)):
        torn = damaged(source, tmp_path / "torn", name, cut_at(size))
        try:
            assert check(torn, acknowledged) == acknowledged
        except StopError:
            refused += 1
    # What the write-ahead log holds as well is not missed in the other file.
    assert refused > (30 if name == "log.db-wal" else 0)


def test_f8_a_file_at_rest_that_was_cut_short(at_rest: Path, tmp_path: Path) -> None:
    whole = (at_rest / "log.db").stat().st_size
    for size in range(0, whole, 4001):
        cut = damaged(at_rest, tmp_path / "cut", "log.db", cut_at(size))
        assert outcome(cut) != 0


def test_f9_p2_flipped_bits_at_rest(at_rest: Path, tmp_path: Path) -> None:
    rng = random.Random(9)
    size = (at_rest / "log.db").stat().st_size
    total = 0
    readable = 0
    for at in range(rng.randrange(97), size, 97 * 7):
        flipped = damaged(at_rest, tmp_path / "flip", "log.db", flip_at(at))
        missing = outcome(flipped)
        total += 1
        readable += missing is not None
    assert readable > total // 2


def test_f9_p2_flipped_bits_in_the_write_ahead_log(tmp_path: Path) -> None:
    log = fill(tmp_path / "log")
    acknowledged = [extent.end for extent in log.extents()]
    source = image(tmp_path / "log", tmp_path / "source")
    log.close()
    size = (source / "log.db-wal").stat().st_size
    refused = 0
    for at in range(5, size, 97 * 19):
        flipped = damaged(source, tmp_path / "flip", "log.db-wal", flip_at(at))
        try:
            assert check(flipped, acknowledged) == acknowledged
        except StopError:
            refused += 1
    assert refused


def test_f9_the_evidence_of_a_refused_log_stays(tmp_path: Path) -> None:
    log = fill(tmp_path / "log")
    source = image(tmp_path / "log", tmp_path / "source")
    log.close()
    flipped = damaged(source, tmp_path / "flip", "log.db-wal", flip_at(40_000))
    before = (flipped / "log.db-wal").read_bytes()
    for _ in range(2):
        with pytest.raises(StopError, match="has lost the acknowledged messages"):
            SqliteLog(flipped, partitions=PARTITIONS)
        with pytest.raises(StopError, match="has lost the acknowledged messages"):
            SqliteLogReader(flipped)
        assert (flipped / "log.db-wal").read_bytes() == before


def test_f8_a_log_without_its_file_is_refused(at_rest: Path, tmp_path: Path) -> None:
    for content in (None, b""):
        folder = image(at_rest, tmp_path / f"gone-{content!r}")
        (folder / "log.db").unlink()
        if content is not None:
            (folder / "log.db").write_bytes(content)
        with pytest.raises(StopError, match="gone or empty"):
            SqliteLogReader(folder)
        with pytest.raises(StopError, match="has lost the acknowledged messages"):
            SqliteLog(folder, partitions=PARTITIONS)


def test_f9_unreadable_marks_only_say_nothing(at_rest: Path, tmp_path: Path) -> None:
    for at in range((at_rest / "MARKS").stat().st_size):
        assert outcome(damaged(at_rest, tmp_path / "m", "MARKS", flip_at(at))) == 0


def test_f9_damage_is_named_and_what_follows_stays_readable(at_rest: Path, tmp_path: Path) -> None:
    whole = SqliteLogReader(at_rest)
    second = whole.read(1, 0, 1)
    assert second is not None
    first = second.next_offset
    broken = whole.read(1, first, 1)
    assert broken is not None
    last = broken.next_offset - 1
    whole.close()

    def spoil(content: bytearray) -> None:
        at = content.find(b"MRFR\x01\x01\x01\x00")
        while at >= 0:  # pages may hold older copies, too
            if int.from_bytes(content[at + 12 : at + 20], "little") == first:
                content[at + 60] ^= 4
            at = content.find(b"MRFR\x01\x01\x01\x00", at + 1)

    reader = SqliteLogReader(damaged(at_rest, tmp_path / "spoilt", "log.db", spoil))
    prefix = reader.read(1, 0, 1000)
    assert prefix is not None
    assert prefix.next_offset == first
    for offset in (first, last):
        with pytest.raises(StopError, match=f"partition 1, offsets {first} to {last}: ") as caught:
            reader.read(1, offset, 1000)
        assert caught.value.remedy
    assert reader.next_readable(1, first) == last + 1
    assert read_all(reader, may_be_damaged=True) == last + 1 - first
    reader.close()


def test_f9_a_missing_batch_is_not_passed_over(at_rest: Path, tmp_path: Path) -> None:
    holed = image(at_rest, tmp_path / "holed")
    log = SqliteLog(holed, partitions=PARTITIONS)
    first, following = [
        row[0] for row in log._connection.execute("SELECT position FROM batches LIMIT 2 OFFSET 3")
    ]
    log._connection.execute("DELETE FROM batches WHERE position = ?", (first,))
    reader = SqliteLogReader(holed)
    with pytest.raises(StopError, match=f"offsets {first} to {following - 1}: they are missing"):
        reader.read(0, first, 10)
    prefix = reader.read(0, 0, 10_000)
    assert prefix is not None
    assert prefix.next_offset == first
    assert reader.next_readable(0, first) == following
    reader.close()
    log.close()


def test_f9_a_damaged_note_is_not_believed(at_rest: Path, tmp_path: Path) -> None:
    noted = image(at_rest, tmp_path / "noted")
    log = SqliteLog(noted, partitions=PARTITIONS)
    log._connection.execute("UPDATE notes SET value = CAST(value || x'00' AS BLOB)")
    reader = SqliteLogReader(noted)
    for end in (log, reader):
        with pytest.raises(StopError, match="note with key 656e6473"):
            end.notes(b"")
    reader.close()
    log.close()
