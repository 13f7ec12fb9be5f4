"""The topics of the log: made when they are not there, checked at every start.

Source: F2-123, D-11.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigResource, NewTopic, ResourceType

from millrace.adapters.log_kafka.client import (
    ANSWER_S,
    MAX_RECORD_BYTES,
    Admin,
    Shape,
    translate,
)
from millrace.errors import RetryError, StopError, UsageError

SAFE_REPLICAS: Final = 3
_NOTES: Final = "_notes"
_EXACT: Final = frozenset({"cleanup.policy"})
_AT_LEAST: Final = frozenset({"min.insync.replicas", "max.message.bytes"})
_POLL_S: Final = 0.05

_log = structlog.get_logger("millrace.kafka")


@dataclass(frozen=True, slots=True)
class RawTopic:
    """Name and shape of the topic of raw messages; its notes are beside it.

    Retention None keeps everything; `retention_bytes` is for all partitions together.
    """

    name: str
    partitions: int
    replication: int = 1
    retention_s: int | None = None
    retention_bytes: int | None = None

    @property
    def notes(self) -> str:
        """Name of the topic of notes."""
        return self.name + _NOTES

    def settings(self) -> dict[str, str]:
        """Return the settings of the raw topic."""
        retention_bytes = self.retention_bytes
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(-1 if self.retention_s is None else self.retention_s * 1000),
            "retention.bytes": str(
                -1 if retention_bytes is None else max(1, retention_bytes // self.partitions)
            ),
            # The time of a record is that of receipt, whatever our clock said then.
            "message.timestamp.type": "CreateTime",
            "message.timestamp.after.max.ms": str((1 << 63) - 1),
            **_durable(self.replication),
        }

    def notes_settings(self) -> dict[str, str]:
        """Return the settings of the topic of notes: the newest of each key stays."""
        return {
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.1",
            "segment.ms": "600000",
            **_durable(self.replication),
        }


def ensure(admin: Admin, topic: RawTopic) -> None:
    """Make the topics, or see that those which are there will do.

    Raises:
        UsageError: A topic has another number of partitions.
        StopError: Its settings or its copies lose or refuse messages.
        RetryError: The cluster is away.
    """
    _ensure(admin, topic.name, topic.partitions, topic.replication, topic.settings())
    _ensure(admin, topic.notes, 1, topic.replication, topic.notes_settings())


def ensure_topic(
    admin: Admin, name: str, partitions: int, replication: int, settings: dict[str, str]
) -> None:
    """Make one topic, or see that the one which is there will do. See `ensure`."""
    _ensure(admin, name, partitions, replication, {**settings, **_durable(replication)})


def _ensure(
    admin: Admin, name: str, partitions: int, replication: int, settings: dict[str, str]
) -> None:
    wanted = NewTopic(name, partitions, replication, config=settings)
    found = admin.shape_of(name)
    if not found.partitions:
        _create(admin, wanted)
        _until_known(admin, wanted)
        found = admin.shape_of(name)
    _check_shape(wanted, found)
    resource = ConfigResource(ResourceType.TOPIC, name)
    answer = admin.client.describe_configs([resource], request_timeout=ANSWER_S)[resource]
    entries = admin.answered(answer, f"asking for the settings of {name}")
    actual = {key: str(entries[key].value) for key in settings}
    _check_settings(name, settings, actual)
    differing = {key: actual[key] for key, value in settings.items() if actual[key] != value}
    if differing:
        _log.warning("topic_differs", topic=name, wanted=settings, actual=differing)


def _check_shape(wanted: NewTopic, found: Shape) -> None:
    name, partitions = wanted.topic, wanted.num_partitions
    if found.partitions != partitions:
        remedy = (
            f"set topics.partitions to {found.partitions}, or use another name: no device moves"
        )
        if name.endswith(_NOTES):
            remedy = "delete it while the raw topic is empty, or use another name for both"
        raise UsageError(
            f"the topic {name} has {found.partitions} partitions, and {partitions} are wanted",
            remedy,
        )
    if found.replicas < wanted.replication_factor:
        raise StopError(
            f"the topic {name} has {found.replicas} replicas, and topics.replication says "
            f"{wanted.replication_factor}",
            "add replicas with kafka-reassign-partitions, or lower topics.replication",
        )


def _check_settings(name: str, wanted: Mapping[str, str], actual: Mapping[str, str]) -> None:
    """Stop where messages would be lost or refused; anything else is a choice."""
    for key, value in wanted.items():
        found = actual[key]
        is_other = key in _EXACT and found != value
        is_less = key in _AT_LEAST and int(found) < int(value)
        if is_other or is_less:
            raise StopError(
                f"the topic {name} has {key}={found}, and {value} is wanted",
                f"kafka-configs --alter --entity-type topics --entity-name {name} "
                f"--add-config {key}={value}",
            )


def _create(admin: Admin, topic: NewTopic) -> None:
    answer = admin.client.create_topics([topic], request_timeout=ANSWER_S)[topic.topic]
    try:
        answer.result(ANSWER_S + 1)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return  # another process was quicker, and may have made it otherwise
        named = translate(error.args[0], f"making the topic {topic.topic}")
        if isinstance(named, StopError):
            named.remedy = "check topics.replication and the rights to make topics"
        raise named from error
    except TimeoutError as error:
        raise RetryError(f"Kafka does not make the topic {topic.topic} in time") from error


def _until_known(admin: Admin, topic: NewTopic) -> None:
    """Wait until the brokers have heard from their controller of a new topic."""
    deadline = monotonic() + ANSWER_S
    while not (found := admin.partitions_of(topic.topic)):
        if monotonic() > deadline:
            raise RetryError(f"Kafka does not show the new topic {topic.topic} in time")
        sleep(_POLL_S)
    while True:
        try:
            admin.extents(topic.topic, found)
        except RetryError:
            if monotonic() > deadline:
                raise
            sleep(_POLL_S)
        else:
            return


def _durable(replication: int) -> dict[str, str]:
    in_sync = 2 if replication >= SAFE_REPLICAS else 1
    return {
        "min.insync.replicas": str(in_sync),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(MAX_RECORD_BYTES),
    }
