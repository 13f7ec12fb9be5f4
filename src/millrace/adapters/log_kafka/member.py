"""One member of those who share the partitions of a topic.

Kafka's consumer group decides who has which partition: cooperatively, so that what stays where it
is goes on, and with static membership, so that who starts again has its partitions back at once and
nothing else moves. Of two with one name the older is stopped. The member reads nothing and stores
no offsets: positions are those of the ledger, which also fences whoever does not know yet that a
partition has moved.
Source: architecture.md 5, F20, F23.
"""

from typing import Final

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from millrace.adapters.log_kafka.client import Complaints, KafkaCluster, translate
from millrace.errors import StopError

ONLY: Final = "only"


class KafkaMember:
    """`ports.membership.Membership`. Thread-confined; `session_s` after its last sign it is out."""

    def __init__(
        self,
        cluster: KafkaCluster,
        topic: str,
        group: str,
        *,
        instance: str = "",
        session_s: float = 30.0,
    ) -> None:
        self._complaints = Complaints()
        self._mine: set[int] = set()
        more: dict[str, object] = {
            "group.id": group,
            "group.instance.id": instance or ONLY,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(session_s * 1000),
            "heartbeat.interval.ms": max(100, int(session_s * 1000) // 10),
            "fetch.wait.max.ms": 500,
        }
        self._consumer = cluster.consumer(self._complaints, **more)
        self._consumer.subscribe(
            [topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        self._is_open = True

    def partitions(self, wait_s: float = 0.0) -> frozenset[int]:
        message = self._consumer.poll(wait_s)
        error = None if message is None else message.error()
        if error is not None:
            self._examine(error)
        return frozenset(self._mine)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._consumer.close()

    def _examine(self, error: KafkaError) -> None:
        """Raise what needs a person; the library deals with everything else by itself."""
        if error.code() == KafkaError._FATAL:  # noqa: SLF001 - the library's name
            raise StopError(
                f"Kafka has put this process out of its group: {error.str()}",
                "give each process of a role its own kafka.instance",
            )
        named = translate(error, "sharing the partitions", self._complaints)
        if isinstance(named, StopError):
            raise named

    def _assigned(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        for place in given:
            place.offset = OFFSET_END
        try:
            consumer.incremental_assign(given)
            consumer.pause(given)
        except KafkaException as error:
            raise translate(error.args[0], "taking partitions over") from error
        self._mine.update(place.partition for place in given)

    def _revoked(self, _consumer: Consumer, taken: list[TopicPartition]) -> None:
        self._mine.difference_update(place.partition for place in taken)
