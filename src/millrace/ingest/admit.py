"""Admission: which partition a message belongs to, and under which name it is counted.

Pure, and per topic only once: the topic says whose message it is (D-11), whether the device exists
or not. What no family takes is logged all the same, so that its bytes are kept.
Source: D-11, D-51, F2-120, MON-030, MON-101.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from operator import itemgetter
from typing import NamedTuple, overload

from millrace.errors import RejectError
from millrace.model.codec import Codec
from millrace.model.message import HTTP, REDRIVE, RawBatch
from millrace.model.partition import partition_of
from millrace.model.records import UNKNOWN_DEVICE

MAX_TOPICS = 400_000
# Longer topics are looked at each time: a flood of them must not fill the memory (F41).
MAX_TOPIC_CHARS = 256

Place = tuple[int, str, str]


class Label(NamedTuple):
    """Labels of the counters of received messages."""

    family: str
    category: str
    transport: str


class Placed(Sequence[tuple[int, int]]):
    """(partition, offset) of each message of an intake, worked out only when somebody asks."""

    def __init__(self, batches: Sequence[RawBatch], partitions: Sequence[int]) -> None:
        self._first = {batch.partition: batch.first_offset for batch in batches}
        self._partitions = partitions
        self._offsets: list[tuple[int, int]] | None = None

    def __len__(self) -> int:
        return len(self._partitions)

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[int, int]]: ...

    def __getitem__(self, index: int | slice) -> tuple[int, int] | Sequence[tuple[int, int]]:
        if self._offsets is None:
            counters = {partition: count(first) for partition, first in self._first.items()}
            self._offsets = [(p, next(counters[p])) for p in self._partitions]
        return self._offsets[index]


@dataclass(frozen=True, slots=True)
class Admitted:
    """One intake by partition, and what it adds to the counters."""

    batches: list[RawBatch]
    partitions: list[int]
    received: Counter[Label]
    bytes_by_family: Counter[str]

    def placed(self) -> Placed:
        """Return where the messages are, after the append."""
        return Placed(self.batches, self.partitions)


class Admission:
    """Splits what was received into one batch per partition, and counts it."""

    def __init__(self, codecs: Sequence[Codec], partitions: int) -> None:
        self._codecs = codecs
        self._partitions = partitions
        self._topics: dict[str, Place] = {}

    def admit(self, messages: RawBatch) -> Admitted:
        """Return a batch per partition; messages of one partition keep their order."""
        places = self._places(messages.topics)
        partitions = [place[0] for place in places]
        indexes: dict[int, list[int]] = {p: [] for p in dict.fromkeys(partitions)}
        for i, partition in enumerate(partitions):
            indexes[partition].append(i)
        batches = {p: _chosen(messages, p, chosen) for p, chosen in indexes.items()}
        return Admitted(list(batches.values()), partitions, *_counted(places, messages))

    def label(self, topic: str) -> tuple[str, str]:
        """Return the family and category that a topic is counted under."""
        return self._places([topic])[0][1:]

    def _places(self, topics: Sequence[str]) -> list[Place]:
        try:
            return [self._topics[topic] for topic in topics]
        except KeyError:
            return [self._topics.get(topic) or self._learn(topic) for topic in topics]

    def _learn(self, topic: str) -> Place:
        place = self._place(topic)
        if len(topic) <= MAX_TOPIC_CHARS:
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            self._topics[topic] = place
        return place

    def _place(self, topic: str) -> Place:
        device_id, family, category = _address(self._codecs, topic)
        return partition_of(device_id, self._partitions), family, category


def device_of(codecs: Sequence[Codec], topic: str) -> str:
    """Return the device that a topic is logged under: the key of its record on a cluster."""
    return _address(codecs, topic)[0]


def _address(codecs: Sequence[Codec], topic: str) -> tuple[str, str, str]:
    for codec in codecs:
        try:
            address = codec.address(topic)
        except RejectError:
            return UNKNOWN_DEVICE, codec.family, "other"
        if address is not None:
            return address.device_id, address.family, address.category
    return UNKNOWN_DEVICE, "generic", "other"


def _chosen(messages: RawBatch, partition: int, indexes: list[int]) -> RawBatch:
    """Return the messages of one partition as a batch of their own."""
    if len(indexes) == len(messages):
        return replace(messages, partition=partition)
    # One call per column picks all its values; with a single index it would not give a sequence.
    pick = itemgetter(*indexes) if len(indexes) > 1 else lambda column: [column[indexes[0]]]
    extras = (
        {n: messages.extras[i] for n, i in enumerate(indexes) if i in messages.extras}
        if messages.extras
        else {}
    )
    return RawBatch(
        partition,
        -1,
        list(pick(messages.topics)),
        list(pick(messages.payloads)),
        list(pick(messages.received_at_ns)),
        list(pick(messages.flags)),
        list(pick(messages.client_ids)),
        list(pick(messages.packet_ids)),
        extras,
    )


def _counted(places: list[Place], messages: RawBatch) -> tuple[Counter[Label], Counter[str]]:
    received: Counter[Label] = Counter()
    for (place, flags), number in Counter(zip(places, messages.flags, strict=True)).items():
        received[Label(place[1], place[2], _transport(flags))] += number
    sizes: Counter[str] = Counter()
    families = {label.family for label in received}
    if len(families) == 1:
        sizes[families.pop()] = sum(map(len, messages.payloads))
    else:
        for place, payload in zip(places, messages.payloads, strict=True):
            sizes[place[1]] += len(payload)
    return received, sizes


def _transport(flags: int) -> str:
    if flags & REDRIVE:
        return "redrive"
    return "http" if flags & HTTP else "mqtt"
