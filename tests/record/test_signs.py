"""What devices show of themselves. Source: MTR-070, MTR-071, MTR-076."""

import pytest

from millrace.model.message import REPLAYED, RawBatch
from millrace.model.work import DeviceTouch
from millrace.record.signs import DeviceSigns
from tests.record.test_step import GOOD, HELLO, NOW, Desk, batch


def shown(desk: Desk, *batches: RawBatch, apart: bool = False) -> dict[str, DeviceTouch]:
    signs = DeviceSigns()
    for group in [[one] for one in batches] if apart else [list(batches)]:
        signs.note(desk.work(*group))
    assert bool(signs) == bool(batches)
    found = signs.take()
    assert not signs
    return found


def said(word: str) -> bytes:
    return b'{"status":"%s"}' % word.encode()


def test_mtr071_any_live_message_is_a_sign_of_life() -> None:
    messages = [
        ("iot/m1/telemetry", GOOD),
        ("iot/m2/telemetry", b"broken"),
        ("iot/m1/hello", HELLO),
    ]
    assert shown(Desk("m1", "m2"), batch(messages)) == {
        "m1": DeviceTouch(NOW + 2, "online", fw_version="2.1.0"),
        "m2": DeviceTouch(NOW + 1, "online"),
    }


def test_signs_of_many_devices_are_taken_in_turns() -> None:
    desk, signs = Desk(*(f"m{n}" for n in range(5))), DeviceSigns()
    messages = [(f"iot/m{n}/telemetry", GOOD) for n in range(5)]
    signs.note(desk.work(batch([*messages, ("iot/m4/status", said("offline"))])))
    first = signs.take(limit=2)
    assert list(first) == ["m0", "m1", "m4"]
    assert first["m4"] == DeviceTouch(NOW + 4, "offline")
    assert signs
    assert list(signs.take(limit=2)) == ["m2", "m3"]
    assert not signs


def test_nobody_is_shown_for_topics_of_nobody() -> None:
    assert not shown(Desk(), batch([("nobody", b"1"), ("iot/x", b"1")]))


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    ("words", "status", "last_seen"),
    [
        (["offline"], "offline", None),
        (["online"], "online", NOW),
        (["x", "offline"], "offline", NOW),
        (["offline", "x"], "online", NOW + 1),
        (["x", "offline", "online"], "online", NOW + 2),
        (["online", "offline"], "offline", NOW),
    ],
)
def test_mtr070_the_last_word_of_a_device_counts(
    words: list[str], status: str, last_seen: int | None, *, apart: bool
) -> None:
    desk, batches = Desk("m1"), []
    for n, word in enumerate(words):
        topic = "iot/m1/telemetry" if word == "x" else "iot/m1/status"
        made = RawBatch(0, n)
        made.add(topic, GOOD if word == "x" else said(word), NOW + n)
        batches.append(made)
    touch = shown(desk, *batches, apart=apart)["m1"]
    assert (touch.connection_status, touch.last_seen_ns) == (status, last_seen)


def test_mtr060_what_a_device_told_stays_until_it_is_taken() -> None:
    batches = batch([("iot/m1/hello", HELLO)]), batch([("iot/m1/telemetry", GOOD)], first=1)
    assert shown(Desk("m1"), *batches, apart=True)["m1"].fw_version == "2.1.0"


def test_mtr076_a_retained_status_is_no_sign_of_life() -> None:
    desk = Desk("m1", "m2")
    replayed = batch(
        [("iot/m1/status", said("offline")), ("iot/m2/status", said("online"))], flags=1 | REPLAYED
    )
    assert shown(desk, replayed) == {
        "m1": DeviceTouch(None, "offline"),
        "m2": DeviceTouch(None, "online"),
    }
    live = batch([("iot/m1/telemetry", GOOD)], partition=1)
    assert shown(desk, live, replayed)["m1"] == DeviceTouch(NOW, "online")
