"""The log in one SQLite file: one row a batch, one transaction an append.

`files` keeps the folder, its lock and its marks; `tables` the SQL; `faults` turns what SQLite
reports into what the caller must do; `checkpoints` moves the write-ahead log into the file, beside
the appends; `retention` removes what is old; `writer` and `reader` are the two ends of the port.

One file, not one a day: the notes of a broker must be in the transaction of the append, and
SQLite commits a transaction over several files atomically only without a write-ahead log.
Source: D-10, D-11, D-16, P1 to P3.
"""

from millrace.adapters.log_sqlite.files import check_unused
from millrace.adapters.log_sqlite.reader import SqliteLogReader
from millrace.adapters.log_sqlite.writer import SqliteLog

__all__ = ["SqliteLog", "SqliteLogReader", "check_unused"]
