"""The frame of a page of latest values, and how several writers share the pages.

A page holds consecutive series whatever their partitions, so processes that share the log write the
same pages. A ledger therefore puts a page together with what it has, and keeps for each partition
up to which commit its readings are in the pages.
Source: D-21, API-031.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from millrace.model.work import LatestPages

NEVER: Final = np.iinfo(np.int64).min
ROW: Final = np.dtype([("time_ns", "<i8"), ("value", "<f8"), ("attr", "<i8"), ("flags", "<i2")])


class Cover(NamedTuple):
    """The pages have what a partition gave before offset `position`: commits to `through_id`."""

    through_id: int
    position: int


def merged(stored: bytes | None, written: bytes) -> bytes:
    """Return a page with the newer row of each series; of equal times the written one."""
    if stored is None or stored == written:
        return written
    rows, others = np.frombuffer(written, ROW), np.frombuffer(stored, ROW)
    return np.where(rows["time_ns"] >= others["time_ns"], rows, others).tobytes()


def covers(latest: LatestPages) -> dict[int, Cover]:
    """Return what pages cover of the partitions of their writer."""
    return {p: Cover(latest.through_id, position) for p, position in latest.positions.items()}


def complete_to(
    written: Mapping[int, Cover],
    stored: Mapping[int, Sequence[int]],
    positions: Mapping[int, int],
    before: int,
) -> int:
    """Return up to which commit the pages have the readings of all partitions.

    `before` is what held until now. A partition that has not moved since it was covered holds
    nothing back; one that was never covered holds everything, once it has moved.
    """
    known = {**{p: Cover(*cover) for p, cover in stored.items()}, **written}
    bounds = [cover.through_id for cover in written.values()]
    for partition, position in positions.items():
        cover = known.get(partition, Cover(before, 0))
        if position != cover.position:
            bounds.append(cover.through_id)
    return max(before, min(bounds, default=before))
