"""The reading end: records of the raw topic as batches, and the notes beside them."""

from millrace.adapters.log_kafka.client import KafkaCluster
from millrace.adapters.log_kafka.fetching import Fetcher
from millrace.adapters.log_kafka.notes import NotesTable
from millrace.adapters.log_kafka.records import Unpacker
from millrace.errors import RetryError
from millrace.model.message import RawBatch
from millrace.ports.log import Extent


class KafkaLogReader:
    """`ports.log.LogReader`; a stored batch is one message here. Thread-confined.

    Opening raises RetryError when there is no such topic yet, or nobody answers.
    """

    def __init__(self, cluster: KafkaCluster, topic: str) -> None:
        self._cluster = cluster
        self._topic = topic
        self._admin = cluster.admin()
        self._partitions = self._admin.partitions_of(topic)
        if not self._partitions:
            raise RetryError(f"there is no topic {topic} on {cluster.servers}")
        self._fetcher = Fetcher(cluster, self._admin, topic)
        self._unpacker = Unpacker()
        self._notes: NotesTable | None = None

    @property
    def partitions(self) -> int:
        return self._partitions

    def read(self, partition: int, offset: int, max_messages: int) -> RawBatch | None:
        messages = self._fetcher.read(partition, offset, max_messages)
        if not messages:
            return None
        batch = RawBatch(partition, offset)
        for message in messages:
            if message is None:
                self._unpacker.pass_over(batch)
            else:
                self._unpacker.add(message, batch)
        return batch

    def extents(self) -> list[Extent]:
        found = self._admin.extents(self._topic, self._partitions)
        self._fetcher.told_ends(extent.end for extent in found)
        return found

    def appended(self) -> int:
        return sum(mark.appended for mark in self._table().marks.values())

    def notes(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return self._table().with_prefix(prefix)

    def offset_at(self, partition: int, received_at_ns: int) -> int:
        return self._admin.offset_at(self._topic, partition, received_at_ns // 1_000_000)

    def close(self) -> None:
        self._fetcher.close()
        if self._notes is not None:
            self._notes.close()

    def _table(self) -> NotesTable:
        """Return the notes as of now; only who asks for them pays for a second client."""
        if self._notes is None:
            self._notes = NotesTable(self._cluster, f"{self._topic}_notes")
        self._notes.catch_up()
        return self._notes
