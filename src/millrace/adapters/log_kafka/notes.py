"""Companion notes in a compacted topic of one partition, and the marks of those who write them.

A mark goes behind the notes of its append, in the same record batch: it says how many messages the
writer has appended in all and where its last one is in each partition. A crash between the
messages and their notes leaves messages beyond the mark; see `KafkaLog.unnoted`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, KafkaError, Message, TopicPartition

from millrace.adapters.log_kafka.client import (
    ANSWER_S,
    Complaints,
    KafkaCluster,
    fetched,
    translate,
)
from millrace.errors import RetryError
from millrace.ports.log import Note

_NOTE: Final = b"n"
_MARK: Final = b"m"
# Every stored value begins with this: an empty one is no deletion.
_PRESENT: Final = b"="


@dataclass(slots=True)
class Mark:
    """How far the notes of one writer go: messages appended, next offsets by partition."""

    appended: int = 0
    ends: dict[int, int] = field(default_factory=dict)


def note_records(
    notes: Iterable[Note], by: str, mark: Mark
) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield keys and values to write, the mark last; of two notes on one key the later is left."""
    for key, value in {note.key: note.value for note in notes}.items():
        yield _NOTE + key, None if value is None else _PRESENT + value
    body = json.dumps({"appended": mark.appended, "ends": mark.ends})
    yield _MARK + by.encode(), _PRESENT + body.encode()


class NotesTable:
    """The notes as the topic has them, as far as `catch_up` has read. Thread-confined."""

    def __init__(self, cluster: KafkaCluster, topic: str) -> None:
        self._topic = topic
        self._admin = cluster.admin()
        self._complaints = Complaints()
        self._consumer = cluster.consumer(self._complaints, **{"enable.partition.eof": True})
        self._consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        self._next = 0
        self._notes: dict[bytes, bytes] = {}
        self._is_open = True
        self.marks: dict[str, Mark] = {}

    def with_prefix(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the notes with a prefix, in key order."""
        return sorted(item for item in self._notes.items() if item[0].startswith(prefix))

    def catch_up(self) -> None:
        """Read what was written since the last time."""
        end = self._admin.end(self._topic, 0)
        deadline = monotonic() + ANSWER_S
        while self._next < end:
            for message in fetched(self._consumer):
                self._take(message)
                deadline = monotonic() + ANSWER_S
            if monotonic() > deadline:
                raise RetryError(f"Kafka does not send {self._topic}{self._complaints}")

    def close(self) -> None:
        """Release the client; a second call does nothing."""
        if self._is_open:
            self._is_open = False
            self._consumer.close()

    def _take(self, message: Message) -> None:
        error, offset = message.error(), message.offset()
        if error is None:
            self._put(message.key() or b"", message.value())
            self._next = (offset or 0) + 1
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            # Offsets that compaction has removed are passed without a record.
            self._next = max(self._next, offset or 0)
        else:
            raise translate(error, f"reading {self._topic}", self._complaints)

    def _put(self, key: bytes, value: bytes | None) -> None:
        name = key[1:]
        if key.startswith(_MARK) and value is not None:
            told = json.loads(value[1:])
            ends = {int(partition): int(end) for partition, end in told["ends"].items()}
            self.marks[name.decode()] = Mark(int(told["appended"]), ends)
        elif value is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = value[1:]
