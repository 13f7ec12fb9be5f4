"""The log on Kafka: one raw record a message, and a compacted topic of notes beside it.

`client` has the addresses, the settings of the library and its errors; `topics` makes and checks
the topics; `records` turns messages into JSON and back; `fetching` reads records by position;
`notes` keeps the companion notes; `writer` and `reader` are the two ends of the port; `member`
shares the partitions among several processes; `public` writes what was decoded for others.

Positions are those of the ledger: nothing is ever committed to a consumer group.
Source: D-11, D-50, F2-120, F2-123; F18 to F21.
"""

from millrace.adapters.log_kafka.client import KafkaCluster
from millrace.adapters.log_kafka.member import KafkaMember
from millrace.adapters.log_kafka.public import KafkaPublicStream
from millrace.adapters.log_kafka.reader import KafkaLogReader
from millrace.adapters.log_kafka.topics import RawTopic
from millrace.adapters.log_kafka.writer import KafkaLog

__all__ = [
    "KafkaCluster",
    "KafkaLog",
    "KafkaLogReader",
    "KafkaMember",
    "KafkaPublicStream",
    "RawTopic",
]
