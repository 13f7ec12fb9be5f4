"""Which log: the scheme of `log.url` to its two ends.

Source: architecture.md 3, F49.
"""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from millrace.adapters.clock_system import SystemClock
from millrace.errors import RetryError, StopError, UsageError
from millrace.ports.log import Log, LogReader
from millrace.ports.membership import Membership
from millrace.ports.public_stream import PublicStream
from millrace.settings import Settings
from millrace.wiring import places
from millrace.wiring.urls import known, path_of

LOG_PATIENCE_S = 30.0
LOG_POLL_S = 0.02


class LogSystem(NamedTuple):
    """What one scheme of `log.url` stands for.

    `check` looks at the URL alone; `check_unused` raises StopError while somebody else writes.
    `examine` says in a sentence that the log is sound, or raises StopError or RetryError.
    `durability` is what `/health` says of it. A system of others has a public stream, too.
    """

    open_log: Callable[[Settings], Log]
    open_reader: Callable[[Settings], LogReader]
    open_membership: Callable[[Settings, str], Membership]
    check: Callable[[Settings], object]
    check_unused: Callable[[Settings], None]
    examine: Callable[[Settings], str]
    durability: Callable[[Settings], dict[str, str]]
    open_public_stream: Callable[[Settings], PublicStream] | None = None
    size_bytes: Callable[[Settings], int] = lambda _: 0

    @property
    def is_outside(self) -> bool:
        return self.open_public_stream is not None


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


def open_membership(settings: Settings, role: str) -> Membership:
    """Join those who share the partitions of the log in one role."""
    return _system(settings).open_membership(settings, role)


def open_public_stream(settings: Settings) -> PublicStream:
    """Open the stream for consumers of others.

    Raises:
        UsageError: The log is embedded; nobody could read it.
    """
    opened = _system(settings).open_public_stream
    if opened is None:
        raise UsageError(
            "the role decode writes to Kafka, and log.url is another log",
            "set log.url to kafka://; embedded, the API and its live feed tell what was decoded",
        )
    return opened(settings)


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


def counted_under(settings: Settings, link: str) -> str:
    """Return the name under which messages of a link are counted; each of several writers has one.

    Its characters are those of links: the name is one part of a key.
    """
    instance = settings.kafka.instance
    return f"{link}@{instance}" if instance else link


def check(settings: Settings) -> None:
    """Raise UsageError when `log.url` cannot be right."""
    _system(settings).check(settings)


def check_log_unused(settings: Settings) -> None:
    """Raise StopError when another process writes to the log at the moment."""
    _system(settings).check_unused(settings)


def examine(settings: Settings) -> str:
    """Return in a sentence that the log is sound. Raises: StopError, RetryError."""
    return _system(settings).examine(settings)


def is_outside(settings: Settings) -> bool:
    """Return whether the log is a system of others, which may not answer."""
    return _system(settings).is_outside


def size_bytes(settings: Settings) -> int:
    """Return how much of this disk the log takes; nothing when it is elsewhere."""
    return _system(settings).size_bytes(settings)


def durability(settings: Settings) -> dict[str, str]:
    """Return what an acknowledgement means, for `/health`."""
    return {**_system(settings).durability(settings), "log": _scheme(settings)}


def _scheme(settings: Settings) -> str:
    return known("log.url", str(settings.urls()["log"]), *_SYSTEMS)


def _system(settings: Settings) -> LogSystem:
    return _SYSTEMS[_scheme(settings)]()


def _read_all(settings: Settings) -> str:
    """Read the whole log, so that every checksum is looked at."""
    messages = 0
    with closing(open_log_reader(settings)) as log:
        for partition, extent in enumerate(log.extents()):
            offset = extent.start
            while offset < extent.end:
                batch = log.read(partition, offset, 10_000)
                if batch is None:
                    break
                messages += len(batch)
                offset = batch.next_offset
    return f"{messages:,} messages are readable"


def _sqlite() -> LogSystem:
    from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader, check_unused
    from millrace.adapters.membership_alone import AloneMembership

    def folder(settings: Settings) -> Path:
        return path_of(str(settings.urls()["log"]))

    def open_log(settings: Settings) -> Log:
        partitions = settings.log.partitions
        return SqliteLog(folder(settings), partitions=partitions, stream=places.STREAM)

    def size_bytes(settings: Settings) -> int:
        return sum(path.stat().st_size for path in folder(settings).iterdir())

    def open_membership(settings: Settings, _role: str) -> Membership:
        with closing(open_log_reader(settings)) as reader:
            return AloneMembership(reader.partitions)

    return LogSystem(
        open_log=open_log,
        open_reader=lambda settings: SqliteLogReader(folder(settings)),
        open_membership=open_membership,
        check=folder,
        check_unused=lambda settings: check_unused(folder(settings)),
        examine=_read_all,
        durability=lambda _: {"fsync": "every_commit", "mqtt_ack": "after_fsync"},
        size_bytes=size_bytes,
    )


def _kafka() -> LogSystem:
    try:
        from millrace.wiring import kafka
    except ModuleNotFoundError as error:
        raise UsageError(
            f"log.url: kafka:// needs {error.name}", "install it with: pip install millrace[kafka]"
        ) from error
    return LogSystem(
        open_log=kafka.open_log,
        open_reader=kafka.open_reader,
        open_membership=kafka.open_member,
        check=kafka.check,
        check_unused=lambda _: None,
        examine=kafka.examine,
        open_public_stream=kafka.open_public_stream,
        durability=kafka.durability,
    )


_SYSTEMS: Final[dict[str, Callable[[], LogSystem]]] = {"sqlite": _sqlite, "kafka": _kafka}
