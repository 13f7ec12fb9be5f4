"""Packets, shapes, figures: what the cases stand on."""

import asyncio
from datetime import datetime

import numpy as np
import pytest

from bench.checks import CheckError
from bench.null_subscriber import NullSubscriber
from bench.packets import connect, publish, subscribe
from bench.process import Worker
from bench.report import Bar, Row, at_least, at_most, latencies
from bench.shapes import SHAPES, day_of
from bench.sources import DAY_S, INSTANTS, START_S, f2_stamped, late_meter_messages, messages_of
from millrace.mqtt.decoder import Decoder
from millrace.mqtt.packets import Connect, Packet, Publish, Subscribe


def decoded(data: bytes) -> list[Packet]:
    return list(Decoder().feed(data))


@pytest.mark.parametrize("size", [0, 100, 127, 200, 16_384, 100_000])
def test_packets_of_the_load_are_mqtt(size: int) -> None:
    hello, asked, message = decoded(
        connect(b"one") + subscribe(b"a/#", 1) + publish(b"a/b", b"x" * size, 7)
    )
    assert isinstance(hello, Connect)
    assert isinstance(asked, Subscribe)
    assert isinstance(message, Publish)
    assert (hello.client_id, message.topic, message.packet_id) == ("one", "a/b", 7)
    assert (message.qos, bytes(message.payload)) == (1, b"x" * size)


@pytest.mark.parametrize("cut", [1, 3, 7, 1000])
async def test_null_subscriber_counts_what_comes_in_pieces(cut: int) -> None:
    sent = b"".join(publish(b"a/b", b"x" * size, size) for size in (1, 50, 127, 128, 20_000))
    stream = b"\x20\x02\x00\x00" + b"\x90\x03\x00\x01\x01" + sent
    written: list[bytes] = []

    class Wire(asyncio.Transport):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            written.append(bytes(data))

    subscriber = NullSubscriber(b"#", 5)
    subscriber.connection_made(Wire())
    for start in range(0, len(stream), cut):
        subscriber.data_received(stream[start : start + cut])
    assert subscriber.received == 5
    assert subscriber.done.is_set()
    acknowledged = b"".join(written[1:])
    ids = [int.from_bytes(acknowledged[n + 2 : n + 4], "big") for n in range(0, 20, 4)]
    assert ids == [1, 50, 127, 128, 20_000]


@pytest.mark.parametrize("source", ["f2", "meter"])
def test_messages_say_the_same_in_every_run(source: str) -> None:
    whole = list(messages_of(source, 3, 0, 10))
    assert [*messages_of(source, 3, 0, 4), *messages_of(source, 3, 4, 6)] == whole
    assert len(set(whole)) == 10


def test_late_messages_are_a_day_late() -> None:
    messages = late_meter_messages(99, 0)
    payloads = [next(messages)[1] for _ in range(3)]
    stamps = [payload.partition(b'"ts":"')[2][:20].decode() for payload in payloads]
    instants = [datetime.fromisoformat(stamp).timestamp() - START_S for stamp in stamps]
    # The envelope has the instant of the last measurement.
    assert instants == [INSTANTS - 1, 2 * INSTANTS - 1 - DAY_S, 3 * INSTANTS - 1]


def test_stamped_message_carries_its_instant() -> None:
    _, payload_of = f2_stamped(1)
    assert b'"2026-03-01 12:00:00.250000"' in payload_of(0, 1_772_366_400.25)
    assert payload_of(1, 0.0) != payload_of(2, 0.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_have_each_instant_once(shape: str) -> None:
    rows = day_of(shape, series=5, count=100)
    pairs = np.stack([rows["series_id"].to_numpy(), rows["time_ns"].to_numpy()])
    assert len(rows) == 500
    assert np.unique(pairs, axis=1).shape[1] == 500


def test_latencies_are_ordered() -> None:
    found = latencies([n / 1000 for n in range(100, 0, -1)])
    assert found == {"count": 100, "p50_ms": 51, "p95_ms": 96, "p99_ms": 100, "max_ms": 100}
    assert latencies([]) == {"count": 0}


@pytest.mark.parametrize(
    ("bar", "verdict"), [(at_least(5), "yes"), (at_least(6), "NO"), (at_most(4), "NO"), (None, "")]
)
def test_row_knows_whether_it_meets_its_bar(bar: Bar | None, verdict: str) -> None:
    assert Row("B1", "messages", 5, "msg/s", bar).verdict == verdict


def test_worker_that_dies_is_told() -> None:
    with (
        Worker("bench.load", "f2", "--port", 1, "--devices", 1) as worker,
        pytest.raises(CheckError, match="ended before it was ready"),
    ):
        worker.wait_ready()
