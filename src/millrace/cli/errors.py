"""Errors at the edge of the command line: one plain line with the remedy, and an exit code.

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 something outside is unavailable at start, 130
interrupted. A traceback is printed only for what is no error of ours.
Source: D-57.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from millrace.errors import MillraceError, RetryError, StopError

EXIT_FAILED = 1
EXIT_UNAVAILABLE = 3
EXIT_INTERRUPTED = 130


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn errors of ours and an interruption into text and exit code."""
    try:
        yield
    except BaseExceptionGroup as group:
        _end(_first(group))
    except (MillraceError, OSError, KeyboardInterrupt) as error:
        _end(error)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _end(error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has seen enough.
        sys.exit(EXIT_FAILED)
    if isinstance(error, OSError):
        sys.stderr.write(f"millrace: {error.filename or 'the system'}: {error.strerror}\n")
        sys.exit(EXIT_FAILED)
    if not isinstance(error, MillraceError):
        raise error
    sys.stderr.write(f"millrace: {error}\n")
    if isinstance(error, StopError):
        if error.remedy:
            sys.stderr.write(f"  → {error.remedy}\n")
        sys.exit(error.exit_code)
    sys.exit(EXIT_UNAVAILABLE if isinstance(error, RetryError) else EXIT_FAILED)
