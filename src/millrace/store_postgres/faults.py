"""Errors of PostgreSQL, named by what the caller must do.

Source: reliability.md F22 to F26.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors

from millrace.errors import MillraceError, RejectError, RetryError, StopError

# What passes, or what an operator mends while we wait: nothing was stored.
_PASSING: Final = (
    errors.OperationalError,
    errors.InterfaceError,
    errors.ReadOnlySqlTransaction,
    errors.InFailedSqlTransaction,
    errors.IdleInTransactionSessionTimeout,
)

# What no repetition makes better: these rows are at fault, others are not.
_CONTENTS: Final = (
    errors.DataError,
    errors.CheckViolation,
    errors.NotNullViolation,
    errors.ProgramLimitExceeded,
    errors.RaiseException,
    OverflowError,
    UnicodeEncodeError,
)


@contextmanager
def refusals() -> Iterator[None]:
    """Run the body, a part of a transaction, with what is refused for its contents named so.

    Raises:
        RejectError: `store_rejected`: these rows can never be stored, others may.
    """
    try:
        yield
    except _CONTENTS as error:
        # The first line names the constraint; those behind it quote the row.
        text = str(error).strip().partition("\n")[0] if isinstance(error, psycopg.Error) else ""
        raise RejectError("store_rejected", text or type(error).__name__) from error


_REMEDIES: Final = (
    (errors.InsufficientPrivilege, "let the user of store.url own the schema and its tables"),
    (errors.UndefinedTable, "run `millrace migrate`"),
    (errors.UndefinedColumn, "run `millrace migrate`"),
)
_REPORT: Final = "this is a fault; report it with the log"


# What a person has to mend before anything can start. The client library seldom tells the SQLSTATE
# of a connection that was refused, so the words count as well; in another language they pass for
# an outage.
_REFUSALS: Final = (
    (
        "28P01",
        re.compile(r"password authentication failed|no password supplied"),
        "name the user in store.url, and write its password into store.password_file",
    ),
    (
        "28000",
        re.compile(r'role ".*" (does not exist|is not permitted to log in)|no pg_hba\.conf entry'),
        "create the role with LOGIN, and let pg_hba.conf admit it from this host",
    ),
    (
        "3D000",
        re.compile(r'database ".*" does not exist'),
        "create the database (createdb), or name another one in store.url",
    ),
)


def translate_start(error: psycopg.Error) -> MillraceError:
    """Return what stands for an error of a connection that is made at a start.

    Later the same refusal may pass, as while a server is set up anew; then it is waited for.
    """
    text = str(error).strip().partition("\n")[0]
    for state, words, remedy in _REFUSALS:
        if error.sqlstate == state or (error.sqlstate is None and words.search(str(error))):
            return StopError(f"PostgreSQL refused: {text}", remedy)
    return translate(error)


def translate(error: psycopg.Error) -> MillraceError:
    """Return the error of Millrace that stands for an error of PostgreSQL."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, _PASSING):
        return RetryError(f"PostgreSQL: {text}")
    remedies = (remedy for kind, remedy in _REMEDIES if isinstance(error, kind))
    return StopError(f"PostgreSQL refused: {text}", next(remedies, _REPORT))
