"""An archive in an object store: S3 and whatever else `obstore` speaks to.

The store must list in key order, as S3 does. No conditional PUT is needed: keys are made from the
log alone, so writing an object again writes the same bytes.
Source: D-28; F31; libraries.md ("the archive must not need conditional PUT").
"""

from collections.abc import Iterator

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from millrace.errors import NotFoundError, RetryError
from millrace.ports.archive import StoredObject


class ObjectArchive:
    """See `ports.archive.Archive`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, key: str, body: bytes) -> None:
        try:
            obstore.put(self._store, key, body)
        except (BaseError, OSError) as error:
            raise RetryError(f"{key}: {error}") from error

    def get(self, key: str) -> bytes:
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no object {key}") from error
        except (BaseError, OSError) as error:
            raise RetryError(f"{key}: {error}") from error

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Iterator[StoredObject]:
        # The store matches whole path segments; the rest of the prefix is matched here.
        folder = prefix.rpartition("/")[0] or None
        found = 0
        try:
            for chunk in obstore.list(self._store, folder, offset=after or None):
                for one in chunk:
                    if found == limit:
                        return
                    if one["path"].startswith(prefix) and one["path"] > after:
                        found += 1
                        at_ns = int(one["last_modified"].timestamp() * 1_000_000) * 1000
                        yield StoredObject(one["path"], one["size"], at_ns)
        except (BaseError, OSError) as error:
            raise RetryError(f"{prefix}: {error}") from error

    def delete(self, key: str) -> None:
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise RetryError(f"{key}: {error}") from error
