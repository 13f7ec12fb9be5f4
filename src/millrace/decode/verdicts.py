"""What the sequence says of decoded messages, and how that changes the work.

Judging moves the state of the devices and happens once per batch; applying only edits the work, so
a batch that must be decoded again (the registry moved, the ledger refused it) keeps its verdicts.
Source: MTR-050 to MTR-060, D-16, D-25, D-26.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from operator import attrgetter

import numpy as np

from millrace.decode.redelivery import RedeliveryMemory
from millrace.decode.registration import Registration
from millrace.decode.sequence import SequenceTracker
from millrace.errors import RejectError
from millrace.model.columns import FlagColumn
from millrace.model.event import DeadLetter, Event
from millrace.model.sequence import SequenceFacts
from millrace.model.work import Work


@dataclass(slots=True)
class Verdicts:
    """Duplicates by message with their kind, flags to add by message, events to add.

    `firmware` has the messages that name the firmware of their device, with the one named before;
    `registering` those whose device gets a registry row, with the pace after it.
    Messages have the numbers of the work that was judged, which held `count` of them; `origins`
    says for each partition which number its offset 0 would have.
    """

    duplicates: dict[int, str] = field(default_factory=dict)
    flags: dict[int, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    firmware: dict[int, str] = field(default_factory=dict)
    registering: dict[int, int] = field(default_factory=dict)
    origins: dict[int, int] = field(default_factory=dict)
    count: int = 0

    def of(self, work: Work) -> "Verdicts":
        """Return the verdicts on a part of what was judged, by the numbers of that part."""
        if len(work) == self.count:
            return self
        numbers: dict[int, int] = {}
        for batch, base in zip(work.batches, work.bases, strict=True):
            first = self.origins[batch.partition] + batch.first_offset
            numbers.update(zip(range(first, first + len(batch)), count(base), strict=False))
        return Verdicts(
            {numbers[m]: kind for m, kind in self.duplicates.items() if m in numbers},
            {numbers[m]: flags for m, flags in self.flags.items() if m in numbers},
            [replace(e, message=numbers[e.message]) for e in self.events if e.message in numbers],
            {numbers[m]: before for m, before in self.firmware.items() if m in numbers},
            {numbers[m]: pace for m, pace in self.registering.items() if m in numbers},
        )


def judge(
    work: Work,
    tracker: SequenceTracker,
    redelivery: RedeliveryMemory,
    registration: Registration | None = None,
) -> Verdicts:
    """Return what the sequence rules say of every message, and remember the messages.

    Without `registration` no device gets a registry row.
    """
    verdicts = Verdicts(count=len(work))
    if registration is not None and work.unknown:
        verdicts.registering = registration.grant(work)
    sequenced = {fact.message for fact in work.decoded.facts if fact.seq is not None}
    for batch, base in zip(work.batches, work.bases, strict=True):
        verdicts.origins[batch.partition] = base - batch.first_offset
        for i in redelivery.observe(batch, {m - base for m in sequenced}):
            verdicts.duplicates[base + i] = "redelivery"
    for verdict in tracker.judge(_new_facts(work, verdicts)):
        if verdict.duplicate is not None:
            verdicts.duplicates[verdict.message] = verdict.duplicate
        if verdict.flags:
            verdicts.flags[verdict.message] = verdict.flags
        if verdict.fw_before is not None:
            verdicts.firmware[verdict.message] = verdict.fw_before
        verdicts.events += verdict.events
    return verdicts


def apply(work: Work, verdicts: Verdicts) -> Work:
    """Take duplicates out of the work, and add the flags and events of the verdicts."""
    if verdicts.duplicates:
        work.duplicates.update(verdicts.duplicates)
        _drop(work, verdicts.duplicates)
        for message in verdicts.duplicates:
            work.rejected.pop(message, None)
    if verdicts.flags:
        work.readings.flags[:] |= _flags(work, verdicts.flags)[work.readings.message]
    if verdicts.registering:
        unknown = set(work.unknown)
        work.registering = {m: p for m, p in verdicts.registering.items() if m in unknown}
    changes = list(_firmware_changes(work, verdicts)) if verdicts.firmware else []
    if verdicts.events or changes:
        # The sort is stable: of one message, what the sequence says comes first.
        events = [*verdicts.events, *work.decoded.events, *changes]
        work.decoded.events = sorted(events, key=attrgetter("message"))
    return work


def _new_facts(work: Work, verdicts: Verdicts) -> list[SequenceFacts]:
    """Return the facts without those of hellos that came again and carry no number."""
    facts = work.decoded.facts
    if not verdicts.duplicates:
        return facts
    return [f for f in facts if f.status is not None or f.message not in verdicts.duplicates]


def _firmware_changes(work: Work, verdicts: Verdicts) -> Iterator[Event]:
    """Yield a change for each message that names another firmware than the known one (MTR-060).

    What the log has said outweighs the registry, where it is shown a little later.
    """
    for report in work.decoded.reports:
        before = verdicts.firmware.get(report.message)
        if before is None:
            continue
        before = before or report.data["registered_fw"]
        if before and before != report.data["fw_version"]:
            batch, i = work.locate(report.message)
            data = {"from": before, "to": report.data["fw_version"]}
            at_ns = batch.received_at_ns[i]
            yield Event("fw_changed", report.device_id, at_ns, data, message=report.message)


def _flags(work: Work, flags: dict[int, int]) -> FlagColumn:
    """Return the flags of every message."""
    column = np.zeros(len(work), np.int16)
    column[list(flags)] = list(flags.values())
    return column


def refuse(work: Work, errors: Mapping[int, RejectError]) -> Work:
    """Make dead letters of messages that cannot be stored; nothing else is left of them."""
    _drop(work, errors)
    for message, error in errors.items():
        work.duplicates.pop(message, None)
        work.rejected[message] = error.reason
        letter = DeadLetter(error.reason, detail=error.detail, message=message)
        work.decoded.dead_letters.append(letter)
    return work


def _drop(work: Work, messages: Collection[int]) -> None:
    out, readings = work.decoded, work.readings
    work.readings = readings.chosen(~np.isin(readings.message, list(messages)))
    out.events = [row for row in out.events if row.message not in messages]
    out.dead_letters = [row for row in out.dead_letters if row.message not in messages]
    out.reports = [row for row in out.reports if row.message not in messages]
