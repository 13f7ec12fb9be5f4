"""Where a sealed table is kept: a folder of this machine, or a bucket.

What differs is here and nowhere else: how a commit is seen without opening the table, what makes a
file or a commit durable, and how a file comes to where DuckDB can read it.
Source: D-30; F4, F7.
"""

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from millrace.adapters.series_delta.files import DataFile, sync

LOG_FOLDER = "_delta_log"


class Storage(Protocol):
    """The place of one table.

    `root` is the folder in which data files are written and read; `uri` and `options` are what
    `deltalake` opens. `look_every_s` says how often to look for commits, `list_every_s` how often
    to list what is there. `is_fenced`: of two writers of one commit one fails. `held_bytes` is the
    most that can be held at a time.
    """

    root: Path
    uri: str
    options: dict[str, str] | None
    look_every_s: float
    list_every_s: float
    is_fenced: bool
    held_bytes: int

    def prepare(self) -> None:
        """Make ready for a writer. Raises: RetryError, StopError."""
        ...

    def has_commit(self, version: int) -> bool:
        """Return whether a commit is there. Raises: RetryError."""
        ...

    def checkpointed(self) -> int | None:
        """Return the version of the last checkpoint. Raises: RetryError."""
        ...

    def keep(self, files: Sequence[DataFile]) -> None:
        """Make data files durable that were written below `root`. Raises: RetryError."""
        ...

    def keep_log(self, names: Sequence[str]) -> None:
        """Make files of the log durable."""
        ...

    def held(self, files: Sequence[DataFile]) -> AbstractContextManager[None]:
        """Bring files below `root`, and hold them there meanwhile; some may be gone for good.

        Raises:
            RejectError: They are too large to be brought together.
            RetryError: The store is away.
        """
        ...

    def distrust(self, files: Sequence[DataFile]) -> bool:
        """Forget copies of files; return whether the files may now read differently."""
        ...

    def stored(self) -> set[str]:
        """Return the paths of all data files, listed in the table or not. Raises: RetryError."""
        ...

    def remove(self, paths: Iterable[str]) -> None:
        """Delete data files. Raises: RetryError."""
        ...


class FolderStorage:
    """A table in a folder; see `Storage`.

    Commits are made durable here, because a library that renames without fsync may leave an empty
    commit behind a power cut.
    """

    look_every_s: float = 0.0
    list_every_s: float = 0.0
    options: dict[str, str] | None = None
    is_fenced: bool = True
    held_bytes: int = 2**63 - 1

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = str(self.root)
        self._log = self.root / LOG_FOLDER

    def prepare(self) -> None:
        """Set a torn last commit aside: nobody was told of it, and it is sealed again."""
        commits = sorted(self._log.glob(f"{'[0-9]' * 20}.json"))
        if commits:
            written = commits[-1].read_bytes()
            if b"\0" in written or not written.rstrip(b"\n").endswith(b"}"):
                commits[-1].replace(commits[-1].with_suffix(".torn"))
                sync(self._log)
        else:
            self.root.mkdir(parents=True, exist_ok=True)

    def has_commit(self, version: int) -> bool:
        return (self._log / commit_name(version)).exists()

    def checkpointed(self) -> int | None:
        try:
            return checkpoint_of((self._log / "_last_checkpoint").read_bytes())
        except FileNotFoundError:
            return None

    def keep(self, files: Sequence[DataFile]) -> None:
        pass  # made durable as it was written

    def keep_log(self, names: Sequence[str]) -> None:
        for name in names:
            sync(self._log / name)
        is_made = commit_name(0) in names
        for folder in (self._log, self.root, self.root.parent) if is_made else (self._log,):
            sync(folder)

    def held(self, files: Sequence[DataFile]) -> AbstractContextManager[None]:
        return nullcontext()

    def distrust(self, files: Sequence[DataFile]) -> bool:
        return False

    def stored(self) -> set[str]:
        return {os.path.relpath(path, self.root) for path in self.root.glob("date=*/*")}

    def remove(self, paths: Iterable[str]) -> None:
        doomed = [self.root / path for path in paths]
        for path in doomed:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in doomed}:
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()


def storage_of(place: Path | Storage) -> Storage:
    """Return the storage of a table; a path is a folder."""
    return FolderStorage(place) if isinstance(place, Path) else place


def commit_name(version: int) -> str:
    """Return the file name of a commit in the log of a table."""
    return f"{version:020d}.json"


def checkpoint_of(body: bytes) -> int | None:
    """Return the version that `_last_checkpoint` names; None when it names none."""
    try:
        return int(json.loads(body)["version"])
    except (ValueError, KeyError, TypeError):
        return None
