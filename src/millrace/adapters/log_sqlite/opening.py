"""Connections to the file of the log, and its birth certificate: table meta."""

from pathlib import Path

import apsw

from millrace.adapters.log_sqlite import files, tables
from millrace.adapters.log_sqlite.faults import SQLITE_ERRORS, translate
from millrace.errors import MillraceError, RetryError, StopError, UsageError

_PAGE_SIZE_BYTES = 8192
_BLANK_PAGES = 2


def open_writer(folder: Path, partitions: int, stream: str) -> apsw.Connection:
    """Open the file for writing; make it when it is not there.

    Raises:
        UsageError: The log has another number of partitions, or belongs to another stream.
        StopError: The file is damaged or of another format.
    """
    path = folder / files.DATABASE
    files.make_file(path)
    connection = connect(path, apsw.SQLITE_OPEN_READWRITE)
    try:
        with connection:
            if _is_blank(connection):
                _create(connection, partitions, stream)
        _check(connection, partitions, stream)
    except SQLITE_ERRORS as error:
        connection.close()
        raise translate(error, connection, "opening it") from error
    except StopError:
        connection.close()
        raise
    return connection


def open_reader(folder: Path) -> tuple[apsw.Connection, int]:
    """Open the file for reading; return the connection and the number of partitions.

    Raises:
        RetryError: There is no log yet: the process that writes has not been started.
        StopError: The file is damaged or of another format.
    """
    path = folder / files.DATABASE
    if not path.exists():
        raise _nothing_there(folder)
    connection = connect(path, apsw.SQLITE_OPEN_READONLY)
    try:
        is_blank = _is_blank(connection)
        partitions = 0 if is_blank else int(_meta(connection)["partitions"])
    except SQLITE_ERRORS as error:
        connection.close()
        raise translate(error, None, "opening it") from error
    except StopError:
        connection.close()
        raise
    if is_blank:
        connection.close()
        raise _nothing_there(folder)
    return connection, partitions


def connect(path: Path, flags: int) -> apsw.Connection:
    """Return a connection that never syncs less, and never checkpoints of its own accord."""
    try:
        connection = apsw.Connection(str(path), flags=flags)
        connection.set_busy_timeout(tables.BUSY_TIMEOUT_MS)
        if not flags & apsw.SQLITE_OPEN_READONLY:
            if _is_blank(connection):
                connection.execute(
                    f"PRAGMA page_size={_PAGE_SIZE_BYTES}; PRAGMA auto_vacuum=INCREMENTAL"
                )
            connection.execute(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA fullfsync=ON;"
                "PRAGMA checkpoint_fullfsync=ON; PRAGMA cell_size_check=ON"
            )
            connection.wal_autocheckpoint(0)
            # The write-ahead log of a file that is refused is evidence, closing must not remove it.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    except SQLITE_ERRORS as error:
        raise translate(error, None, "opening it") from error
    return connection


def _create(connection: apsw.Connection, partitions: int, stream: str) -> None:
    connection.execute(tables.SCHEMA)
    meta = {"format": tables.FORMAT, "partitions": str(partitions), "stream": stream}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
    starts = [(number, 0, 0, 0) for number in range(partitions)]
    connection.executemany("INSERT INTO starts VALUES (?, ?, ?, ?)", starts)


def _check(connection: apsw.Connection, partitions: int, stream: str) -> None:
    meta = _meta(connection)
    if meta["partitions"] != str(partitions):
        raise UsageError(
            f"the log has {meta['partitions']} partitions, the settings say {partitions}",
            "set log.partitions back; another number needs a drained log and another stream name",
        )
    if meta["stream"] != stream:
        raise UsageError(
            f"the log holds stream {meta['stream']!r}, the settings say {stream!r}",
            "set log.stream back, or name another folder",
        )


def _nothing_there(folder: Path) -> MillraceError:
    if files.has_marks(folder):  # made after the tables were
        return StopError(
            f"the log is damaged: {folder / files.DATABASE} is gone or empty",
            "restore the folder from a backup",
        )
    return RetryError(f"there is no log in {folder} yet")


def _is_blank(connection: apsw.Connection) -> bool:
    """Return whether nothing was ever stored; a damaged file does not count as blank."""
    tables_found = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return tables_found == (0,) and int(connection.pragma("page_count")) <= _BLANK_PAGES


def _meta(connection: apsw.Connection) -> dict[str, str]:
    if not connection.table_exists(None, "meta"):
        raise apsw.CorruptError("table meta is missing")
    rows = connection.execute("SELECT key, value FROM meta").fetchall()
    meta = {str(name): str(value) for name, value in rows}
    if meta.get("format") != tables.FORMAT or not meta.keys() >= {"partitions", "stream"}:
        raise StopError(
            f"the log has format {meta.get('format')!r}, only {tables.FORMAT!r} is known",
            "use the release that wrote it, or a later one",
        )
    return meta
