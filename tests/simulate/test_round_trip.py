"""decode(simulate(x)) == x: what devices that do not exist say is what codecs read. F2-173."""

from itertools import pairwise
from random import Random
from typing import Any, cast

import pytest

from millrace.codecs.f2.frames import is_crc_good
from millrace.model.device import DataPoint, DeviceProfile, TemplateVersion
from millrace.model.instants import SECOND_NS
from millrace.simulate.acts import Message
from millrace.simulate.f2 import Controller, F2Options
from millrace.simulate.f2_frames import FrameWriter
from millrace.simulate.f2_parts import Contacts, Gauge, Instrument, Reader, Switch
from millrace.simulate.f2_words import Speech
from millrace.simulate.meter import MeterOptions
from millrace.simulate.physics import Walk
from millrace.simulate.plan import Plan
from tests.simulate.worlds import (
    MONDAY_NS,
    START_NS,
    body,
    controller,
    fleet,
    messages,
    play,
    readings,
    values,
)

forms = pytest.mark.parametrize("speech", list(Speech))


def made(speech: Speech) -> Controller:
    return Controller(controller(), 3, START_NS, F2Options(speech, is_steady=True))


def good(result: dict[str, Any]) -> dict[tuple[str, str], float]:
    assert not result["dead_letters"]
    assert {flag for one in result["readings"] for flag in one["quality"]} == set()
    return values(result)


@forms
def test_frames_of_all_encodings_read_what_was_written(speech: Speech) -> None:
    device = made(speech)
    instruments = [one for one in device.components if isinstance(one, Instrument)]
    assert len(instruments) == 3
    wired = controller().pins
    for step in range(50):
        at_ns = START_NS + step * SECOND_NS
        for one in instruments[:2]:
            place = (int(one.part.connector[1:]), int(one.part.name[-1]))
            labels = {p.id: p.label for p in wired[place].versions[0].data_points}
            result = readings(one.emit(at_ns), controller())
            found = good(result)
            expected = {(labels[number], ""): value for number, value in one.writer.values.items()}
            assert found == pytest.approx(expected, rel=1e-9)
            assert {reading["time"] // 1000 for reading in result["readings"]} == {at_ns // 1000}


@forms
def test_simple_rows_read_what_was_written(speech: Speech) -> None:
    device = made(speech)
    for one in device.components:
        for step in range(20):
            message = one.emit(START_NS + step * SECOND_NS)
            found = good(readings(message, controller()))
            if isinstance(one, Gauge):
                assert list(found.values()) == pytest.approx([one.value])
                assert 15 <= one.value <= 30
            elif isinstance(one, Switch):
                assert found[one.part.name + "." + one.part.connector, ""] == (step + 1) % 2
            elif isinstance(one, Contacts):
                stem = one.part.type.removesuffix("s")
                assert {channel for _, channel in found} <= {f"{stem}-1", f"{stem}-2"}
            elif isinstance(one, Reader):
                assert found[one.part.name + ".J2", ""] == 1


@forms
def test_a_scan_is_the_text_that_was_shown(speech: Speech) -> None:
    device = made(speech)
    reader = next(one for one in device.components if isinstance(one, Reader))
    texts = set()
    for step in range(40):
        (event,) = readings(reader.emit(START_NS + step), controller())["events"]
        assert event["kind"] == "scan"
        texts.add(event["text"])
    quoted = "Hello World" if speech is Speech.WORDS else '"Hello World"'
    assert texts == {quoted, "USER12345", "ACCESS_CARD_789", "QR_CODE_ABC123"}


def test_current_and_legacy_forms_are_those_of_the_documents() -> None:
    """F2-050, F2-120, F2-171."""
    current = messages(play(Plan("f2", 1), 3600, start_ns=MONDAY_NS))
    options = F2Options(Speech.LEGACY)
    legacy = messages(play(Plan("f2", 1, f2=options), 3600, start_ns=MONDAY_NS))
    assert {m.topic.split("/")[0] for m in current} == {"stat", "tele"}
    assert {m.topic.split("/")[0] for m in legacy} == {"cmnd"}
    assert len(current) == len(legacy)
    for one, other in zip(current, legacy, strict=True):
        assert one.topic.split("/")[1:] == other.topic.split("/")[1:]
        assert str(body(one)["timestamp"]).replace(" ", "T") == body(other)["timestamp"]
    hex_texts = [body(m)["data"] for m in legacy if m.topic.endswith("J4/sensor-3")]
    assert hex_texts
    assert all(text.startswith("0x") for text in hex_texts)


def test_words_use_digits_for_connectors_and_epoch_seconds() -> None:
    """F2-060, F2-171."""
    options = F2Options(Speech.WORDS)
    found = messages(play(Plan("f2", 1, f2=options), 7200, start_ns=MONDAY_NS))
    assert {m.topic.split("/")[3] for m in found} == {"1", "2", "4"}
    assert all(isinstance(body(m)["timestamp"], float) for m in found)
    words = {str(v) for m in found for v in body(m).values()}
    assert {"locked", "unlocked", "open", "closed"} <= words


def test_a_frame_is_that_of_the_documents() -> None:
    """F2-172: header, values, CRC."""
    values_at = {"Temperature": 23.5, "Humidity": 45.0, "CO2": 450.0}
    points = tuple(
        DataPoint(i, label, "Int16", 3 + 2 * i, 2, decimals=0 if label == "CO2" else 2)
        for i, label in enumerate(values_at)
    )

    writer = FrameWriter(TemplateVersion(1, points), Random(1))
    writer._cells = [
        cell._replace(walk=Walk(Random(1), *2 * [values_at[cell.point.label]]))
        for cell in writer._cells
    ]
    assert writer.next() == "01 03 06 09 2E 11 94 01 C2 0D 3B"


def test_frames_are_whole_and_legacy_templates_lie_over_the_header() -> None:
    """F2-172: 00 where no data point lies, the count behind the header, the CRC at the end."""
    gap = FrameWriter(TemplateVersion(1, (DataPoint(1, "A", "Uint16", 7, 2),)), Random(1)).next()
    assert gap.startswith("01 03 06 00 00 00 00 ")
    assert is_crc_good(bytes.fromhex(gap))
    assert gap == gap.upper()
    points = controller().pins[2, 6].versions[0]
    frame = bytes.fromhex(FrameWriter(points, Random(1)).next())
    assert len(frame) == 8
    assert is_crc_good(frame)


@pytest.mark.parametrize("interval_s", [1, 10, 60])
def test_datagrams_read_what_was_measured(interval_s: int) -> None:
    """MTR-021, MTR-030, MTR-150, MTR-151: at most 200 elements, one time for each sample."""
    plan = Plan("meters", 3, meter=MeterOptions(send_interval_s=interval_s))
    deeds = messages(play(plan, 130))
    for message in deeds:
        said = body(message)
        if said["msg_type"] != "telemetry":
            continue
        assert len(said["measurements"]) <= 200
        found = good(readings(message))
        last = {(one["type"], ""): one["val"] for one in said["measurements"]}
        assert found == pytest.approx(last)
        ages = [one["ts"] for one in said["measurements"]]
        assert ages == sorted(ages)
        assert max(ages) <= said["ts"]


def test_every_sample_is_sent_once_and_in_order() -> None:
    plan = Plan("meters", 1, meter=MeterOptions(send_interval_s=60, hello_interval_s=30))
    said = [body(m) for m in messages(play(plan, 600))]
    assert [one["seq"] for one in said] == list(range(len(said)))
    stamps = [
        element["ts"]
        for one in said
        if one["msg_type"] == "telemetry"
        for element in one["measurements"]
        if element["type"] == "voltage_dc"
    ]
    assert len(stamps) >= 540
    assert all(first < second for first, second in pairwise(stamps))


def test_sensors_read_what_they_measured() -> None:
    """SNS-010 to SNS-013."""
    for message in messages(play(Plan("sensors", 8), 60)):
        said = body(message)
        found = good(readings(message))
        expected = {**said["data"], **{f"meta_{k}": v for k, v in said["metadata"].items()}}
        expected = {metric: float(value) for metric, value in expected.items()}
        assert {metric: value for (metric, _), value in found.items()} == pytest.approx(expected)


def test_every_message_of_every_family_is_good() -> None:
    """Whatever happens in a day of a fleet, nothing of it is a dead letter or flagged."""
    for family in ("f2", "meters", "sensors"):
        deeds = play(Plan(family, 4, seed=9), 3600, start_ns=MONDAY_NS)
        devices = fleet(Plan(family, 4, seed=9))
        profiles = {"f2-0000000000a1": controller()}
        for number, deed in deeds:
            device_id = devices[number].device_id
            good(readings(cast("Message", deed), profiles.get(device_id)))


def test_unknown_controllers_say_only_what_decodes_by_itself() -> None:
    """F2-170: a made-up controller has no wiring, and no message of it is lost for that."""
    plan = Plan("f2", 2, f2=F2Options(is_steady=True))
    _, device = fleet(plan)
    for step in range(300):
        message = device.emit(START_NS + step * SECOND_NS)
        good(readings(message, DeviceProfile(device.device_id, "f2")))
