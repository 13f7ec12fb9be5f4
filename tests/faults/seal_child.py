"""Processes that seal or archive until they are killed, over a real ledger and a real log."""

import json
import sys
import time
from pathlib import Path

from millrace.adapters.archive_file import FileArchive
from millrace.adapters.hot_sqlite import SqliteHotReadings
from millrace.adapters.log_sqlite import SqliteLogReader
from millrace.adapters.series_delta import DeltaSeries
from millrace.adapters.series_delta.bucket import BucketStorage
from millrace.errors import FencedError
from millrace.ports.archive import Intent
from millrace.tend.archive import ArchiveOptions, Archiver, ArchiveSources
from millrace.tend.seal import Sealer, SealLimits
from tests.servers.s3 import options_of


class FilePositions:
    """See `ports.archive.ArchivePositions`: one file, replaced at each step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_bytes()) if path.exists() else {}
        self._next = kept.get("next", 0)
        self._intent = Intent(**kept["intent"]) if kept.get("intent") else None

    def position(self, partition: int) -> int:
        return int(self._next)

    def take_up(self, partition: int, start: int) -> int:
        return int(self._next)

    def intent(self, partition: int) -> Intent | None:
        return self._intent

    def begin(self, intent: Intent) -> None:
        self._keep(self._next, intent)

    def finish(self, intent: Intent) -> None:
        if intent != self._intent:
            raise FencedError("that intent was not begun")
        self._keep(intent.last + 1, None)

    def close(self) -> None:
        pass

    def _keep(self, next_offset: int, intent: Intent | None) -> None:
        members = None if intent is None else {
            "partition": intent.partition, "first": intent.first, "last": intent.last,
            "key": intent.key,
        }  # fmt: skip
        unfinished = self._path.with_suffix(".new")
        unfinished.write_text(json.dumps({"next": next_offset, "intent": members}))
        unfinished.replace(self._path)
        self._next, self._intent = next_offset, intent


class LogOutcomes:
    """Everything is decided; every seventh message was a duplicate."""

    def __init__(self, log: SqliteLogReader) -> None:
        self._log = log

    def decided(self, partition: int) -> int:
        return self._log.extents()[partition].end

    def not_stored(self, partition: int, first: int, last: int) -> set[int]:
        return {one for one in range(first, last + 1) if one % 7 == 3}

    def close(self) -> None:
        pass


def seal_for_ever(ledger: Path, series: Path, endpoint: str = "") -> None:
    """Seal small amounts, merge and tidy up, until killed; with an endpoint into its bucket."""
    hot = SqliteHotReadings(ledger, read_only=False)
    place = BucketStorage(options_of(endpoint), series) if endpoint else series
    writer = DeltaSeries(place)
    forget_after_ns = 5_000_000_000 if endpoint else 0
    limits = SealLimits(rows=200, age_ns=1, batches=7, forget_after_ns=forget_after_ns)
    sealer = Sealer(hot, writer, limits)
    while True:
        sealer.run_once(time.time_ns())
        writer.compact(time.time_ns())
        writer.vacuum(time.time_ns())


def archive_once(log: Path, archive: Path, positions: Path, layout: str) -> None:
    """Archive all there is; a crash point may end it anywhere."""
    reader = SqliteLogReader(log)
    sources = ArchiveSources(
        reader,
        FilePositions(positions),
        LogOutcomes(reader),
        lambda topic: (topic[:2], "telemetry"),
    )
    options = ArchiveOptions(layout, roll_bytes=400, roll_s=60, segment_bytes=1500)
    Archiver(sources, FileArchive(archive), options).run_once(0, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "seal":
        seal_for_ever(Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
    else:
        archive_once(Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
