"""The Delta table that lists the sealed files: opened, read and committed to.

Commits are made by the `deltalake` library and made durable here, because a library that renames
without fsync may leave an empty commit behind a power cut. Such a torn commit was never
acknowledged, so the hot batches that it covers are still in the ledger: it is set aside, and they
are sealed again. Anything else that cannot be read stops the process.
Source: D-30; delta.io protocol, "Transaction Identifiers"; F4, F7.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, Transaction

from millrace.adapters.series_delta.files import (
    TABLE_SCHEMA,
    DataFile,
    date_text,
    run_of,
    statistics_of,
    sync,
)
from millrace.errors import FencedError, RetryError, StopError

LOG_FOLDER = "_delta_log"

_CONFIGURATION: dict[str, str | None] = {"delta.logRetentionDuration": "interval 2 days"}
_CHECKPOINT_COMMITS = 50
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


class SealedTable:
    """The table as of the last call of `update`; one writer, any number of readers."""

    def __init__(self, root: Path, shard: str, table: DeltaTable) -> None:
        self.root = root
        self._application = f"millrace:{shard}"
        self._table = table
        self._read()

    @property
    def version(self) -> int:
        """Number of the newest commit that is known here."""
        return self._table.version()

    def update(self) -> bool:
        """Take in later commits; return whether there were any.

        Raises:
            RetryError: The log of the table cannot be read at the moment.
        """
        if not (self.root / LOG_FOLDER / f"{self.version + 1:020d}.json").exists():
            return False
        try:
            self._table.update_incremental()
        except (DeltaError, OSError, ValueError) as error:
            raise RetryError(f"{self.root}: {error}") from error
        self._read()
        return True

    def commit(
        self, adds: Sequence[DataFile], removes: Sequence[DataFile], *, now_ms: int,
        batch_id: int | None = None, changes_rows: bool = True,
    ) -> None:  # fmt: skip
        """Add and remove files as one durable commit; `batch_id` says what is sealed with it.

        Raises:
            FencedError: Another process has committed for the same ledger.
            RetryError: No space, or the store is away; nothing was committed.
        """
        actions: list[AddAction | RemoveAction] = []
        actions += [_add(file, changes_rows=changes_rows) for file in adds]
        actions += [_remove(file, now_ms, changes_rows=changes_rows) for file in removes]
        marks = [] if batch_id is None else [Transaction(self._application, batch_id)]
        before = self.version
        try:
            self._table.create_write_transaction(
                actions,
                "append",
                self._table.schema(),
                ["date"],
                commit_properties=CommitProperties(app_transactions=marks),
                post_commithook_properties=_NO_HOOKS,
            )
        except CommitFailedError as error:
            kind = RetryError if batch_id is None else FencedError
            raise kind(f"{self.root}: another process writes this table: {error}") from error
        except (DeltaError, OSError) as error:
            raise RetryError(f"{self.root}: {error}") from error
        self.update()
        self._make_durable(before)

    def checkpoint(self) -> None:
        """Sum the log up when it has grown, and forget what is older than two days."""
        log = self.root / LOG_FOLDER
        if self.version - _checkpointed(log) < _CHECKPOINT_COMMITS:
            return
        self._table.create_checkpoint()
        self._table.cleanup_metadata()
        _sync_all(log.glob("*checkpoint*"))
        sync(log)

    def _make_durable(self, before: int) -> None:
        log = self.root / LOG_FOLDER
        _sync_all(log / f"{number:020d}.json" for number in range(before + 1, self.version + 1))
        sync(log)

    def _read(self) -> None:
        listed = pa.table(self._table.get_add_actions(flatten=True))
        self.files = tuple(sorted(_files(listed), key=lambda file: (file.day, file.path)))
        self.sealed_through = self._table.transaction_version(self._application) or 0


def open_table(root: Path, shard: str) -> SealedTable | None:
    """Return the table for reading; None when there is none yet.

    Raises:
        RetryError: Its log cannot be read at the moment.
    """
    if not (root / LOG_FOLDER / f"{0:020d}.json").exists() and not _checkpointed(root / LOG_FOLDER):
        return None
    try:
        return SealedTable(root, shard, DeltaTable(root))
    except (DeltaError, OSError, ValueError) as error:
        raise RetryError(f"{root}: {error}") from error


def create_table(root: Path, shard: str) -> SealedTable:
    """Return the table for writing; create it when it is missing, repair a torn last commit.

    Raises:
        StopError: The table is damaged.
    """
    _set_torn_commit_aside(root)
    if (table := open_table(root, shard)) is not None:
        return table
    try:
        root.mkdir(parents=True, exist_ok=True)
        made = DeltaTable.create(
            root, TABLE_SCHEMA, partition_by=["date"], name="readings",
            configuration=_CONFIGURATION,
        )  # fmt: skip
    except (DeltaError, OSError) as error:
        raise StopError(f"{root}: the table cannot be created: {error}") from error
    _sync_all((root / LOG_FOLDER).glob("*.json"))
    for folder in (root / LOG_FOLDER, root, root.parent):
        sync(folder)
    return SealedTable(root, shard, made)


def _checkpointed(log: Path) -> int:
    """Return the version of the last checkpoint, 0 without one."""
    try:
        return int(json.loads((log / "_last_checkpoint").read_bytes())["version"])
    except (FileNotFoundError, ValueError, KeyError):
        return 0


def _set_torn_commit_aside(root: Path) -> None:
    commits = sorted((root / LOG_FOLDER).glob(f"{'[0-9]' * 20}.json"))
    if not commits:
        return
    written = commits[-1].read_bytes()
    if b"\0" in written or not written.rstrip(b"\n").endswith(b"}"):
        commits[-1].replace(commits[-1].with_suffix(".torn"))
        sync(root / LOG_FOLDER)


def _sync_all(paths: Iterable[Path]) -> None:
    for path in paths:
        sync(path)


def _add(file: DataFile, *, changes_rows: bool) -> AddAction:
    return AddAction(
        file.path,
        file.size_bytes,
        {"date": date_text(file.day)},
        file.written_at_ms,
        changes_rows,
        statistics_of(file),
    )


def _remove(file: DataFile, now_ms: int, *, changes_rows: bool) -> RemoveAction:
    values: dict[str, str | None] = {"date": date_text(file.day)}
    return RemoveAction(file.path, changes_rows, now_ms, file.size_bytes, values)


def _files(listed: pa.Table) -> Iterable[DataFile]:
    names = [
        "path", "num_records", "size_bytes", "modification_time", "min.series_id",
        "max.series_id",
    ]  # fmt: skip
    columns = [listed.column(name).to_pylist() for name in names if name in listed.column_names]
    if len(columns) < len(names):
        return
    first = listed.column("min.time").cast(pa.int64()).to_pylist()
    last = listed.column("max.time").cast(pa.int64()).to_pylist()
    days = listed.column("partition.date").cast(pa.int32()).to_pylist()
    for path, rows, size, written, low, high, first_us, last_us, day in zip(
        *columns, first, last, days, strict=True
    ):
        known = low is not None and first_us is not None
        yield DataFile(
            path, run_of(path), day, rows or 0, size, written,
            low if known else -(2**63), high if known else 2**63 - 1,
            first_us if known else -(2**63), last_us if known else 2**63 - 1,
        )  # fmt: skip
