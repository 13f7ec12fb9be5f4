"""The manifest of one segment of the log: which objects hold which of its messages.

It is written last, so an object that no manifest names was left by a crash and will be written
again, the same. Segments of one partition follow each other; what a segment does not name was not
stored (duplicates, dead letters, ticks).
Source: MTR-135, MTR-136; D-28, F3.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import zstandard

from millrace.errors import StopError
from millrace.flow.archive.layouts import Written

VERSION = 1
NOT_STORED = -1

_FOLDER = "manifest=1"
_MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a segment."""

    key: str
    size_bytes: int
    messages: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Objects of the messages `first` to `last` (offsets, inclusive) of one partition.

    Shape: `holds` has one entry per offset: the place of its object in `objects`, or NOT_STORED.
    """

    partition: int
    first: int
    last: int
    layout: str
    objects: list[Listed] = field(default_factory=list)
    holds: list[int] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Key of the manifest itself."""
        return manifest_key(self.partition, self.first, self.last)

    def object_of(self, offset: int) -> str | None:
        """Return the key of the object that holds a message; None when it was not stored."""
        place = self.holds[offset - self.first]
        return None if place == NOT_STORED else self.objects[place].key


def manifest_key(partition: int, first: int, last: int) -> str:
    """Return the key of a manifest."""
    return f"{manifest_prefix(partition)}{first:020d}-{last:020d}.json.zst"


def manifest_prefix(partition: int | None = None) -> str:
    """Return what the keys of the manifests of a partition, or of all, begin with."""
    return f"{_FOLDER}/" if partition is None else f"{_FOLDER}/partition={partition:04d}/"


def extent_of(key: str) -> tuple[int, int]:
    """Return the first and the last offset of a manifest, from its key."""
    first, last = key.rpartition("/")[2].split(".")[0].split("-")
    return int(first), int(last)


def list_objects(bounds: tuple[int, int, int], layout: str, written: Sequence[Written]) -> Manifest:
    """Return the manifest of what was written for (partition, first, last)."""
    partition, first, last = bounds
    holds = [NOT_STORED] * (last - first + 1)
    for place, one in enumerate(written):
        for message in one.messages:
            holds[message.offset - first] = place
    objects = [Listed(one.key, len(one.body), len(one.messages)) for one in written]
    return Manifest(partition, first, last, layout, objects, holds)


def encode(manifest: Manifest) -> bytes:
    """Return a manifest as an object."""
    return zstandard.compress(orjson.dumps({"version": VERSION, **asdict(manifest)}), 3)


def decode(key: str, body: bytes) -> Manifest:
    """Return the manifest that an object holds.

    Raises:
        StopError: It is damaged, or of an unknown version.
    """
    try:
        record: dict[str, Any] = orjson.loads(
            zstandard.decompress(body, max_output_size=_MAX_BYTES)
        )
        version = record.pop("version")
        if version == VERSION:
            objects = [Listed(**one) for one in record.pop("objects")]
            return Manifest(objects=objects, **record)
    except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        raise StopError(f"the manifest {key} is damaged: {error}", "restore it") from error
    raise StopError(f"the manifest {key} has the unknown version {version}", "update Millrace")
