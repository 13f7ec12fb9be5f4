"""An archive in an object store: S3 and whatever else `obstore` speaks to.

The store must list in key order, as S3 does. No conditional PUT is needed: keys are made from the
log alone, so writing an object again writes the same bytes. A large object is sent in parts, and is
there only when all of them are; what was put is asked for before it counts as stored.
Source: D-28; F30, F31; libraries.md ("the archive must not need conditional PUT").
"""

from collections.abc import Iterator

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from millrace.errors import NotFoundError, RetryError
from millrace.objects import first_line
from millrace.ports.archive import StoredObject

PART_BYTES = 8 << 20
_PARTS_AT_A_TIME = 4


class ObjectArchive:
    """See `ports.archive.Archive`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, key: str, body: bytes) -> None:
        try:
            obstore.put(
                self._store, key, body, chunk_size=PART_BYTES, max_concurrency=_PARTS_AT_A_TIME
            )
            size = obstore.head(self._store, key)["size"]
        except (BaseError, OSError) as error:
            raise _retry(key, error) from error
        if size != len(body):
            raise RetryError(f"{key}: the store has {size} bytes of {len(body)}")

    def get(self, key: str) -> bytes:
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no object {key}") from error
        except (BaseError, OSError) as error:
            raise _retry(key, error) from error

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
            raise _retry(prefix, error) from error

    def delete(self, key: str) -> None:
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise _retry(key, error) from error


def _retry(key: str, error: Exception) -> RetryError:
    return RetryError(f"{key or 'the archive'}: {first_line(error)}")
