"""Decoding together writes what decoding one by one writes, or leaves the message to its plan."""

import json
from dataclasses import asdict
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.codecs import built_in
from millrace.codecs.f2.shortcuts import FramePlan
from millrace.codecs.meter.telemetry import TelemetryPlan
from millrace.decode.router import Router
from millrace.decode.step import TOGETHER_LEAST, decode
from millrace.model.device import Attached, DataPoint, DeviceProfile, TemplateVersion
from millrace.model.instants import DAY_NS
from millrace.model.message import REDRIVE, REPLAYED, RawBatch
from millrace.model.series import SeriesBook
from millrace.model.work import gather
from tests.codecs.outcome import instant

AT = instant("2026-03-01T12:00:00Z")
NOW = "2026-03-01T12:00:00Z"
POINTS = (
    DataPoint(1, "Temperature", "Int16", 3, decimals=2, append=" °C"),
    DataPoint(2, "Run", "UInt8", 5),
    DataPoint(3, "Flow", "Float32", 6, byte_order="little"),
)
FRAMES = ["01 03 0A 09 2E 11 00 00 20 41 0D 3B", "0103 0A 8000 FF 00 00 C0 7F 0D 3B", "01 03", ""]
STAMPS = [
    "2026-03-01 11:59:58.123456", "2026-03-01T11:59:58Z", "2026-02-29 11:59:58.123456",
    "1999-12-31 23:59:59.999999", "2026-03-02 12:00:00.000001", "2026-03-01 11:59:60.000000",
    "2026-03-01 1a:59:58.123456", "yesterday at some time or ", "2026-03-01T11:59:58+01:00",
]  # fmt: skip


def profile(device_id: str, family: str) -> DeviceProfile:
    pins = {(1, 1): Attached(f"dev-{device_id[-1]}", (TemplateVersion(1, POINTS),))}
    return DeviceProfile(device_id, family, pins=pins if family == "f2" else {})


class Decoder:
    """A router with a book of its own, which remembers from batch to batch."""

    def __init__(self, *, is_together: bool) -> None:
        self._book = SeriesBook()
        self._router = Router(built_in(), self._book)
        self._is_together = is_together

    def decode(self, batch: RawBatch) -> dict[str, Any]:
        """Return everything that was found, in names instead of numbers."""
        wanted = self._router.missing(batch.topics)
        self._router.learn(wanted, {key: profile(key[1], key[0]) for key in wanted})
        if not self._is_together:
            for route in self._router.routes.values():
                route.together = None
        work = decode(gather([batch], 1), self._router)
        message, slot, time_ns, value, flags = (column.tolist() for column in work.readings)
        names = [self._book.slots[number] for number in slot]
        return {
            "readings": list(zip(message, names, time_ns, map(repr, value), flags, strict=True)),
            "facts": [msgspec.structs.asdict(fact) for fact in work.decoded.facts],
            "events": [asdict(event) for event in work.decoded.events],
            "letters": [asdict(letter) for letter in work.decoded.dead_letters],
            "rejected": work.rejected,
        }


frames = st.builds(
    lambda stamp, data, blank: b'{"timestamp":%s"%s", "data": "%s"}' % (blank, stamp, data),
    st.sampled_from([text.encode() for text in STAMPS]),
    st.sampled_from([text.encode() for text in FRAMES]) | st.binary(max_size=5),
    st.sampled_from([b" ", b""]),
)
elements = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["voltage_dc", "pf", ""]),
        "val": st.integers(-2, 5000) | st.just(1e999),
    },
    optional={
        "unit": st.sampled_from(["V", "kV", "x" * 33]),
        "ts": st.sampled_from([*STAMPS, NOW, 1772366399, 1772366399000000001]),
    },
)
datagrams = st.fixed_dictionaries(
    {"measurements": st.lists(elements, max_size=4)},
    optional={
        "ts": st.sampled_from([*STAMPS, NOW, 1772366399.5]),
        "seq": st.integers(-1, 3),
        "device_id": st.sampled_from(["m1", "m2"]),
        "x": st.just(1),
    },
).map(lambda body: json.dumps(body).encode())
messages = st.one_of(
    st.tuples(st.sampled_from(["tele/gate_1/sensor-mode/J1/sensor-1"]), frames),
    st.tuples(st.sampled_from(["stat/gate_2/sensor-mode/J1/sensor-1"]), frames),
    st.tuples(st.sampled_from(["iot/m1/telemetry", "iot/m2/telemetry"]), datagrams),
    st.tuples(st.just("tele/gate_1/sensor-mode/J1/sensor-1"), st.binary(max_size=20)),
)
batches = st.lists(messages, min_size=TOGETHER_LEAST, max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.lists(batches, min_size=1, max_size=3), st.sampled_from([1, REDRIVE, REPLAYED]))
def test_together_and_singly_agree(sent: list[list[tuple[str, bytes]]], flags: int) -> None:
    together, singly = Decoder(is_together=True), Decoder(is_together=False)
    for number, group in enumerate(sent):
        batch = RawBatch(0, 100 * number)
        for n, (topic, payload) in enumerate(group):
            batch.add(topic, payload, AT + n, flags=flags)
        assert together.decode(batch) == singly.decode(batch)


def usual(count: int) -> RawBatch:
    """Return messages of both families in turn, all of them usual."""
    batch = RawBatch(0, 0)
    for n in range(count):
        frame = f"01 03 0A 09 {n % 256:02X} 11 00 00 20 41 0D 3B"
        frame_message = (
            f'{{"timestamp": "2026-03-01 11:59:{n % 60:02d}.000001", "data": "{frame}"}}'
        )
        batch.add(f"tele/gate_{n % 3}/sensor-mode/J1/sensor-1", frame_message.encode(), AT + n)
        element = {"type": "voltage_dc", "val": n, "unit": "V", "ts": NOW}
        body = {"v": 2, "ts": NOW, "seq": n, "measurements": [element, {"type": "pf", "val": 0.5}]}
        batch.add(f"iot/m{n % 3}/telemetry", json.dumps(body).encode(), AT + n)
    return batch


def test_usual_messages_are_decoded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the comparison above would compare a way with itself (B1, B3)."""
    decoder = Decoder(is_together=True)
    decoder.decode(usual(6))  # plans learn their series from single messages
    monkeypatch.delattr(TelemetryPlan, "decode")
    monkeypatch.delattr(FramePlan, "decode")
    found = decoder.decode(usual(40))
    assert len(found["readings"]) == 40 * 3 + 40 * 2
    assert [fact["seq"] for fact in found["facts"]] == list(range(40))
    assert not found["rejected"]


def test_time_limits_are_those_of_the_message() -> None:
    """F2-034: a day ahead of the receipt is good, anything more is not."""
    decoder = Decoder(is_together=True)
    decoder.decode(usual(6))
    batch = RawBatch(0, 0)
    for n in range(10):
        stamp = "2026-03-01 12:00:00.000000"
        text = f'{{"timestamp": "{stamp}", "data": "{FRAMES[0]}"}}'
        batch.add("tele/gate_1/sensor-mode/J1/sensor-1", text.encode(), AT - DAY_NS - 5 + n)
    flagged = [flags for _, _, _, _, flags in decoder.decode(batch)["readings"]]
    assert [bool(flags) for flags in flagged[::3]] == [True] * 5 + [False] * 5
