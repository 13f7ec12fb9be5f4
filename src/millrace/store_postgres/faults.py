"""Errors of PostgreSQL, named by what the caller must do.

Source: reliability.md F22 to F26.
"""

from typing import Final

import psycopg
from psycopg import errors

from millrace.errors import MillraceError, RetryError, StopError

# What passes, or what an operator mends while we wait: nothing was stored.
_PASSING: Final = (
    errors.OperationalError,
    errors.InterfaceError,
    errors.ReadOnlySqlTransaction,
    errors.InFailedSqlTransaction,
    errors.IdleInTransactionSessionTimeout,
)


def translate(error: psycopg.Error) -> MillraceError:
    """Return the error of Millrace that stands for an error of PostgreSQL."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, _PASSING):
        return RetryError(f"PostgreSQL: {text}")
    return StopError(f"PostgreSQL refused: {text}", "this is a fault; report it with the log")
