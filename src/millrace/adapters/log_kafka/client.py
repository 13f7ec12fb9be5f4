"""A cluster: where it is, how to log in, and what its errors mean for the caller.

The library retries by itself whatever passes; what reaches us is either waited for (RetryError) or
needs a person (StopError).
"""

from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from millrace.errors import GoneError, MillraceError, RetryError, StopError
from millrace.ports.log import Extent

ANSWER_S: Final = 10.0
# The largest MQTT packet that is taken by default, in base64, with room to spare.
MAX_RECORD_BYTES: Final = 16 << 20
_AT_ONCE: Final = 10_000
_POLL_S: Final = 0.1

_REFUSED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - the library's names of its own errors
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_GONE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001
_WRONG: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.POLICY_VIOLATION,
        KafkaError._FATAL,  # noqa: SLF001
        KafkaError._INVALID_ARG,  # noqa: SLF001
        KafkaError._SSL,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    }
)

Answer = TypeVar("Answer")


class Shape(NamedTuple):
    """How many partitions a topic has, and how many copies the one with the fewest."""

    partitions: int
    replicas: int


@dataclass(slots=True)
class Complaints:
    """The last thing that the library said in the background: why an answer does not come."""

    last: str = ""
    is_refusal: bool = False

    def __call__(self, error: KafkaError) -> None:
        """Take note of an error."""
        self.last = error.str()
        self.is_refusal = self.is_refusal or error.code() in _REFUSED

    def __str__(self) -> str:
        return f" ({self.last})" if self.last else ""


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """Addresses, and further settings of the client library: TLS and SASL."""

    servers: str
    access: Mapping[str, str] = field(default_factory=dict)

    def options(self, complaints: Complaints, **more: Any) -> dict[str, Any]:
        """Return the settings of a client of this cluster."""
        return {
            "bootstrap.servers": self.servers,
            "client.id": "millrace",
            "log_level": 0,
            "error_cb": complaints,
            "reconnect.backoff.max.ms": 2_000,
            **self.access,
            **more,
        }

    def consumer(self, complaints: Complaints, **more: Any) -> Consumer:
        """Return a client that reads where it is told to, and never stores where it was."""
        options = {
            "group.id": "millrace-reader",  # asked for by the library; nobody joins it
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_uncommitted",
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 50,
            "fetch.message.max.bytes": 4 << 20,
            "fetch.max.bytes": 2 * MAX_RECORD_BYTES,
            "receive.message.max.bytes": 4 * MAX_RECORD_BYTES,
            "queued.max.messages.kbytes": 16 << 10,
            **more,
        }
        try:
            return Consumer(self.options(complaints, **options))
        except KafkaException as error:
            raise translate(error.args[0], "setting up the Kafka client") from error

    def admin(self) -> "Admin":
        """Return a client for questions about topics."""
        return Admin(self)


def fetched(consumer: Consumer) -> list[Message]:
    """Return what has come; wait a moment for the first record only."""
    first = consumer.poll(_POLL_S)
    return [] if first is None else [first, *consumer.consume(_AT_ONCE, 0)]


class Admin:
    """Questions and orders about topics, each answered within `ANSWER_S`."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._complaints = Complaints()
        try:
            self.client = AdminClient(cluster.options(self._complaints))
        except KafkaException as error:
            raise translate(error.args[0], "setting up the Kafka client") from error

    def brokers(self) -> int:
        """Return how many brokers the cluster has."""
        try:
            return len(self.client.list_topics(timeout=ANSWER_S).brokers)
        except KafkaException as error:
            self.client.poll(0)
            raise self._named(error, "asking for the brokers") from error

    def shape_of(self, topic: str) -> Shape:
        """Return partitions and copies, 0 when there is no such topic.

        Described, not listed: where brokers make topics by themselves, to list one by name is to
        make it.
        """
        answer = self.client.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_S)[
            topic
        ]
        try:
            found = self.answered(answer, f"asking for the topic {topic}").partitions
        except MillraceError as error:
            if _is_unknown(error.__cause__):
                return Shape(0, 0)
            raise
        return Shape(len(found), min(len(partition.replicas) for partition in found))

    def partitions_of(self, topic: str) -> int:
        """Return the number of partitions, 0 when there is no such topic."""
        return self.shape_of(topic).partitions

    def end(self, topic: str, partition: int) -> int:
        """Return the offset behind the last record of a partition.

        Asked here and not over the client that reads: there the answer waits behind the fetches.
        """
        return self._offset(topic, partition, OffsetSpec.latest())

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int:
        """Return the offset of the first record with this time or a later one."""
        found = self._offset(topic, partition, OffsetSpec.for_timestamp(time_ms))
        return found if found >= 0 else self.end(topic, partition)

    def _offset(self, topic: str, partition: int, which: OffsetSpec) -> int:
        place, doing = TopicPartition(topic, partition), f"asking for an offset of {topic}"
        answers = self.client.list_offsets({place: which}, request_timeout=ANSWER_S)
        return int(self.answered(answers[place], doing).offset)

    def extents(self, topic: str, partitions: int) -> list[Extent]:
        """Return what each partition of a topic holds."""
        all_of_it = [TopicPartition(topic, number) for number in range(partitions)]
        doing = f"asking for the ends of {topic}"
        asked = [
            self.client.list_offsets(dict.fromkeys(all_of_it, which), request_timeout=ANSWER_S)
            for which in (OffsetSpec.earliest(), OffsetSpec.latest())
        ]
        starts, ends = (
            [int(self.answered(answers[one], doing).offset) for one in all_of_it]
            for answers in asked
        )
        return [Extent(start, max(start, end)) for start, end in zip(starts, ends, strict=True)]

    def answered(self, answer: "Future[Answer]", doing: str) -> Answer:
        """Return an answer when it comes."""
        try:
            return answer.result(ANSWER_S + 1)
        except KafkaException as error:
            self._look_again()
            self.client.poll(0)  # what was said in the background: a refusal is said only there
            raise self._named(error, doing) from error
        except TimeoutError as error:
            raise RetryError(f"Kafka does not answer while {doing}{self._complaints}") from error

    def _look_again(self) -> None:
        """Ask who leads what: the next question must not go to the leader of before."""
        with suppress(KafkaException):
            self.client.list_topics(timeout=1.0)

    def _named(self, error: KafkaException, doing: str) -> MillraceError:
        return translate(error.args[0], doing, self._complaints)


def _is_unknown(error: BaseException | None) -> bool:
    return (
        isinstance(error, KafkaException)
        and error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    )


def translate(error: KafkaError, doing: str, complaints: Complaints | None = None) -> MillraceError:
    """Return the error to raise in place of one of the library's."""
    code, text = error.code(), f"Kafka says while {doing}: {error.str()}{complaints or ''}"
    if code in _GONE:
        return GoneError(text)
    # Who is refused hears of it in the background, and in the answer only that none came.
    if code in _REFUSED or (complaints is not None and complaints.is_refusal):
        return StopError(text, "check the section [kafka] of the settings, and the rights there")
    if error.fatal() or code in _WRONG:
        return StopError(text, "correct the topic or the settings, then start again")
    return RetryError(text)
