"""One question to DuckDB: rows of a selection in, an Arrow table out, errors by what to do.

Source: F55; libraries.md ("fetch Arrow").
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from millrace.adapters.series_delta.engine import BROKEN, MISTAKES, open_engine
from millrace.adapters.series_delta.sql import Rows, rows_of
from millrace.adapters.series_delta.storage import Storage
from millrace.adapters.series_delta.view import Selection, Sources, View, sources
from millrace.errors import MillraceError, RetryError, StopError

# What finding out which readings replace others takes for each reading and column, at most.
_MIXED_CELL_BYTES = 180


class Engine:
    """Asks DuckDB; any thread may ask, each question has a connection of its own.

    `current` gives the newest view: the files of an older one may be tidied away while a long
    question runs, and the newer view holds the same readings.
    """

    def __init__(
        self, memory_bytes: int, threads: int, storage: Storage, current: Callable[[], View]
    ) -> None:
        self._memory_bytes = memory_bytes
        self._storage = storage
        self._threads = threads
        self._current = current
        self._lock = threading.Lock()
        self._distrusted: set[str] = set()
        self._connection = open_engine(memory_bytes, threads=threads)

    def ask(
        self,
        view: View,
        selection: Selection,
        columns: Sequence[str],
        question: str,
        *,
        is_part: bool = False,
    ) -> pa.Table:
        """Return the answer to a question about the relation `readings`.

        Shape: `readings` has series_id, time and `columns`. The files of a view that `is_part` of
        another are not replaced by those of the newest view when they have gone.
        Raises:
            RetryError: Too little memory, or files went away; ask again.
            StopError: A sealed file is damaged; it is named.
        """
        found = sources(view, selection)
        try:
            with self._storage.held((*found.clean, *found.mixed)):
                return self._run(view, found, selection, columns, question)
        except duckdb.OutOfMemoryException as error:
            raise RetryError(f"the question needs too much memory: {error}") from error
        except MISTAKES:
            raise
        except duckdb.Error as error:
            if isinstance(error, BROKEN):
                self._reopen()
            newer = self._current()
            if not _missing(view, found):
                raise self._damaged(view, found, error) from error
            if newer is view or is_part:
                raise RetryError(f"sealed files have gone: {error}") from error
        return self.ask(newer, selection, columns, question)

    def mixed_rows(self, columns: Sequence[str]) -> int:
        """Return about how many overlapping readings one question can take."""
        return self._memory_bytes // (_MIXED_CELL_BYTES * (1 + len(columns)))

    def close(self) -> None:
        """Release the database; a second call does nothing."""
        self._connection.close()

    def _run(
        self,
        view: View,
        found: Sources,
        selection: Selection,
        columns: Sequence[str],
        question: str,
    ) -> pa.Table:
        rows: Rows = rows_of(view.root, found, selection, columns)
        with self._lock:
            cursor = self._connection.cursor()
        try:
            if rows.reads_hot:
                cursor.register("hot", rows.hot)
            if selection.ids is not None:
                cursor.register("asked", pa.table({"id": pa.array(selection.ids)}))
            statement = f"WITH readings AS ({rows.sql}) {question}"
            return cursor.sql(statement, params=rows.params).to_arrow_table()
        finally:
            cursor.close()

    def _damaged(self, view: View, found: Sources, error: duckdb.Error) -> MillraceError:
        """Return what to do about files that cannot be read; copies are fetched again first."""
        files = (*found.clean, *found.mixed)
        damaged = [file for file in files if not _is_readable(view.root / file.path)]
        names = ", ".join(str(view.root / file.path) for file in damaged)
        if self._storage.distrust([file for file in damaged if file.path not in self._distrusted]):
            self._distrusted.update(file.path for file in damaged)
            return RetryError(f"copies of sealed files were damaged: {names}")
        return StopError(
            f"sealed history is damaged: {names or 'no single file'}: {error}",
            "restore the file from a backup",
        )

    def _reopen(self) -> None:
        """Replace a database that has declared itself invalid."""
        with self._lock:
            self._connection = open_engine(self._memory_bytes, threads=self._threads)


def _missing(view: View, found: Sources) -> list[Path]:
    paths = [view.root / file.path for file in (*found.clean, *found.mixed)]
    return [path for path in paths if not path.exists()]


def _is_readable(path: Path) -> bool:
    try:
        pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return False
    return True
