"""The folder of the log: `log.db` with its companions, `LOCK` and `MARKS`.

`LOCK` is held (flock) by the one process that writes. `MARKS` says how far each partition had got
when the last append returned. It is written after the commit and never synced, so it may lag but
never lead: should the database end before its mark, acknowledged messages are missing, and that
must be said instead of going on. A torn tail that nobody was told of stays below no mark. A backup
copies `MARKS` before the database. An unreadable `MARKS` is only a missing second opinion.

The folder and everything in it belong to the user alone, and none of it may be a symbolic link.
Source: P2, F8, F9, F49, A62.
"""

import contextlib
import errno
import fcntl
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from millrace.errors import RetryError, StopError

DATABASE = "log.db"
_LOCK = "LOCK"
_MARKS = "MARKS"
_MAGIC = b"MRMK"


def check_no_links(folder: Path) -> None:
    """Raise StopError when the folder or a file of ours in it is a symbolic link."""
    names = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", _LOCK, _MARKS)
    for path in (folder, *(folder / name for name in names)):
        if path.is_symlink():
            raise StopError(
                f"{path} is a symbolic link, and the log must not follow one",
                "name the folder itself in log.url",
            )


def make_folder(folder: Path) -> None:
    """Create the folder, and what is missing above it, for this user only."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(mode=0o700)
            sync_folder(path.parent)
    except OSError as error:
        raise StopError(
            f"the folder of the log cannot be created: {error}", "check its owner and path"
        ) from error


def open_file(path: Path) -> int:
    """Open a file for reading and writing; make it, for this user only, when it is not there.

    Raises:
        RetryError: No space is left.
        StopError: The file cannot be opened.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise RetryError(f"no space is left for {path}") from error
        raise StopError(f"{path} cannot be opened: {error.strerror}", "check its owner") from error


def make_file(path: Path) -> None:
    """Make an empty file, with its name durable; leave one that is there alone.

    Only for a file that nobody has open: closing it would drop the locks of this process on it.
    """
    if not path.exists():
        os.close(open_file(path))
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class FolderLock:
    """Says that this process is the one that writes; gone with the process, whatever ends it."""

    def __init__(self, folder: Path) -> None:
        self._handle = open_file(folder / _LOCK)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._handle)
            raise StopError(
                f"another millrace uses this folder: pid {holder} ({folder})",
                "stop that process, or give this one a data folder of its own",
            ) from error
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process write."""
        os.close(self._handle)


def check_unused(folder: Path) -> None:
    """Raise StopError when another process writes to this folder at the moment."""
    if (folder / _LOCK).exists():
        FolderLock(folder).release()


class Marks:
    """The ends of the partitions as of the last append that returned."""

    def __init__(self, folder: Path, partitions: int) -> None:
        self._layout = _layout(partitions)
        self._handle = open_file(folder / _MARKS)

    def write(self, ends: Sequence[int]) -> None:
        """Note down the ends of all partitions."""
        body = self._layout.pack(_MAGIC, *ends)
        # The messages are durable already, and marks may lag.
        with contextlib.suppress(OSError):
            os.pwrite(self._handle, body + zlib.crc32(body).to_bytes(4, "little"), 0)

    def close(self) -> None:
        """Release the file."""
        os.close(self._handle)


def has_marks(folder: Path) -> bool:
    """Return whether a log was ever opened for writing here."""
    return (folder / _MARKS).exists()


def read_marks(folder: Path, partitions: int) -> list[int]:
    """Return the marks, zeros where none can be read."""
    layout = _layout(partitions)
    try:
        content = (folder / _MARKS).read_bytes()
    except OSError:
        content = b""
    body, crc = content[: layout.size], content[layout.size :]
    is_whole = len(body) == layout.size and crc == zlib.crc32(body).to_bytes(4, "little")
    return list(layout.unpack(body)[1:]) if is_whole else [0] * partitions


def check_marks(marks: Sequence[int], ends: Sequence[int]) -> None:
    """Raise StopError when a partition ends before its mark."""
    for partition, (mark, end) in enumerate(zip(marks, ends, strict=True)):
        if end < mark:
            raise StopError(
                f"the log is damaged: partition {partition} has lost the acknowledged messages "
                f"{end} to {mark - 1}",
                "restore the folder from a backup, or delete its file MARKS to go on without them",
            )


def _layout(partitions: int) -> struct.Struct:
    return struct.Struct(f"<4s{partitions}Q")
