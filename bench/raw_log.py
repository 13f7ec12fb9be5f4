"""A raw log as the edge leaves it, written by the log of the product without sockets in between."""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice

from bench.sources import SECOND_NS, START_S, Message, messages_of
from millrace.ingest.admit import Admission
from millrace.model.message import RawBatch
from millrace.settings import Settings
from millrace.wiring.families import codecs
from millrace.wiring.logs import open_log

QOS_1 = 1
# What one group commit holds at full rate.
INTAKE = 1_000


def write_raw_log(settings: Settings, source: str, *, devices: int, each: int) -> int:
    """Append messages of devices in turn; return how many."""
    messages = _in_turn(source, devices, each)
    count = 0
    with closing(open_log(settings)) as log:
        admission = Admission(codecs(settings), log.partitions)
        while intake := list(islice(messages, INTAKE)):
            at_ns = START_S * SECOND_NS + count * 10_000
            topics, payloads = zip(*intake, strict=True)
            batch = RawBatch(
                topics=[topic.decode() for topic in topics],
                payloads=list(payloads),
                received_at_ns=[at_ns + n for n in range(len(intake))],
                flags=[QOS_1] * len(intake),
                client_ids=[topic.decode()[5:20] for topic in topics],
                packet_ids=[n % 65_535 + 1 for n in range(count, count + len(intake))],
            )
            log.append(admission.admit(batch).batches)
            count += len(intake)
    return count


def _in_turn(source: str, devices: int, each: int) -> Iterator[Message]:
    streams = [messages_of(source, device, 0, each) for device in range(devices)]
    return chain.from_iterable(zip(*streams, strict=True))
