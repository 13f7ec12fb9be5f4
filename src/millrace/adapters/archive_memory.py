"""An archive in memory, for tests and trials."""

from collections.abc import Callable, Iterator

from millrace.errors import NotFoundError
from millrace.ports.archive import StoredObject


class MemoryArchive:
    """See `ports.archive.Archive`."""

    def __init__(self, now_ns: Callable[[], int] = lambda: 0) -> None:
        self._now_ns = now_ns
        self._objects: dict[str, tuple[bytes, int]] = {}

    def put(self, key: str, body: bytes) -> None:
        self._objects[key] = (body, self._now_ns())

    def get(self, key: str) -> bytes:
        if key not in self._objects:
            raise NotFoundError(f"there is no object {key}")
        return self._objects[key][0]

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Iterator[StoredObject]:
        keys = sorted(key for key in self._objects if key.startswith(prefix) and key > after)
        for key in keys[:limit]:
            body, modified_at_ns = self._objects[key]
            yield StoredObject(key, len(body), modified_at_ns)

    def delete(self, key: str) -> None:
        self._objects.pop(key, None)
