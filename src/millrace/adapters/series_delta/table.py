"""The Delta table that lists the sealed files: opened, read and committed to.

Commits are made by the `deltalake` library and made durable by the storage. A torn commit was never
acknowledged, so the hot batches that it covers are still in the ledger: it is set aside, and they
are sealed again. Anything else that cannot be read stops the process.
Source: D-30; delta.io protocol, "Transaction Identifiers"; F4, F7.
"""

from collections.abc import Iterable, Sequence

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
)
from millrace.adapters.series_delta.storage import FolderStorage, Storage, commit_name
from millrace.errors import FencedError, RetryError, StopError

_CONFIGURATION: dict[str, str | None] = {"delta.logRetentionDuration": "interval 2 days"}
_CHECKPOINT_COMMITS = 50
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


class SealedTable:
    """The table as of the last call of `update`; one writer, any number of readers."""

    def __init__(self, storage: Storage, shard: str, table: DeltaTable) -> None:
        self._storage = storage
        self._application = f"millrace:{shard}"
        self._table = table
        self._is_fenced = False
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
        if not self._storage.has_commit(self.version + 1):
            return False
        try:
            self._table.update_incremental()
        except (DeltaError, OSError, ValueError) as error:
            raise RetryError(f"{self._storage.uri}: {error}") from error
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
        before, sealed = self.version, self.sealed_through
        try:
            self._write(actions, batch_id)
        except (FencedError, RetryError) as error:
            # The store may have taken the commit, and its answer may have been lost.
            self.update()
            if not self._lists(adds, removes, batch_id):
                # It stays so: what the other has committed is known here now, and no conflict.
                is_others = isinstance(error, FencedError) or self.sealed_through != sealed
                self._is_fenced = self._is_fenced or is_others
                raise
        self.update()
        self._storage.keep_log(
            [commit_name(number) for number in range(before + 1, self.version + 1)]
        )

    def _write(self, actions: list[AddAction | RemoveAction], batch_id: int | None) -> None:
        """Write one commit. Raises: as `commit`, and when only its answer was lost."""
        marks = [] if batch_id is None else [Transaction(self._application, batch_id)]
        is_behind = not self._storage.is_fenced and self._storage.has_commit(self.version + 1)
        if self._is_fenced or is_behind:
            raise FencedError(f"{self._storage.uri}: another process writes this table")
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
            raise kind(
                f"{self._storage.uri}: another process writes this table: {error}"
            ) from error
        except (DeltaError, OSError) as error:
            raise RetryError(f"{self._storage.uri}: {error}") from error

    def _lists(
        self, adds: Sequence[DataFile], removes: Sequence[DataFile], batch_id: int | None
    ) -> bool:
        """Return whether the table is as this commit leaves it: names of files tell who wrote."""
        listed = {file.path for file in self.files}
        return (
            all(file.path in listed for file in adds)
            and not any(file.path in listed for file in removes)
            and batch_id in (None, self.sealed_through)
        )

    def checkpoint(self) -> None:
        """Sum the log up when it has grown, and forget what is older than two days.

        Raises:
            RetryError: The store is away.
        """
        if self.version - (self._storage.checkpointed() or 0) < _CHECKPOINT_COMMITS:
            return
        try:
            self._table.create_checkpoint()
            self._table.cleanup_metadata()
        except (DeltaError, OSError) as error:
            raise RetryError(f"{self._storage.uri}: {error}") from error
        name = commit_name(self.version).removesuffix(".json")
        self._storage.keep_log([f"{name}.checkpoint.parquet", "_last_checkpoint"])

    def _read(self) -> None:
        listed = pa.table(self._table.get_add_actions(flatten=True))
        self.files = tuple(sorted(_files(listed), key=lambda file: (file.day, file.path)))
        self.sealed_through = self._table.transaction_version(self._application) or 0


def open_table(storage: Storage, shard: str) -> SealedTable | None:
    """Return the table for reading; None when there is none yet.

    Raises:
        RetryError: Its log cannot be read at the moment.
    """
    if not storage.has_commit(0) and storage.checkpointed() is None:
        return None
    try:
        return SealedTable(storage, shard, DeltaTable(storage.uri, storage_options=storage.options))
    except (DeltaError, OSError, ValueError) as error:
        raise RetryError(f"{storage.uri}: {error}") from error


def create_table(storage: Storage, shard: str) -> SealedTable:
    """Return the table for writing; create it when it is missing, repair a torn last commit.

    Raises:
        StopError: The table is damaged, or its place cannot be written.
        RetryError: The store is away.
    """
    try:
        storage.prepare()
        if (table := open_table(storage, shard)) is not None:
            return table
        made = DeltaTable.create(
            storage.uri, TABLE_SCHEMA, partition_by=["date"], name="readings",
            configuration=_CONFIGURATION, storage_options=storage.options,
        )  # fmt: skip
    except (DeltaError, OSError) as error:
        kind = StopError if isinstance(storage, FolderStorage) else RetryError
        raise kind(f"{storage.uri}: the table cannot be created: {error}") from error
    storage.keep_log([commit_name(0)])
    return SealedTable(storage, shard, made)


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
