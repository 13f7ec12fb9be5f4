"""An archive of plain files below one folder; a key is a path.

An object is written under another name, made durable and renamed, so a name never stands for half
an object. Keys are made by us; one that would leave the folder is refused all the same.
Source: MTR-135; A22, F3.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from millrace.errors import NotFoundError, RetryError, StopError
from millrace.ports.archive import StoredObject

# No key part begins like this: ids are percent-encoded.
_UNFINISHED = "~"


class FileArchive:
    """See `ports.archive.Archive`."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put(self, key: str, body: bytes) -> None:
        path = self._path(key)
        try:
            _make_folders(self._root, path.parent)
            unfinished = path.with_name(_UNFINISHED + path.name)
            with unfinished.open("wb") as stream:
                stream.write(body)
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.replace(path)
            _sync(path.parent)
        except OSError as error:
            raise RetryError(f"{path}: {error.strerror}") from error

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFoundError(f"there is no object {key}") from error
        except OSError as error:
            raise RetryError(f"{self._root}: {error.strerror}") from error

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Iterator[StoredObject]:
        found = 0
        for key in _keys(self._root, "", prefix, after):
            if found == limit:
                return
            try:
                facts = (self._root / key).stat()
            except FileNotFoundError:
                continue
            found += 1
            yield StoredObject(key, facts.st_size, facts.st_mtime_ns)

    def delete(self, key: str) -> None:
        path = self._path(key)
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self._root or any(folder.iterdir()):
                return
            folder.rmdir()

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if "\0" in key or any(part in ("", ".", "..") or part[0] == _UNFINISHED for part in parts):
            raise StopError(f"the object key {key!r} is not one of ours")
        return self._root.joinpath(*parts)


def _keys(folder: Path, above: str, prefix: str, after: str) -> Iterator[str]:
    """Yield keys below a folder in key order; folders that cannot hold any are not entered."""
    try:
        entries = [(entry.name + "/" * entry.is_dir(), entry) for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, entry in sorted(entries, key=lambda one: one[0]):
        key = above + name
        if name.startswith(_UNFINISHED):
            continue
        if not name.endswith("/"):
            if key.startswith(prefix) and key > after:
                yield key
        elif _may_hold(key, prefix) and (key > after or after.startswith(key)):
            yield from _keys(Path(entry.path), key, prefix, after)


def _may_hold(folder: str, prefix: str) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)


def _make_folders(root: Path, folder: Path) -> None:
    """Make folders whose entries survive a loss of power."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        _sync(one.parent)
    root.mkdir(parents=True, exist_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
