"""What devices show of themselves: that they live, what they are, what they run.

Gathered over many batches and written to the registry row every few seconds, because a row that is
rewritten at every message would cost more than the message.
Source: MTR-070, MTR-071, MTR-076, REG-064, D-21.
"""

from itertools import chain, islice

from millrace.model.event import Report
from millrace.model.message import REPLAYED
from millrace.model.work import DeviceTouch, Work

MOST_AT_ONCE = 10_000

_NOBODY = ("", "unknown")
_TOLD = ("fw_version", "device_type", "location")


class DeviceSigns:
    """Signs since they were last taken.

    Any live message is a sign of life. An `offline` status, mostly a will, is none; neither is what
    was replayed from a retained store, of which only the status counts, and only while the device
    has not spoken itself.
    """

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._status: dict[str, str] = {}
        self._told: dict[str, dict[str, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._seen or self._status or self._told)

    def note(self, work: Work) -> None:
        """Take in the messages of a batch, in their order."""
        statuses = {row.message: row for row in work.decoded.reports if row.kind == "status"}
        received = chain.from_iterable(batch.received_at_ns for batch in work.batches)
        if statuses or any(flags & REPLAYED for b in work.batches for flags in b.flags):
            self._note_one_by_one(work, statuses)
        else:
            self._seen.update(zip(work.device_ids, received, strict=True))
            for device_id in self._status.keys() & set(work.device_ids) if self._status else ():
                del self._status[device_id]
        for report in work.decoded.reports:
            if report.kind != "status":
                told = self._told.setdefault(report.device_id, {})
                told.update({k: v for k, v in report.data.items() if k in _TOLD and v is not None})

    def take(self, limit: int = MOST_AT_ONCE) -> dict[str, DeviceTouch]:
        """Return what was shown by each device, and forget it.

        Of those that only showed that they live, at most `limit`: who has waited longest comes
        first, the others come next time, so a commit never waits for a million rows.
        """
        for nobody in _NOBODY:
            self._seen.pop(nobody, None)
        seen = self._seen
        first = list(islice(seen, limit))
        chosen = dict.fromkeys(chain(first, self._status.keys() & seen, self._told.keys() & seen))
        touches = {device_id: DeviceTouch(seen.pop(device_id), "online") for device_id in chosen}
        for device_id, status in self._status.items():
            touches.setdefault(device_id, DeviceTouch()).connection_status = status
        for device_id, told in self._told.items():
            touch = touches.setdefault(device_id, DeviceTouch())
            for name, value in told.items():
                setattr(touch, name, value)
        self._status, self._told = {}, {}
        return touches

    def _note_one_by_one(self, work: Work, statuses: dict[int, Report]) -> None:
        for batch, base in zip(work.batches, work.bases, strict=True):
            columns = zip(batch.received_at_ns, batch.flags, strict=True)
            for message, (at_ns, flags) in enumerate(columns, base):
                device_id, status = work.device_ids[message], statuses.get(message)
                if flags & REPLAYED:
                    if status is not None and device_id not in self._seen:
                        self._status[device_id] = status.data["status"]
                elif status is not None and status.data["status"] == "offline":
                    self._status[device_id] = "offline"
                else:
                    self._seen[device_id] = at_ns
                    self._status.pop(device_id, None)
