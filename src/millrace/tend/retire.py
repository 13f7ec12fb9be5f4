"""What retention no longer keeps: whole days of readings, objects of the archive.

The log is retired by the process that writes it. Readings, registry rows and objects do not depend
on each other.
Source: D-30, MTR-137.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from millrace.flow.archive.layouts import LAYOUTS
from millrace.flow.archive.manifest import decode, manifest_prefix
from millrace.ports.archive import Archive
from millrace.ports.series import SeriesWriter

_SECOND_NS = 1_000_000_000
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept. Units: seconds; None is for ever.

    `categories` has a span of its own for single categories of messages.
    """

    series_s: int | None = None
    archive_s: int | None = None
    categories: Mapping[str, int | None] = field(default_factory=dict)

    def of_category(self, category: str) -> int | None:
        """Return how long messages of a category are kept."""
        return self.categories.get(category, self.archive_s)


def retire_series(series: SeriesWriter, retention: Retention, now_ns: int) -> int:
    """Delete days of readings that are too old; return how many.

    Raises:
        RetryError: The series are away.
    """
    if retention.series_s is None:
        return 0
    return series.retire(now_ns - retention.series_s * _SECOND_NS)


def retire_archive(archive: Archive, layout: str, retention: Retention, now_ns: int) -> int:
    """Delete objects whose last message is too old; return how many.

    Raises:
        RetryError: The archive is away.
    """
    spans = [retention.archive_s, *retention.categories.values()]
    if all(span is None for span in spans):
        return 0
    arranged = LAYOUTS[layout]
    deleted, after = 0, ""
    while page := [one.key for one in archive.list("", after, _PAGE)]:
        for key in page:
            holder = arranged.holder(key)
            if holder is None:
                continue
            kept_s = retention.of_category(holder.category)
            if kept_s is not None and holder.last_ns < now_ns - kept_s * _SECOND_NS:
                archive.delete(key)
                deleted += 1
        after = page[-1]
    return deleted + _retire_manifests(archive)


def _retire_manifests(archive: Archive) -> int:
    """Delete the oldest manifests of each partition while nothing they name is left."""
    deleted, after, finished = 0, "", ""
    while page := [one.key for one in archive.list(manifest_prefix(), after, _PAGE)]:
        for key in page:
            folder = key.rpartition("/")[0]
            if folder == finished:
                continue
            manifest = decode(key, archive.get(key))
            if any(_exists(archive, one.key) for one in manifest.objects):
                finished = folder
                continue
            archive.delete(key)
            deleted += 1
        after = page[-1]
    return deleted


def _exists(archive: Archive, key: str) -> bool:
    return any(one.key == key for one in archive.list(key, limit=1))
