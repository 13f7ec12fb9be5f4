"""One write transaction on SQLite, with its failures named by what the caller must do.

A full disk or a busy database passes: nothing was stored, the same transaction may be tried again.
A failed fsync or a damaged file does not: the page cache may no longer hold what was written, so
the process has to end rather than acknowledge anything more.
Source: reliability.md F10, F11; architecture.md 4.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from millrace.errors import MillraceError, RejectError, RetryError, StopError

_CONTENTS = (apsw.ConstraintError, apsw.TooBigError, apsw.MismatchError)
_PASSING = (apsw.BusyError, apsw.LockedError, apsw.FullError)
_FINAL_IO = frozenset(
    {
        apsw.SQLITE_IOERR_FSYNC,
        apsw.SQLITE_IOERR_DIR_FSYNC,
        apsw.SQLITE_IOERR_DATA,
        apsw.SQLITE_IOERR_CORRUPTFS,
    }
)


@contextmanager
def transaction(db: apsw.Connection) -> Iterator[None]:
    """Run the body as one immediate transaction; an exception rolls it back.

    Raises:
        RetryError: Busy, or no space.
        StopError: The disk or the file cannot be trusted any more.
    """
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    except apsw.Error as error:
        raise translate(error) from error


@contextmanager
def refusals() -> Iterator[None]:
    """Run the body, a part of a transaction, with what SQLite refuses for its contents named so.

    Raises:
        RejectError: `store_rejected`: these rows can never be stored, others may.
    """
    try:
        yield
    except _CONTENTS as error:
        raise RejectError("store_rejected", str(error)) from error
    except (OverflowError, UnicodeEncodeError) as error:
        # A number beyond 64 bits, or half of a surrogate pair: apsw cannot even bind it.
        raise RejectError("store_rejected", type(error).__name__) from error


def translate(error: apsw.Error) -> MillraceError:
    """Return the error of Millrace that stands for an error of SQLite."""
    code = getattr(error, "extendedresult", 0)
    if isinstance(error, _PASSING):
        return RetryError(f"the database is busy or the disk is full: {error}")
    if isinstance(error, apsw.IOError) and code not in _FINAL_IO:
        return RetryError(f"the disk did not take the write: {error}")
    return StopError(
        f"the database cannot be used: {error}",
        "check the disk, then restore the data folder from a backup if the error stays",
    )
