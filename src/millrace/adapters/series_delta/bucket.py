"""A sealed table in a bucket, with copies of its data files in a folder of bounded size.

A data file never changes, so a copy of its size is a copy of it. A file is written into that folder
first, sent to the bucket, and stays as a copy; others are fetched, whole, when they are needed. The
longest unused copies go when there is no room, those in use never. Several processes may share the
folder: who misses a copy that another one has removed fetches it again.

Of two writers one must fail, and that is the store's part: a commit is a PUT with `If-None-Match`.
A store that ignores it is refused, unless the settings say that there is one writer only.
Source: D-30; F30, F31.
"""

import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from millrace.adapters.series_delta.files import DataFile, sync
from millrace.adapters.series_delta.storage import LOG_FOLDER, checkpoint_of, commit_name
from millrace.errors import RejectError, RetryError, StopError
from millrace.objects import S3Options, first_line, open_bucket, table_options

_PART_BYTES = 8 << 20
_CHUNK_BYTES = 4 << 20
_FETCHES_AT_A_TIME = 8
_UNFINISHED = "~"
_PROBE = "_millrace_probe"


class BucketStorage:
    """See `storage.Storage`. Thread-safe."""

    look_every_s: float = 2.0
    list_every_s: float = 3600.0

    def __init__(self, options: S3Options, copies: Path, *, copies_bytes: int = 10 << 30) -> None:
        self.root = copies.absolute()
        self.uri = options.url
        self.options: dict[str, str] | None = table_options(options)
        self.is_fenced = options.conditional_put
        self._store = open_bucket(options)
        self.held_bytes = copies_bytes
        self._in_use: Counter[str] = Counter()
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Find out whether the store refuses to write an object twice."""
        if not self.is_fenced:
            return
        key = f"{_PROBE}/{secrets.token_hex(8)}"
        with self._asking(key):
            obstore.put(self._store, key, b"", mode="create")
            try:
                obstore.put(self._store, key, b"", mode="create")
            except AlreadyExistsError:
                return
            finally:
                obstore.delete(self._store, key)
        raise StopError(
            f"{self.uri}: the store ignores If-None-Match, so two writers would replace each "
            "other's commits",
            "set s3.conditional_put to false, and run one process of the role tend only",
        )

    def has_commit(self, version: int) -> bool:
        key = f"{LOG_FOLDER}/{commit_name(version)}"
        try:
            with self._asking(key):
                obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        return True

    def checkpointed(self) -> int | None:
        key = f"{LOG_FOLDER}/_last_checkpoint"
        try:
            with self._asking(key):
                return checkpoint_of(bytes(obstore.get(self._store, key).bytes()))
        except FileNotFoundError:
            return None

    def keep(self, files: Sequence[DataFile]) -> None:
        with self._using(files):
            for file in files:
                self._send(file)
        self._make_room(0)

    def _send(self, file: DataFile) -> None:
        try:
            with self._asking(file.path):
                obstore.put(self._store, file.path, self.root / file.path, chunk_size=_PART_BYTES)
                size = obstore.head(self._store, file.path)["size"]
        except FileNotFoundError as error:
            raise RetryError(f"{file.path} has gone: {first_line(error)}") from error
        if size != file.size_bytes:
            raise RetryError(f"{file.path}: the store has {size} bytes of {file.size_bytes}")

    def keep_log(self, names: Sequence[str]) -> None:
        pass  # a PUT is durable when it is answered

    @contextmanager
    def held(self, files: Sequence[DataFile]) -> Iterator[None]:
        with self._using(files):
            self._bring(files)
            yield

    @contextmanager
    def _using(self, files: Sequence[DataFile]) -> Iterator[None]:
        """Let no copy of these files be removed to make room."""
        paths = [file.path for file in files]
        with self._lock:
            self._in_use.update(paths)
        try:
            yield
        finally:
            with self._lock:
                self._in_use.subtract(paths)
                self._in_use = +self._in_use

    def distrust(self, files: Sequence[DataFile]) -> bool:
        for file in files:
            (self.root / file.path).unlink(missing_ok=True)
        return bool(files)

    def stored(self) -> set[str]:
        with self._asking(self.uri):
            found = {one["path"] for chunk in obstore.list(self._store) for one in chunk}
        return {path for path in found if path.startswith("date=")}

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            try:
                with self._asking(path):
                    obstore.delete(self._store, path)
            except FileNotFoundError:
                pass
            (self.root / path).unlink(missing_ok=True)

    def _bring(self, files: Sequence[DataFile]) -> None:
        missing = [file for file in files if not self._is_copied(file)]
        if not missing:
            return
        whole_bytes = sum(file.size_bytes for file in files)
        if whole_bytes > self.held_bytes:
            raise RejectError(
                "too_many_points",
                f"the question needs {whole_bytes:,} bytes of sealed files, "
                f"and series.copies_bytes is {self.held_bytes:,}",
            )
        self._make_room(sum(file.size_bytes for file in missing))
        with ThreadPoolExecutor(_FETCHES_AT_A_TIME, "fetch") as pool:
            for _ in pool.map(self._fetch, missing):
                pass

    def _is_copied(self, file: DataFile) -> bool:
        path = self.root / file.path
        try:
            if path.stat().st_size != file.size_bytes:
                return False
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _fetch(self, file: DataFile) -> None:
        """Fetch a file; one that is gone from the bucket is left out, and missed by its reader."""
        path = self.root / file.path
        unfinished = path.with_name(f"{_UNFINISHED}{secrets.token_hex(4)}")
        try:
            with self._asking(file.path):
                found = obstore.get(self._store, file.path)
        except FileNotFoundError:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._asking(file.path), unfinished.open("wb") as stream:
                for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.replace(path)
            sync(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)

    def _make_room(self, wanted_bytes: int) -> None:
        """Remove the longest unused copies until there is room for more; none that is in use."""
        with self._lock:
            copies = sorted(self._copies())
            held = sum(size for _, size, _ in copies)
            for _, size, path in copies:
                if held + wanted_bytes <= self.held_bytes:
                    return
                if not self._in_use[path]:
                    (self.root / path).unlink(missing_ok=True)
                    held -= size
        if wanted_bytes and held + wanted_bytes > self.held_bytes:
            raise RetryError("the copies of sealed files are all in use; ask again in a moment")

    def _copies(self) -> Iterator[tuple[float, int, str]]:
        for path in self.root.glob("date=*/*"):
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            yield facts.st_mtime, facts.st_size, os.path.relpath(path, self.root)

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        """Turn what the store says into what to do; a missing object is left to the caller."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise RetryError(f"{self.uri}: {key}: {first_line(error)}") from error
