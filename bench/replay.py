"""Carries a range of partitions of a raw log through decode into a ledger of its own.

One process is one core: the pump has one thread. It is the pump of the product with its steps and
its ledger; only the log is cut to a range.
"""

import argparse
import json
import resource
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from bench.load import go_now
from millrace.adapters.clock_system import SystemClock
from millrace.adapters.fleet_sql import SqlFleet
from millrace.adapters.ledger_sqlite import SqliteLedger
from millrace.flow.pump import Pump
from millrace.model.message import RawBatch
from millrace.ports.log import Extent, LogReader
from millrace.settings import LogSettings, Settings
from millrace.store.tables import open_tables
from millrace.wiring import places
from millrace.wiring.logs import open_log_reader
from millrace.wiring.middle import build_middle


class PartitionRange:
    """A range of the partitions of a log, as a log: numbered from 0. See `ports.log.LogReader`."""

    def __init__(self, log: LogReader, first: int, count: int) -> None:
        self._log = log
        self._first = first
        self.partitions = count

    def read(self, partition: int, offset: int, max_messages: int) -> RawBatch | None:
        batch = self._log.read(partition + self._first, offset, max_messages)
        return None if batch is None else replace(batch, partition=partition)

    def extents(self) -> list[Extent]:
        return self._log.extents()[self._first : self._first + self.partitions]

    def appended(self) -> int:
        return self._log.appended()

    def notes(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return self._log.notes(prefix)

    def offset_at(self, partition: int, received_at_ns: int) -> int:
        return self._log.offset_at(partition + self._first, received_at_ns)

    def close(self) -> None:
        self._log.close()


def run(options: argparse.Namespace) -> dict[str, float]:
    """Open everything, wait for the word, carry; return counts and seconds."""
    settings = Settings(data=options.data, log=LogSettings(url=options.log))
    path = places.store_path(settings)
    with ExitStack() as stack:
        log = PartitionRange(open_log_reader(settings), options.first, options.count)
        stack.enter_context(closing(log))
        ledger = stack.enter_context(closing(SqliteLedger(path)))
        fleet = stack.enter_context(closing(SqlFleet(open_tables(path))))
        pump = Pump(
            log=log, ledger=ledger, fleet=fleet,
            middle=build_middle(settings, partitions=log.partitions),
            clock=SystemClock(), stream=places.STREAM,
        )  # fmt: skip
        pump.start()
        go_now()
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.time()
        messages = pump.drain()
        after, ended = resource.getrusage(resource.RUSAGE_SELF), time.time()
    return {
        "messages": messages,
        "started": started,
        "ended": ended,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def main() -> None:
    """Carry what the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--log", required=True, help="URL of the log")
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    sys.stdout.write(json.dumps(run(parser.parse_args())) + "\n")


if __name__ == "__main__":
    main()
