"""Moving the write-ahead log into the file, in a thread and on a connection of their own.

A checkpoint beside appends never catches up, and a write-ahead log that was not fully copied never
begins again. So copying is repeated while appends go on until little is left, and only that little
is copied while appends wait. A reader in the middle of a read may still prevent the new beginning;
then the next round tries again.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from millrace.adapters.log_sqlite.faults import SQLITE_ERRORS, translate
from millrace.adapters.log_sqlite.opening import connect
from millrace.errors import StopError

_ROUNDS = 5
_LITTLE_PAGES = 64


class Checkpointer:
    """Runs a checkpoint whenever the write-ahead log has grown by so many pages.

    `append_lock` is held by whoever appends; `on_stop` is told when the disk has failed.
    """

    def __init__(
        self,
        path: Path,
        limit_pages: int,
        append_lock: threading.Lock,
        on_stop: Callable[[StopError], None],
    ) -> None:
        self._connection = connect(path, apsw.SQLITE_OPEN_READWRITE)
        self._limit_pages = limit_pages
        self._due_pages = limit_pages
        self._append_lock = append_lock
        self._on_stop = on_stop
        self._wake = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="log-checkpoint", daemon=True)
        self._thread.start()

    def grown(self, pages: int) -> None:
        """Take note of the size of the write-ahead log after a commit."""
        if pages < self._limit_pages:
            self._due_pages = self._limit_pages
        elif pages >= self._due_pages:
            # One that could not finish is tried again later, not at every commit.
            self._due_pages = pages + self._limit_pages // 4
            self._wake.set()

    def close(self) -> None:
        """Stop the thread and release the connection."""
        self._is_closing = True
        self._wake.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._is_closing:
                return
            self.run_once()

    def run_once(self) -> None:
        """Copy all there is; when that cannot be done at present, do nothing."""
        try:
            for _ in range(_ROUNDS):
                if self._copy() <= _LITTLE_PAGES:
                    break
            with self._append_lock:
                self._copy()
        except SQLITE_ERRORS as error:
            named = translate(error, self._connection, "copying its write-ahead log")
            # No space, or a busy file: the write-ahead log only stays longer.
            if isinstance(named, StopError):
                self._on_stop(named)

    def _copy(self) -> int:
        """Copy what is committed; return how many pages were left behind meanwhile."""
        total, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return total - copied
