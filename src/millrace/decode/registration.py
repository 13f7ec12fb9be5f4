"""Who gets a registry row without a person: how many devices, and how fast.

The readings of an unknown device are stored whether it gets a row or not; one that got none is
asked about again with its next message. The pace follows the times of receipt and each partition
has its share of it. So the same log gives the same rows however it is cut, and core processes that
share the partitions need not agree about anything. The total is counted over all partitions.
Source: REG-104, D-13, D-27.
"""

from collections.abc import Mapping

from millrace.model.instants import SECOND_NS
from millrace.model.work import Work

# Clocks of several ingests differ; one that is further behind than this was set back.
_SET_BACK_NS = 60 * SECOND_NS


class Pace:
    """`burst` rows at once, then `per_s` a second, shared evenly by `partitions`.

    All that is remembered of a partition is when its next row would be due if rows came evenly.
    It moves with a row only, so it is stored with the rows.
    """

    def __init__(self, partitions: int = 1, *, burst: int = 1_000, per_s: int = 10) -> None:
        self._interval_ns = partitions * SECOND_NS // per_s
        self._ahead_ns = self._interval_ns * (max(1, burst // partitions) - 1)
        self._due_ns: dict[int, int] = {}

    def take(self, partition: int, at_ns: int) -> int | None:
        """Return when the row after this one would be due, None when this one has to wait."""
        due_ns = self._due_ns.get(partition, at_ns)
        if due_ns - at_ns > self._ahead_ns + self._interval_ns + _SET_BACK_NS:
            due_ns = at_ns
        if due_ns - at_ns > self._ahead_ns:
            return None
        self._due_ns[partition] = due_ns = max(due_ns, at_ns) + self._interval_ns
        return due_ns

    def restore(self, due_ns: Mapping[int, int]) -> None:
        """Take over what was stored."""
        self._due_ns = dict(due_ns)


class Registration:
    """Grants registry rows to unknown devices, `rows_left` of them, at a pace if there is one."""

    def __init__(self, rows_left: int = 10_000, pace: Pace | None = None) -> None:
        self._rows_left = rows_left
        self._pace = pace

    def grant(self, work: Work) -> dict[int, int]:
        """Return the messages whose device gets a row, with when the next one would be due.

        To be called once for a message: it moves the pace.
        """
        granted: dict[int, int] = {}
        devices: set[str] = set()
        for message in work.unknown:
            device_id = work.device_ids[message]
            if self._rows_left <= 0 or device_id in devices:
                continue
            due_ns: int | None = 0
            if self._pace is not None:
                batch, i = work.locate(message)
                due_ns = self._pace.take(batch.partition, batch.received_at_ns[i])
            if due_ns is not None:
                granted[message] = due_ns
                devices.add(device_id)
                self._rows_left -= 1
        return granted

    def restore(self, paces: Mapping[int, int]) -> None:
        """Take over the pace of each partition as it was stored."""
        if self._pace is not None:
            self._pace.restore(paces)
