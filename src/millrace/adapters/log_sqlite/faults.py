"""What SQLite reports, turned into what the caller must do.

No space and a busy file pass: nothing was stored, the same call may be made again. Everything else
that a disk says ends the process, a failed fsync above all: the kernel has dropped the pages that
it could not write, so a second fsync that succeeds proves nothing.
Source: F9, F10, F11.
"""

import errno

import apsw

from millrace.errors import MillraceError, RetryError, StopError

# A flipped bit may turn a number or bytes into text, which then is no valid text.
SQLITE_ERRORS = (apsw.Error, UnicodeDecodeError)
_DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.MismatchError, UnicodeDecodeError)
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_WRITES = frozenset({apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE})


def translate(error: Exception, connection: apsw.Connection | None, doing: str) -> MillraceError:
    """Return the error to raise in place of one of SQLITE_ERRORS."""
    if isinstance(error, apsw.FullError) or _is_out_of_space(error, connection):
        return RetryError(f"no space is left for the log while {doing}")
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return RetryError(f"the log is busy while {doing}")
    if is_damage(error):
        return StopError(
            f"the file of the log is damaged, noticed while {doing}: {error}",
            "restore the folder from a backup; millrace doctor says what can still be read",
        )
    return StopError(
        f"the disk failed while {doing}: {error}",
        "check the disk; nothing is acknowledged until the process has been started again",
    )


def is_damage(error: Exception) -> bool:
    """Return whether the bytes in the file are wrong, as opposed to the disk or the moment."""
    return isinstance(error, _DAMAGE)


def _is_out_of_space(error: Exception, connection: apsw.Connection | None) -> bool:
    if connection is None or not isinstance(error, apsw.IOError):
        return False
    return getattr(error, "extendedresult", 0) in _WRITES and connection.system_errno in _NO_SPACE
