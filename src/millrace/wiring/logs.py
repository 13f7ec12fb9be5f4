"""Which log: the scheme of `log.url` to its two ends.

Source: architecture.md 3, F49.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from millrace.adapters.clock_system import SystemClock
from millrace.errors import RetryError, StopError
from millrace.ports.log import Log, LogReader
from millrace.settings import Settings
from millrace.wiring import places
from millrace.wiring.urls import known, path_of

LOG_PATIENCE_S = 30.0
LOG_POLL_S = 0.02


class LogSystem(NamedTuple):
    """What one scheme of `log.url` stands for.

    `check` looks at the URL alone; `check_unused` raises StopError while somebody else writes.
    `durability` is what `/health` says of it.
    """

    open_log: Callable[[Settings], Log]
    open_reader: Callable[[Settings], LogReader]
    check: Callable[[Settings], object]
    check_unused: Callable[[Settings], None]
    durability: dict[str, str]


def open_log(settings: Settings) -> Log:
    """Open the log for writing; make it when it is not there.

    Raises:
        RetryError: It is away, or there is no space to open it.
        StopError: It cannot be used.
    """
    return _system(settings).open_log(settings)


def open_log_reader(settings: Settings) -> LogReader:
    """Open the log for reading.

    Raises:
        StopError: There is none yet.
    """
    try:
        return _system(settings).open_reader(settings)
    except RetryError as error:
        raise StopError(
            f"there is no log at {settings.urls()['log']}: {error}",
            "start with `millrace up` or `millrace run ingest`, which makes it",
        ) from error


async def log_is_there(settings: Settings, over: asyncio.Event) -> None:
    """Wait until the role ingest has made the log; roles may start in any order.

    Raises:
        StopError: There is none after `LOG_PATIENCE_S`.
    """
    deadline = SystemClock.steady_s() + LOG_PATIENCE_S
    while True:
        try:
            open_log_reader(settings).close()
        except StopError:
            if over.is_set() or SystemClock.steady_s() > deadline:
                raise
            await asyncio.sleep(LOG_POLL_S)
        else:
            return


def check(settings: Settings) -> None:
    """Raise UsageError when `log.url` cannot be right."""
    _system(settings).check(settings)


def check_log_unused(settings: Settings) -> None:
    """Raise StopError when another process writes to the log at the moment."""
    _system(settings).check_unused(settings)


def durability(settings: Settings) -> dict[str, str]:
    """Return what an acknowledgement means, for `/health`."""
    return {**_system(settings).durability, "log": _scheme(settings)}


def _scheme(settings: Settings) -> str:
    return known("log.url", str(settings.urls()["log"]), "sqlite")


def _system(settings: Settings) -> LogSystem:
    _scheme(settings)
    return _sqlite()


def _sqlite() -> LogSystem:
    from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader, check_unused

    def folder(settings: Settings) -> Path:
        return path_of(str(settings.urls()["log"]))

    def open_log(settings: Settings) -> Log:
        partitions = settings.log.partitions
        return SqliteLog(folder(settings), partitions=partitions, stream=places.STREAM)

    return LogSystem(
        open_log=open_log,
        open_reader=lambda settings: SqliteLogReader(folder(settings)),
        check=folder,
        check_unused=lambda settings: check_unused(folder(settings)),
        durability={"fsync": "every_commit", "mqtt_ack": "after_fsync"},
    )
