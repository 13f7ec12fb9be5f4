"""The log on Kafka: `kafka://HOST:PORT,HOST:PORT/PREFIX` and the sections [kafka] and [topics].

Source: architecture.md 3, F2-123.
"""

from typing import Final

from millrace.adapters.log_kafka import (
    KafkaCluster,
    KafkaLog,
    KafkaLogReader,
    KafkaMember,
    KafkaPublicStream,
    RawTopic,
)
from millrace.adapters.log_kafka.topics import SAFE_REPLICAS
from millrace.errors import StopError, UsageError
from millrace.ingest.admit import device_of
from millrace.ports.public_stream import DEAD_LETTERS, DECODED, EVENTS
from millrace.settings import Settings
from millrace.wiring.families import codecs
from millrace.wiring.secrets import secret
from millrace.wiring.urls import address_of, scheme_of, without_secret

# What a packet may become in base64, beside the rest of its record.
MAX_PACKET_BYTES: Final = 11 << 20
DEFAULT_PORT: Final = 9092


def check(settings: Settings) -> None:
    """Look at the settings without talking to anybody.

    Raises:
        UsageError: No log can be opened with them.
    """
    cluster(settings)
    if settings.broker.max_packet_bytes > MAX_PACKET_BYTES:
        raise UsageError(
            f"broker.max_packet_bytes: {settings.broker.max_packet_bytes} does not fit a record",
            f"with kafka:// at most {MAX_PACKET_BYTES}",
        )


def open_log(settings: Settings) -> KafkaLog:
    """Open the writing end; make its topics when they are not there."""
    families, instance = codecs(settings), settings.kafka.instance
    return KafkaLog(
        cluster(settings),
        raw_topic(settings),
        device_of=lambda topic: device_of(families, topic),
        instance=instance,
        is_alone=not instance or _has_endpoint(settings),
    )


def open_reader(settings: Settings) -> KafkaLogReader:
    """Open a reading end."""
    return KafkaLogReader(cluster(settings), raw_topic(settings).name)


def open_member(settings: Settings, role: str) -> KafkaMember:
    """Join those who share the partitions of the raw topic in one role."""
    topic = raw_topic(settings).name
    return KafkaMember(
        cluster(settings),
        topic,
        f"millrace-{role}-{topic}",
        instance=settings.kafka.instance,
        session_s=settings.kafka.session_s,
    )


def open_public_stream(settings: Settings) -> KafkaPublicStream:
    """Open the stream for consumers of others; make its topics when they are not there."""
    chosen, prefix = settings.topics, _prefix(settings)
    return KafkaPublicStream(
        cluster(settings),
        {
            DECODED: prefix + chosen.decoded,
            EVENTS: prefix + chosen.events,
            DEAD_LETTERS: prefix + chosen.dead_letters,
        },
        partitions=chosen.partitions,
        replication=chosen.replication,
        retention_s=chosen.decoded_retention_s,
    )


def examine(settings: Settings) -> str:
    """Ask the cluster whether it can hold the log.

    Raises:
        StopError: It cannot: who we are, or how the topics are, is wrong.
        RetryError: It does not answer.
    """
    topic, admin = raw_topic(settings), cluster(settings).admin()
    found, brokers = admin.partitions_of(topic.name), admin.brokers()
    if found and found != topic.partitions:
        raise StopError(
            f"{topic.name} has {found} partitions, topics.partitions says {topic.partitions}",
            f"set topics.partitions to {found}",
        )
    if brokers < topic.replication:
        raise StopError(
            f"topics.replication is {topic.replication}, and Kafka has {brokers} brokers",
            "lower it, or add brokers",
        )
    if not found:
        return f"{brokers} brokers answer; the topic {topic.name} will be made"
    held = sum(extent.end - extent.start for extent in admin.extents(topic.name, found))
    return f"{brokers} brokers answer; {topic.name} holds {held:,} messages"


def durability(settings: Settings) -> dict[str, str]:
    """Return what an acknowledgement means: brokers do not sync, copies have to be enough."""
    copies = settings.topics.replication
    return {
        "fsync": "never" if copies < SAFE_REPLICAS else "replicated",
        "mqtt_ack": "after_all_in_sync_replicas",
    }


def raw_topic(settings: Settings) -> RawTopic:
    """Return the topic of raw messages."""
    chosen = settings.topics
    return RawTopic(
        _prefix(settings) + chosen.raw,
        chosen.partitions,
        chosen.replication,
        settings.log.retention_s,
        settings.log.retention_bytes,
    )


def cluster(settings: Settings) -> KafkaCluster:
    """Return addresses and access.

    Raises:
        UsageError: The URL or the section [kafka] is wrong.
    """
    url = without_secret(
        "log.url", str(settings.urls()["log"]), "write it into kafka.password_file"
    )
    servers = url.partition("://")[2].partition("/")[0].split(",")
    found = [address_of(one, setting="log.url", default_port=DEFAULT_PORT) for one in servers]
    return KafkaCluster(",".join(map(str, found)), _access(settings))


def _access(settings: Settings) -> dict[str, str]:
    chosen = settings.kafka
    password = secret("kafka.password", chosen.password, chosen.password_file)
    if bool(chosen.sasl) != bool(chosen.username and password):
        raise UsageError(
            "kafka.sasl, kafka.username and kafka.password: one is given without the others",
            "name the mechanism, the user and the password (or password_file), or none of them",
        )
    access = {"security.protocol": f"{'SASL_' if chosen.sasl else ''}{_transport(settings)}"}
    if chosen.sasl:
        access |= {
            "sasl.mechanism": chosen.sasl,
            "sasl.username": chosen.username,
            "sasl.password": password,
        }
    for name, path in (
        ("ssl.ca.location", chosen.tls_ca),
        ("ssl.certificate.location", chosen.tls_certificate),
        ("ssl.key.location", chosen.tls_key),
    ):
        if path is not None:
            access[name] = str(path)
    return access


def _transport(settings: Settings) -> str:
    return "SSL" if settings.kafka.tls else "PLAINTEXT"


def _prefix(settings: Settings) -> str:
    prefix = str(settings.urls()["log"]).partition("://")[2].partition("/")[2].strip("/")
    return f"{prefix}_" if prefix else ""


def _has_endpoint(settings: Settings) -> bool:
    url = settings.broker.url
    return isinstance(url, str) and scheme_of(url) == "endpoint"
