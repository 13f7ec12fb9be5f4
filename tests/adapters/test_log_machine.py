"""Random histories of a log, compared with a model that is only lists."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from millrace.adapters.log_memory import MemoryLog
from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader
from millrace.errors import GoneError, StopError
from millrace.model.message import RawBatch
from millrace.ports.log import Extent, Log, LogReader, Note

PARTITIONS = 2
SIZES = st.dictionaries(st.integers(0, PARTITIONS - 1), st.integers(1, 6), max_size=PARTITIONS)
KEYS = st.sampled_from([b"a", b"a1", b"b"])
NOTES = st.lists(st.builds(Note, KEYS, st.one_of(st.none(), st.binary(max_size=3))), max_size=3)


class LogMachine(RuleBasedStateMachine):
    """`model` holds the batches of each partition as lists of (payload, received)."""

    log: Log
    reader: LogReader

    def __init__(self) -> None:
        super().__init__()
        self.model: list[list[list[tuple[bytes, int]]]] = [[] for _ in range(PARTITIONS)]
        self.starts = [0] * PARTITIONS
        self.noted: dict[bytes, bytes] = {}
        self.written = 0

    def end(self, partition: int) -> int:
        return self.starts[partition] + sum(map(len, self.model[partition]))

    @rule(sizes=SIZES, notes=NOTES, at_ns=st.integers(0, 50))
    def append(self, sizes: dict[int, int], notes: list[Note], at_ns: int) -> None:
        batches, firsts = [], [self.end(partition) for partition in sizes]
        for partition, size in sizes.items():
            batch = RawBatch(partition)
            for _ in range(size):
                self.written += 1
                batch.add("t", b"%d" % self.written, at_ns + self.written % 3)
            batches.append(batch)
            rows = list(zip(batch.payloads, batch.received_at_ns, strict=True))
            self.model[partition].append(rows)
        assert self.log.append(batches, notes) == firsts
        for note in notes:
            if note.value is None:
                self.noted.pop(note.key, None)
            else:
                self.noted[note.key] = note.value

    @rule(
        partition=st.integers(0, PARTITIONS - 1), back=st.integers(-1, 40), limit=st.integers(1, 9)
    )
    def read(self, partition: int, back: int, limit: int) -> None:
        offset = max(0, self.end(partition) - back)
        if offset < self.starts[partition]:
            with pytest.raises(GoneError):
                self.reader.read(partition, offset, limit)
            return
        if back < 0:
            with pytest.raises(StopError):
                self.reader.read(partition, offset, limit)
            return
        expected: list[tuple[bytes, int]] = []
        first = self.starts[partition]
        for rows in self.model[partition]:
            if first + len(rows) > offset and len(expected) < limit:
                expected += rows[max(0, offset - first) :]
            first += len(rows)
        found = self.reader.read(partition, offset, limit)
        rows = list(zip(found.payloads, found.received_at_ns, strict=True)) if found else []
        assert rows == expected

    @rule(before_ns=st.integers(0, 60), keep=st.lists(st.integers(0, 60), min_size=2, max_size=2))
    def retire(self, before_ns: int, keep: list[int]) -> None:
        removed = 0
        for partition, batches in enumerate(self.model):
            while batches and max(at for _, at in batches[0]) < before_ns:
                if self.starts[partition] + len(batches[0]) > keep[partition]:
                    break
                self.starts[partition] += len(batches[0])
                removed += len(batches.pop(0))
        assert self.log.retire(before_ns=before_ns, max_bytes=None, keep=keep) == removed

    @rule(partition=st.integers(0, PARTITIONS - 1), at_ns=st.integers(0, 60))
    def look_up(self, partition: int, at_ns: int) -> None:
        expected = self.starts[partition]
        for rows in self.model[partition]:
            if max(at for _, at in rows) >= at_ns:
                break
            expected += len(rows)
        # Behind a clock that went back it may be earlier: what was removed counts on.
        assert self.starts[partition] <= self.reader.offset_at(partition, at_ns) <= expected

    @invariant()
    def agrees(self) -> None:
        extents = [Extent(self.starts[number], self.end(number)) for number in range(PARTITIONS)]
        assert self.log.extents() == self.reader.extents() == extents
        assert dict(self.reader.notes(b"")) == self.noted


class MemoryMachine(LogMachine):
    def __init__(self) -> None:
        super().__init__()
        self.log = self.reader = MemoryLog(partitions=PARTITIONS)


class SqliteMachine(LogMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.open()

    def open(self) -> None:
        self.log = SqliteLog(self.folder, partitions=PARTITIONS, wal_limit_bytes=1 << 16)
        self.reader = SqliteLogReader(self.folder)

    @rule()
    @precondition(lambda self: self.written)
    def open_again(self) -> None:
        self.log.close()
        self.reader.close()
        self.open()

    def teardown(self) -> None:
        self.log.close()
        self.reader.close()
        shutil.rmtree(self.folder)


QUICK: Any = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = QUICK
TestSqliteMachine = SqliteMachine.TestCase
TestSqliteMachine.settings = QUICK
