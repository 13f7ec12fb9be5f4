"""Processes that write a log until something happens to them, and what must be true afterwards.

Every payload says which partition and offset it must have, and note `ends` says what the extents
of the log were after the append that carried it: so a log proves itself.
"""

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader
from millrace.errors import StopError
from millrace.model.message import RawBatch
from millrace.ports.log import Log, Note

PARTITIONS = 3
SOURCE = Path(__file__).parents[2] / "src"
START_NS = 1_700_000_000_000_000_000


def payload_at(partition: int, offset: int) -> bytes:
    return f"{partition}-{offset} ".encode() * (1 + offset % 40)


def append_some(log: Log, rng: random.Random) -> list[int]:
    """Append a random set of batches with a note; return the ends of all partitions."""
    ends = [extent.end for extent in log.extents()]
    batches = []
    for partition in rng.sample(range(PARTITIONS), rng.randint(1, PARTITIONS)):
        batch = RawBatch(partition)
        for _ in range(rng.randint(1, 30)):
            offset = ends[partition]
            batch.add(f"t/{offset % 7}", payload_at(partition, offset), START_NS + offset)
            ends[partition] += 1
        batches.append(batch)
    log.append(batches, [Note(b"ends", repr(ends).encode())])
    return ends


def append_for_ever(folder: Path, seed: int) -> None:
    """Append until killed; say after each append that returned how far the log goes."""
    log = SqliteLog(folder, partitions=PARTITIONS, wal_limit_bytes=1 << 16)
    rng = random.Random(seed)
    while True:
        sys.stdout.write(json.dumps(append_some(log, rng)) + "\n")
        sys.stdout.flush()


def start(folder: Path, seed: int, crash_at: str = "") -> "subprocess.Popen[str]":
    """Start a process that appends for ever."""
    environment = {"PYTHONPATH": str(SOURCE), "CRASH_AT": crash_at}
    command = [sys.executable, __file__, str(folder), str(seed)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def one_said(process: "subprocess.Popen[str]") -> list[int]:
    """Return how far the log went at the next append that returned."""
    assert process.stdout is not None
    return [int(end) for end in json.loads(process.stdout.readline())]


def all_said(process: "subprocess.Popen[str]") -> list[list[int]]:
    """Return the rest of what a process said before it died."""
    lines, _ = process.communicate()
    return [json.loads(line) for line in lines.splitlines(keepends=True) if line.endswith("\n")]


def read_all(reader: SqliteLogReader, *, may_be_damaged: bool = False) -> int:
    """Check each message of a log; return how many could not be read."""
    missing = 0
    for partition, extent in enumerate(reader.extents()):
        offset = extent.start
        while offset < extent.end:
            try:
                batch = reader.read(partition, offset, 100)
            except StopError:
                if not may_be_damaged:
                    raise
                ahead = reader.next_readable(partition, offset)
                assert offset < ahead <= extent.end
                missing += ahead - offset
                offset = ahead
                continue
            assert batch is not None
            assert batch.first_offset == offset
            expected = range(offset, batch.next_offset)
            assert batch.payloads == [payload_at(partition, number) for number in expected]
            assert batch.received_at_ns == [START_NS + number for number in expected]
            assert batch.topics == [f"t/{number % 7}" for number in expected]
            offset = batch.next_offset
    return missing


def check(folder: Path, acknowledged: Sequence[int]) -> list[int]:
    """Open a log after a crash; all that was acknowledged is there, and nothing is half there."""
    log = SqliteLog(folder, partitions=PARTITIONS, wal_limit_bytes=1 << 16)
    reader = SqliteLogReader(folder)
    ends = [extent.end for extent in log.extents()]
    assert all(end >= mark for end, mark in zip(ends, acknowledged, strict=True))
    assert log.notes(b"ends") == ([(b"ends", repr(ends).encode())] if any(ends) else [])
    read_all(reader)
    reader.close()
    log.close()
    return ends


if __name__ == "__main__":
    append_for_ever(Path(sys.argv[1]), int(sys.argv[2]))
