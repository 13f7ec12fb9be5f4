"""What `ports.log` means: every adapter of the log passes these."""

from abc import abstractmethod
from collections.abc import Iterator

import pytest

from millrace.errors import GoneError, StopError
from millrace.model.message import DUP, REDRIVE, TICK, RawBatch
from millrace.ports.log import Extent, Log, LogReader, Note

PARTITIONS = 3
SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS


def messages(partition: int, count: int, *, at_ns: int = START_NS, name: str = "m") -> RawBatch:
    """Return a batch whose payloads tell which message is which."""
    batch = RawBatch(partition)
    for number in range(count):
        batch.add(
            f"f2/site/{number % 3}/telemetry",
            f"{name}-{number}".encode(),
            at_ns + number,
            client_id=f"client-{number % 2}",
            packet_id=number % 65536,
        )
    return batch


def everything(reader: LogReader, partition: int, offset: int = 0) -> list[bytes]:
    """Return all payloads of a partition from an offset on."""
    payloads: list[bytes] = []
    while batch := reader.read(partition, offset, 1000):
        assert batch.first_offset == offset
        assert batch.partition == partition
        payloads += batch.payloads
        offset = batch.next_offset
    return payloads


class LogContract:
    """Subclass it, and give `make_log` and `make_reader`.

    `stored_batch` is the number of messages after which a read may end, where that is not the
    batch of the append.
    """

    stored_batch = 0

    @abstractmethod
    def make_log(self) -> Log:
        """Return the one log of this test, with PARTITIONS partitions."""

    @abstractmethod
    def make_reader(self, log: Log) -> LogReader:
        """Return another reader of that log."""

    @pytest.fixture
    def log(self) -> Iterator[Log]:
        log = self.make_log()
        yield log
        log.close()

    @pytest.fixture
    def reader(self, log: Log) -> Iterator[LogReader]:
        reader = self.make_reader(log)
        yield reader
        reader.close()

    def test_begins_empty(self, log: Log, reader: LogReader) -> None:
        assert log.partitions == reader.partitions == PARTITIONS
        assert log.extents() == reader.extents() == [Extent(0, 0)] * PARTITIONS
        assert reader.read(0, 0, 100) is None
        assert reader.offset_at(0, START_NS) == 0
        assert log.notes(b"") == reader.notes(b"") == []

    def test_returns_what_was_appended(self, log: Log, reader: LogReader) -> None:
        batch = messages(1, 7)
        batch.flags[2] = DUP | 1
        assert log.append([batch]) == [0]
        found = reader.read(1, 0, 100)
        assert found == batch
        assert found is not batch

    def test_p3_offsets_are_dense(self, log: Log, reader: LogReader) -> None:
        firsts = [log.append([messages(2, size, name=str(size))])[0] for size in (3, 1, 5)]
        assert firsts == [0, 3, 4]
        assert log.extents() == reader.extents() == [Extent(0, 0), Extent(0, 0), Extent(0, 9)]
        assert len(everything(reader, 2)) == 9

    def test_fills_in_first_offsets(self, log: Log) -> None:
        log.append([messages(0, 4)])
        batches = [messages(2, 2), messages(0, 1)]
        assert log.append(batches) == [0, 4]
        assert [batch.first_offset for batch in batches] == [0, 4]

    def test_partitions_do_not_see_each_other(self, log: Log, reader: LogReader) -> None:
        log.append([messages(0, 2, name="a"), messages(1, 2, name="b")])
        assert everything(reader, 0) == [b"a-0", b"a-1"]
        assert everything(reader, 1) == [b"b-0", b"b-1"]
        assert everything(reader, 2) == []

    def test_keeps_order_over_many_appends(self, log: Log, reader: LogReader) -> None:
        for number in range(40):
            log.append([messages(0, 3, name=str(number))])
        assert everything(reader, 0) == [b"%d-%d" % (n, i) for n in range(40) for i in range(3)]

    def test_read_begins_exactly_at_the_offset(self, log: Log, reader: LogReader) -> None:
        log.append([messages(0, 5, name="a")])
        log.append([messages(0, 5, name="b")])
        for offset in range(10):
            found = reader.read(0, offset, 100)
            assert found is not None
            assert (found.first_offset, len(found)) == (offset, 10 - offset)
            assert found.received_at_ns[0] == START_NS + offset % 5
        assert reader.read(0, 10, 100) is None

    def test_read_is_bounded_by_whole_batches(self, log: Log, reader: LogReader) -> None:
        for _ in range(4):
            log.append([messages(0, 10)])
        whole = self.stored_batch or 10
        sizes = [len(reader.read(0, 0, limit) or ()) for limit in (1, 10, 11, 20, 21, 1000)]
        wanted = [min(-(-limit // whole) * whole, 40) for limit in (1, 10, 11, 20, 21, 1000)]
        assert sizes == wanted
        assert len(reader.read(0, 3, 10) or ()) == -(-13 // whole) * whole - 3

    def test_beyond_the_end_is_said_not_waited_for(self, log: Log, reader: LogReader) -> None:
        log.append([messages(0, 3)])
        with pytest.raises(StopError):
            reader.read(0, 4, 100)

    def test_extras_follow_their_message(self, log: Log, reader: LogReader) -> None:
        first, second = messages(0, 3), messages(0, 3)
        first.extras = {0: b'{"element":"a"}', 2: b'{"index":4}'}
        second.extras = {1: b"x"}
        first.flags[0] = REDRIVE
        log.append([first])
        log.append([second])
        assert getattr(reader.read(0, 0, 100), "extras", None) == {**first.extras, 4: b"x"}
        assert getattr(reader.read(0, 1, 100), "extras", None) == {1: b'{"index":4}', 3: b"x"}

    def test_ticks_and_odd_texts_pass_through(self, log: Log, reader: LogReader) -> None:
        batch = RawBatch(0)
        batch.add("", b'{"low":1}', START_NS, flags=TICK)
        batch.add("höhe/温度/🌡", bytes(range(256)), START_NS - 5, client_id="ü", packet_id=65535)
        batch.add("a" * 65535, b"", 0, flags=0xFFFF, client_id="\x00")
        batch.add("a", b"", 2**62, client_id="\udcff")
        log.append([batch])
        assert reader.read(0, 0, 100) == batch

    def test_large_payloads(self, log: Log, reader: LogReader) -> None:
        batch = RawBatch(1)
        for size in (0, 1, 70_000, 3_000_000):
            batch.add("t", bytes(size), START_NS)
        log.append([batch])
        assert everything(reader, 1) == batch.payloads

    def test_an_append_of_nothing(self, log: Log, reader: LogReader) -> None:
        log.append([messages(0, 2)])
        assert log.append([]) == []
        assert log.append([RawBatch(0), messages(1, 1)]) == [2, 0]
        assert log.extents()[:2] == [Extent(0, 2), Extent(0, 1)]
        assert everything(reader, 0) == [b"m-0", b"m-1"]

    def test_one_batch_per_partition(self, log: Log, reader: LogReader) -> None:
        with pytest.raises(ValueError, match="one batch per partition"):
            log.append([messages(0, 1), messages(0, 1)])
        assert everything(reader, 0) == []

    def test_what_was_handed_in_may_be_used_again(self, log: Log, reader: LogReader) -> None:
        batch = messages(0, 1)
        log.append([batch])
        batch.add("later", b"later", START_NS)
        assert everything(reader, 0) == [b"m-0"]

    def test_notes(self, log: Log, reader: LogReader) -> None:
        log.append([messages(0, 1)], [Note(b"s/a", b"1"), Note(b"s/b", b""), Note(b"r/a", b"2")])
        log.append([], [Note(b"s/a", None), Note(b"s/c", b"3"), Note(b"none", None)])
        assert log.notes(b"s/") == reader.notes(b"s/") == [(b"s/b", b""), (b"s/c", b"3")]
        assert reader.notes(b"") == [(b"r/a", b"2"), (b"s/b", b""), (b"s/c", b"3")]
        assert reader.notes(b"t") == []

    def test_the_later_of_two_notes_wins(self, log: Log) -> None:
        log.append([], [Note(b"a", b"1"), Note(b"a", b"2"), Note(b"b", b"1"), Note(b"b", None)])
        assert log.notes(b"") == [(b"a", b"2")]
        log.append([], [Note(b"a", None), Note(b"a", b"3")])
        assert log.notes(b"") == [(b"a", b"3")]

    def test_prefixes_are_bytes(self, log: Log) -> None:
        keys = [b"", b"\x00", b"a", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff"]
        log.append([], [Note(key, key) for key in keys])
        for prefix in keys:
            assert log.notes(prefix) == [
                (key, key) for key in sorted(keys) if key.startswith(prefix)
            ]

    def test_readers_have_positions_of_their_own(self, log: Log, reader: LogReader) -> None:
        log.append([messages(0, 3, name="a")])
        other = self.make_reader(log)
        assert len(everything(reader, 0)) == 3
        log.append([messages(0, 2, name="b")])
        assert everything(other, 0, 2) == [b"a-2", b"b-0", b"b-1"]
        assert everything(reader, 0, 3) == [b"b-0", b"b-1"]
        other.close()

    def test_offset_at(self, log: Log, reader: LogReader) -> None:
        for number in range(20):
            log.append([messages(1, 5, at_ns=START_NS + number * SECOND_NS)])
        for number in range(20):
            at_ns = START_NS + number * SECOND_NS
            assert reader.offset_at(1, at_ns) == number * 5
            assert reader.offset_at(1, at_ns + 4) == number * 5
            assert reader.offset_at(1, at_ns + SECOND_NS // 2) == number * 5 + 5
        assert reader.offset_at(1, 0) == 0

    def test_offset_at_when_the_clock_went_back(self, log: Log, reader: LogReader) -> None:
        for second in (10, 3, 20, 4, 30):
            log.append([messages(0, 2, at_ns=START_NS + second * SECOND_NS)])
        found = [reader.offset_at(0, START_NS + second * SECOND_NS) for second in (3, 4, 15, 25)]
        assert found == [0, 0, 4, 8]

    def test_retires_by_age(self, log: Log, reader: LogReader) -> None:
        for second in range(10):
            log.append([messages(p, 2, at_ns=START_NS + second * SECOND_NS) for p in (0, 1)])
        before_ns = START_NS + 4 * SECOND_NS
        removed = log.retire(before_ns=before_ns, max_bytes=None, keep=[20, 4, 0])
        assert removed == 8 + 4
        assert log.extents() == reader.extents() == [Extent(8, 20), Extent(4, 20), Extent(0, 0)]
        assert len(everything(reader, 0, 8)) == 12
        assert reader.offset_at(0, 0) == 8

    def test_gone_is_not_the_same_as_not_there_yet(self, log: Log, reader: LogReader) -> None:
        log.append([messages(0, 2)])
        log.append([messages(0, 2)])
        log.retire(before_ns=START_NS + SECOND_NS, max_bytes=None, keep=[2, 0, 0])
        for offset in (0, 1):
            with pytest.raises(GoneError):
                reader.read(0, offset, 10)
        assert reader.read(0, 2, 10) is not None

    def test_retires_everything_and_goes_on(self, log: Log, reader: LogReader) -> None:
        log.append([messages(0, 3)])
        assert log.retire(before_ns=None, max_bytes=0, keep=[3, 0, 0]) == 3
        assert log.extents()[0] == reader.extents()[0] == Extent(3, 3)
        assert reader.read(0, 3, 10) is None
        assert reader.offset_at(0, 0) == 3
        assert log.append([messages(0, 1, name="n")]) == [3]
        assert everything(reader, 0, 3) == [b"n-0"]

    def test_retires_by_size_oldest_first(self, log: Log, reader: LogReader) -> None:
        for number in range(30):
            batch = RawBatch(number % 2)
            batch.add("t", bytes(50_000 + number), START_NS + number)
            batch.payloads[0] = number.to_bytes(2, "big") * 50_000
            log.append([batch])
        everywhere = [15, 15, 0]
        assert log.retire(before_ns=None, max_bytes=1 << 40, keep=everywhere) == 0
        assert log.retire(before_ns=None, max_bytes=0, keep=[5, 3, 0]) == 8
        assert [extent.start for extent in reader.extents()] == [5, 3, 0]

    def test_does_not_retire_what_is_kept(self, log: Log) -> None:
        log.append([messages(0, 5)])
        whole = self.stored_batch or 5
        removed = 4 // whole * whole
        assert log.retire(before_ns=2 * START_NS, max_bytes=0, keep=[4, 0, 0]) == removed
        assert log.extents()[0] == Extent(removed, 5)

    def test_closes_twice(self, log: Log, reader: LogReader) -> None:
        reader.close()
        reader.close()
        log.close()
        log.close()
