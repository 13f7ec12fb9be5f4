import os
import stat
import threading
from pathlib import Path

import apsw
import pytest

from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader
from millrace.errors import RetryError, StopError, UsageError
from millrace.model.message import RawBatch
from millrace.ports.log import Extent, Log, LogReader, Note
from tests.contracts.log import PARTITIONS, START_NS, LogContract, everything, messages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "log"


class TestSqliteLog(LogContract):
    @pytest.fixture(autouse=True)
    def _place(self, folder: Path) -> None:
        self.folder = folder

    def make_log(self) -> Log:
        return SqliteLog(self.folder, partitions=PARTITIONS)

    def make_reader(self, log: Log) -> LogReader:
        return SqliteLogReader(self.folder)


def noise(size: int, *, partition: int = 0, at_ns: int = START_NS) -> RawBatch:
    batch = RawBatch(partition)
    batch.add("t", os.urandom(size), at_ns)
    return batch


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_goes_on_where_it_was_closed(folder: Path) -> None:
    first = SqliteLog(folder)
    first.append([messages(3, 5)], [Note(b"k", b"v")])
    first.retire(before_ns=None, max_bytes=0, keep=[0, 0, 0, 5])
    first.append([messages(1, 2)])
    first.close()
    again = SqliteLog(folder)
    assert again.extents() == [Extent(0, 0), Extent(0, 2), Extent(0, 0), Extent(5, 5)]
    assert again.notes(b"") == [(b"k", b"v")]
    assert again.append([messages(3, 1), messages(1, 1)]) == [5, 2]
    again.close()


def test_takes_nothing_after_it_was_closed(folder: Path) -> None:
    log = SqliteLog(folder)
    log.close()
    with pytest.raises(StopError, match="closed"):
        log.append([messages(0, 1)])


def test_readers_do_not_need_the_writer(folder: Path) -> None:
    log = SqliteLog(folder)
    log.append([messages(0, 5)])
    early = SqliteLogReader(folder)
    log.close()
    late = SqliteLogReader(folder)
    assert everything(early, 0) == everything(late, 0) != []
    early.close()
    assert len(everything(late, 0, 3)) == 2
    late.close()


def test_a_reader_follows_a_writer_that_was_started_again(folder: Path) -> None:
    log = SqliteLog(folder)
    log.append([messages(0, 2)])
    reader = SqliteLogReader(folder)
    for number in range(3):
        log.close()
        log = SqliteLog(folder)
        log.append([messages(0, 2)])
        assert len(everything(reader, 0, 2 + 2 * number)) == 2
    log.close()
    reader.close()


def test_a_reader_cannot_write(folder: Path) -> None:
    log = SqliteLog(folder)
    reader = SqliteLogReader(folder)
    with pytest.raises(apsw.ReadOnlyError):
        reader._connection.execute("DELETE FROM batches")
    reader.close()
    log.close()


def test_opening_too_early_is_worth_another_try(folder: Path) -> None:
    with pytest.raises(RetryError, match="no log"):
        SqliteLogReader(folder)
    folder.mkdir(parents=True)
    (folder / "log.db").touch()
    with pytest.raises(RetryError, match="no log"):
        SqliteLogReader(folder)


def test_another_number_of_partitions_is_refused(folder: Path) -> None:
    SqliteLog(folder, partitions=4).close()
    with pytest.raises(UsageError, match="has 4 partitions, the settings say 6") as caught:
        SqliteLog(folder, partitions=6)
    assert "log.partitions" in caught.value.remedy
    with pytest.raises(UsageError, match="stream 'raw'"):
        SqliteLog(folder, stream="other")
    SqliteLog(folder, partitions=4).close()


def test_an_unknown_format_is_refused(folder: Path) -> None:
    SqliteLog(folder).close()
    with apsw.Connection(str(folder / "log.db")) as connection:
        connection.execute("UPDATE meta SET value = '9' WHERE key = 'format'")
    connection.close()
    with pytest.raises(StopError, match="format '9'"):
        SqliteLog(folder)
    with pytest.raises(StopError, match="format '9'"):
        SqliteLogReader(folder)


def test_f49_a_second_log_in_one_process_is_refused(folder: Path) -> None:
    log = SqliteLog(folder)
    with pytest.raises(StopError, match=f"another millrace uses this folder: pid {os.getpid()}"):
        SqliteLog(folder)
    log.close()
    SqliteLog(folder).close()


def test_a62_only_the_owner_may_look(folder: Path) -> None:
    umask = os.umask(0)
    try:
        log = SqliteLog(folder)
        log.append([messages(0, 5)])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        log.close()
    finally:
        os.umask(umask)
    assert set(modes) == {"log.db", "log.db-wal", "log.db-shm", "LOCK", "MARKS"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["", "log.db", "LOCK", "MARKS", "log.db-wal"])
def test_a62_symbolic_links_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "elsewhere"
    if name:
        folder.mkdir(parents=True)
        target.touch()
    else:
        folder.parent.mkdir(parents=True)
        target.mkdir()
    (folder / name).symlink_to(target)
    with pytest.raises(StopError, match="symbolic link"):
        SqliteLog(folder)
    with pytest.raises(StopError, match="symbolic link"):
        SqliteLogReader(folder)


def test_an_append_that_cannot_be_sealed_stores_nothing(folder: Path) -> None:
    log = SqliteLog(folder)
    bad = messages(1, 2)
    bad.packet_ids[1] = 70_000
    with pytest.raises(ValueError, match="does not fit"):
        log.append([messages(0, 2), bad], [Note(b"k", b"v")])
    with pytest.raises(IndexError):
        log.append([messages(0, 2), messages(9, 2)])
    assert log.extents() == [Extent(0, 0)] * 4
    assert log.notes(b"") == []
    assert log.append([messages(0, 2)]) == [0]
    log.close()


def test_f11_a_full_file_takes_nothing_and_recovers(folder: Path) -> None:
    log = SqliteLog(folder)
    log.append([noise(100_000)], [Note(b"n", b"1")])
    pages = int(log._connection.pragma("page_count"))
    log._connection.pragma("max_page_count", pages + 5)
    for _ in range(3):
        with pytest.raises(RetryError, match="no space"):
            log.append([noise(100_000)], [Note(b"n", b"2")])
        assert log.extents()[0] == Extent(0, 1)
        assert log.notes(b"") == [(b"n", b"1")]
    log._connection.pragma("max_page_count", pages + 500)
    assert log.append([noise(100_000)]) == [1]
    log.close()


def test_the_write_ahead_log_stays_short(folder: Path) -> None:
    log = SqliteLog(folder, wal_limit_bytes=1 << 20)
    reader = SqliteLogReader(folder)
    stored = 0
    for _ in range(300):
        log.append([noise(100_000)])
        stored += len(getattr(reader.read(0, stored, 10), "topics", ()))
    assert stored == 300
    assert (folder / "log.db-wal").stat().st_size < 12 << 20
    log.close()
    reader.close()


def test_space_is_given_back(folder: Path) -> None:
    log = SqliteLog(folder, spare_bytes=1 << 20)
    reader = SqliteLogReader(folder)
    for number in range(60):
        log.append([noise(200_000, at_ns=START_NS + number)])
    full = size_of(folder)
    assert log.retire(before_ns=START_NS + 55, max_bytes=None, keep=[60, 0, 0, 0]) == 55
    log.append([noise(1000)])
    assert len(everything(reader, 0, 55)) == 6
    reader.close()
    log.close()
    assert size_of(folder) < full // 3


def test_freed_space_is_used_again(folder: Path) -> None:
    log = SqliteLog(folder)
    for number in range(120):
        log.append([noise(100_000, partition=number % 4)])
        log.retire(before_ns=None, max_bytes=1_000_000, keep=[1000] * 4)
    log.close()
    assert size_of(folder) < 5_000_000


def test_retire_by_size_keeps_just_enough(folder: Path) -> None:
    log = SqliteLog(folder)
    for number in range(200):
        log.append([noise(10_000, partition=number % 4, at_ns=START_NS + number)])
    assert log.retire(before_ns=None, max_bytes=1_000_000, keep=[50] * 4) == 101
    assert log.extents() == [Extent(26, 50)] + [Extent(25, 50)] * 3
    log.close()


def test_threads_may_take_turns(folder: Path) -> None:
    log = SqliteLog(folder)

    def work(partition: int) -> None:
        for _ in range(20):
            log.append([messages(partition, 3)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.extents() == [Extent(0, 60)] * 4
    log.close()
