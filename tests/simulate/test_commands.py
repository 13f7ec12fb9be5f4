"""What devices do when they are told to. MTR-079, MTR-100 to MTR-113, F2-150 to F2-152."""

import hashlib
import hmac
import json
from typing import Any, cast

import pytest

from millrace.codecs.f2.commands import build_command
from millrace.model.instants import SECOND_NS
from millrace.simulate.acts import Deed, Device, Fetch, Message, Restart
from millrace.simulate.f2 import Controller, F2Options
from millrace.simulate.f2_words import Speech
from millrace.simulate.meter import Meter, MeterOptions
from millrace.simulate.meter_commands import signature
from millrace.simulate.plan import Plan
from tests.simulate.worlds import START_NS, body, controller, fleet, readings

CMD = "6f1f9a52-6c2e-4d0a-9b1e-0f8c7d6e5a4"
KEY = bytes(range(32))
FIRMWARE = b"firmware" * 1000


def meter(key: bytes | None = None, **options: Any) -> Meter:
    keys = {"dc-meter-001": key} if key else {}
    made = fleet(Plan("meters", 1, meter=MeterOptions(**options), keys=keys))[0]
    return cast("Meter", made)


def tell(device: Device, name: str, *, number: int = 1, at_s: float = 0, **more: Any) -> list[Deed]:
    command = {
        "v": 2,
        "cmd_id": f"{CMD}{number}",
        "ts": "2026-03-01T12:00:00Z",
        "cmd": name,
        "params": {},
        **more,
    }
    topic = f"iot/{device.device_id}/command"
    at_ns = START_NS + int(at_s * SECOND_NS)
    return device.heard(at_ns, topic, json.dumps(command).encode())


def ack(deeds: list[Deed]) -> tuple[str, str]:
    first = deeds[0]
    assert isinstance(first, Message)
    assert first.topic == "iot/dc-meter-001/command/ack"
    assert first.qos == 2
    said = body(first)
    assert said["msg_type"] == "command_ack"
    return said["result"], said.get("detail", "")


def later(device: Device, seconds: float) -> list[Deed]:
    """Return what a device does up to so many seconds after the start."""
    deeds: list[Deed] = []
    while device.agenda.due_ns <= START_NS + seconds * SECOND_NS:
        deeds += device.agenda.next()
    return deeds


def kinds(deeds: list[Deed]) -> list[str]:
    return [
        body(deed).get("ota_state") or body(deed)["msg_type"]
        if isinstance(deed, Message)
        else type(deed).__name__
        for deed in deeds
    ]


def test_request_status_gives_a_hello() -> None:
    device = meter(is_steady=True)
    deeds = tell(device, "request_status", at_s=100)
    assert ack(deeds) == ("accepted", "")
    assert kinds(deeds) == ["command_ack", "hello"]
    said = body(cast("Message", deeds[1]))
    assert (said["fw_version"], said["uptime_s"], said["seq"]) == ("2.1.0", 100, 1)


def test_update_config_changes_sampling_and_sending() -> None:
    device = meter()
    params = {"sampling_cadence_ms": 500, "send_interval_s": 2}
    assert ack(tell(device, "update_config", params=params)) == ("accepted", "")
    said = [body(cast("Message", deed)) for deed in later(device, 20)]
    assert len(said) == 10
    assert [len(one["measurements"]) for one in said][2:] == [8] * 8


@pytest.mark.parametrize(
    ("send_s", "hello_s", "hellos"), [(10, 30, 0), (10, 10, 0), (60, 30, 10), (60, 60, 0)]
)
def test_a_hello_is_due_only_when_sending_is_rarer(send_s: int, hello_s: int, hellos: int) -> None:
    """MTR-079."""
    device = meter(send_interval_s=send_s, hello_interval_s=hello_s)
    assert kinds(later(device, 300)).count("hello") == hellos


@pytest.mark.parametrize(
    ("name", "params", "answer"),
    [
        ("update_config", {}, ("rejected", "params: ")),
        ("update_config", {"send_interval_s": 0}, ("rejected", "params: send_interval_s")),
        ("update_config", {"send_interval_s": True}, ("rejected", "params: send_interval_s")),
        ("update_config", {"colour": 1}, ("rejected", "params: colour")),
        ("update_config", {"brokers": [{"host": "a", "port": 1}]}, ("unsupported", "brokers")),
        ("reboot", {"now": 1}, ("rejected", "params: now")),
        ("reboot", [], ("rejected", "params")),
        ("dance", {}, ("unsupported", "no command dance")),
        ("start_ota", {"fw_version": "2.2.0"},
         ("rejected", "params: fw_url, fw_sha256, fw_size_bytes")),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(name: str, params: Any, answer: tuple[str, str]) -> None:
    deeds = tell(meter(is_steady=True), name, params=params)
    assert ack(deeds) == answer
    assert len(deeds) == 1


@pytest.mark.parametrize(
    "url",
    ["http://example.org/f", "https://u:p@example.org/f", "file:///etc/passwd", "https://", "x", 5],
)
def test_firmware_comes_from_safe_places_only(url: Any) -> None:
    assert ack(tell(meter(), "start_ota", params=update(url))) == ("rejected", "params: fw_url")


def test_a_command_is_executed_once_and_answered_each_time() -> None:
    """MTR-113."""
    device = meter(is_steady=True)
    first = tell(device, "reboot")
    again = tell(device, "reboot", at_s=0.5)
    assert ack(first) == ack(again) == ("accepted", "")
    assert body(cast("Message", again[0]))["seq"] == 1
    assert kinds(later(device, 10)) == ["Restart", "hello"]


def test_a_reboot_begins_a_sequence() -> None:
    device = meter()
    tell(device, "reboot", at_s=40)
    deeds = later(device, 41)
    at = next(i for i, deed in enumerate(deeds) if isinstance(deed, Restart))
    said = [body(cast("Message", deed)) for deed in (*deeds[at + 1 :], *later(device, 60))]
    assert [one["seq"] for one in said] == list(range(len(said)))
    assert (said[0]["msg_type"], said[0]["uptime_s"]) == ("hello", 0)


def test_factory_reset_forgets_the_configuration() -> None:
    device = meter()
    tell(device, "update_config", params={"send_interval_s": 100})
    assert device.options.send_interval_s == 100
    tell(device, "factory_reset", number=2)
    assert device.options.send_interval_s == 10
    assert "Restart" in kinds(later(device, 5))


def test_a_signature_must_be_right_where_the_key_is_known() -> None:
    """MTR-107."""
    params = {"b": {"y": 1, "x": "ü\n"}, "a": [1, None]}
    command = {"v": 2, "cmd_id": "c", "ts": "t", "cmd": "reboot", "params": params, "more": 1}
    canonical = (
        '{"cmd":"reboot","cmd_id":"c","params":{"a":[1,null],'
        '"b":{"x":"ü\\n","y":1}},"ts":"t","v":2}'
    )
    expected = hmac.new(KEY, canonical.encode(), "sha256").hexdigest()
    assert signature(command, KEY) == expected

    device = meter(KEY, is_steady=True)
    assert ack(tell(device, "request_status")) == ("rejected", "bad_signature")
    assert ack(tell(device, "request_status", sig="0" * 64)) == ("rejected", "bad_signature")
    genuine = {
        "v": 2, "cmd_id": f"{CMD}1", "ts": "2026-03-01T12:00:00Z", "cmd": "request_status",
        "params": {},
    }  # fmt: skip
    # A forgery does not use up the id of the genuine command.
    assert ack(tell(device, "request_status", sig=signature(genuine, KEY))) == ("accepted", "")


@pytest.mark.parametrize("payload", [b"", b"x", b"[]", b'{"cmd":"reboot"}', b'{"cmd_id":5}'])
def test_what_has_no_id_cannot_be_answered(payload: bytes) -> None:
    assert meter().heard(START_NS, "iot/dc-meter-001/command", payload) == []


def update(url: Any = "https://example.org/fw", content: bytes = FIRMWARE) -> dict[str, Any]:
    return {
        "fw_version": "2.2.0",
        "fw_url": url,
        "fw_sha256": hashlib.sha256(content).hexdigest(),
        "fw_size_bytes": len(content),
    }


def started(device: Meter) -> Fetch:
    deeds = tell(device, "start_ota", params=update())
    assert kinds(deeds) == ["command_ack", "downloading", "Fetch"]
    fetch = deeds[2]
    assert isinstance(fetch, Fetch)
    assert (fetch.url, fetch.size_bytes) == ("https://example.org/fw", len(FIRMWARE))
    return fetch


def test_an_update_goes_through_all_states() -> None:
    """MTR-110 to MTR-113: the first hello after it has the other version."""
    device = meter(is_steady=True)
    fetch = started(device)
    assert kinds(fetch.on_progress(START_NS, 50)) == ["downloading"]
    digest = hashlib.sha256(FIRMWARE).hexdigest()
    assert kinds(fetch.on_end(START_NS, digest, "")) == ["verifying"]
    deeds = later(device, 10)
    assert kinds(deeds) == ["applying", "success", "Restart", "hello"]
    assert body(cast("Message", deeds[3]))["fw_version"] == "2.2.0"
    assert {body(d)["fw_version_target"] for d in deeds[:2] if isinstance(d, Message)} == {"2.2.0"}


@pytest.mark.parametrize(
    ("digest", "problem", "states", "detail"),
    [
        ("0" * 64, "", ["verifying", "failed"], "sha256 mismatch"),
        ("", "download failed: nobody", ["failed"], "download failed: nobody"),
    ],
)
def test_a_failed_update_leaves_everything_as_it_is(
    digest: str, problem: str, states: list[str], detail: str
) -> None:
    device = meter(is_steady=True)
    deeds = started(device).on_end(START_NS, digest, problem)
    assert kinds(deeds) == states
    assert body(cast("Message", deeds[-1]))["detail"] == detail
    assert later(device, 60) == []
    assert device.fw_version == "2.1.0"
    assert ack(tell(device, "start_ota", number=2, params=update())) == ("accepted", "")


def test_one_update_at_a_time_and_none_survives_a_reboot() -> None:
    device = meter(is_steady=True)
    fetch = started(device)
    busy = tell(device, "start_ota", number=2, params=update())
    assert ack(busy) == ("rejected", "an update is under way")
    device.reboot(START_NS)
    assert fetch.on_end(START_NS, hashlib.sha256(FIRMWARE).hexdigest(), "") == []
    assert device.fw_version == "2.1.0"


def two() -> Controller:
    return Controller(controller(), 3, START_NS, F2Options(is_steady=True))


def told(device: Controller, command: str, component: str, connector: str, **args: Any) -> Any:
    built = build_command(command, device.device_id, connector, component, args)
    deeds = device.heard(START_NS, built.topic, built.payload)
    return [
        (message.topic.split("/", 2)[2], readings(message, controller()))
        for message in deeds
        if isinstance(message, Message)
    ]


def state(answers: Any) -> list[float]:
    return [one["readings"][0]["value"] for _, one in answers]


def test_a_strike_opens_for_its_period() -> None:
    device = two()
    answers = told(device, "strike", "strike-1", "J2", power_flag=2, period=5)
    assert answers[0][0] == "access-control-mode/J2/strike-1"
    assert state(answers) == [1.0]
    assert later(device, 4.9) == []
    assert [body(cast("Message", deed))["status"] for deed in later(device, 5)] == [False]


def test_a_later_command_ends_a_period() -> None:
    device = two()
    told(device, "strike", "strike-1", "J2", power_flag=2, period=5)
    assert state(told(device, "report", "strike-1", "J2")) == [1.0]
    assert state(told(device, "strike", "strike-1", "J2", power_flag=0)) == [0.0]
    assert later(device, 60) == []
    assert state(told(device, "strike", "strike-1", "J2", power_flag=1)) == [1.0]
    assert later(device, 600) == []


def test_a_siren_obeys_and_reports() -> None:
    device = two()
    assert state(told(device, "siren", "siren-2", "J1", on=True)) == [1.0]
    assert state(told(device, "report", "siren-2", "J1")) == [1.0]
    assert state(told(device, "siren", "siren-2", "J1", on=False)) == [0.0]


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_reader_confirms_its_indicator(code: int) -> None:
    """F2-054."""
    ((topic, result),) = told(two(), "reader_indicator", "reader-2", "J2", code=code)
    assert topic == "access-control-mode/J2/reader-2"
    assert [event["kind"] for event in result["events"]] == ["reader_reply"]
    assert result["events"][0]["text"] == f"02 02 01 00 00 00 {code:02X} 03"
    assert not result["readings"]


@pytest.mark.parametrize(
    ("place", "payload"),
    [
        ("access-control-mode/J3/strike-1", b'{"power-flag": 1}'),
        ("access-control-mode/J2/strike-1", b'{"power-flag": 7}'),
        ("access-control-mode/J2/strike-1", b"nonsense"),
        ("access-control-mode/J2/strike-1", b'{"timestamp": 1, "status": true}'),
        ("alarm-mode/J1/siren-2", b"2"),
        ("access-control-mode/J2/reader-2", b"1"),
        ("access-control-mode/J2/reader-2/success", b"9"),
        ("access-control-mode/J2/door-sensors", b"1"),
        ("short", b"1"),
    ],
)
def test_nonsense_is_not_answered(place: str, payload: bytes) -> None:
    device = two()
    assert device.heard(START_NS, f"cmnd/{device.device_id}/{place}", payload) == []


@pytest.mark.parametrize("speech", list(Speech))
def test_answers_are_in_the_form_of_the_controller(speech: Speech) -> None:
    device = Controller(controller(), 3, START_NS, F2Options(speech, is_steady=True))
    assert state(told(device, "report", "strike-1", "J2")) == [0.0]
