"""`millrace decode`: D-58, API-044."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

SENSOR = "sensors/temperature/s1"
BODY = '{"data":{"temperature_celsius":22.5}}'
AT = "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("argument", "stdin", "more"),
    [
        (BODY, b"", ()),
        ("-", BODY.encode(), ()),
        ("@body", b"", ()),
        (BODY.encode().hex(), b"", ("--hex",)),
        (BODY.encode().hex(" ").upper(), b"", ("--hex",)),
        ("-", BODY.encode().hex().encode() + b"\n", ("--hex",)),
    ],
)
def test_d58_every_way_to_hand_in_a_payload(
    millrace: Command, tmp_path: Path, argument: str, stdin: bytes, more: tuple[str, ...]
) -> None:
    (tmp_path / "body").write_text(BODY)
    done = millrace("decode", SENSOR, argument, "--json", "--at", AT, *more, stdin=stdin)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["family"], answer["category"], answer["outcome"]) == (
        "sensors", "sensor", "stored",
    )  # fmt: skip
    (point,) = answer["points"]
    assert point == {
        "device_id": "s1", "metric": "temperature_celsius", "channel": "", "value": 22.5,
        "unit": "Cel", "time": AT, "quality": ["clock"],
    }  # fmt: skip


def test_d58_nothing_is_written(millrace: Command, tmp_path: Path) -> None:
    assert millrace("decode", SENSOR, BODY, "--data", "data").returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("nobody/s1", "1", "unknown_topic"),
        ("sensors/temperature", BODY, "bad_topic"),
        (SENSOR, "{", "bad_json"),
        (SENSOR, "", "empty_payload"),
        ("iot/m1/telemetry", '{"measurements":[{"type":"x","val":1e400}]}', "not_finite"),
    ],
)
def test_a_dead_letter_is_shown_with_its_reason(
    millrace: Command, topic: str, payload: str, reason: str
) -> None:
    done = millrace("decode", topic, payload, "--json")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer["outcome"] == "dead_letter"
    assert [letter["reason"] for letter in answer["dead_letter"]] == [reason]
    shown = millrace("decode", topic, payload)
    assert reason.encode() in shown.stdout


@pytest.mark.parametrize(
    "words",
    [
        (SENSOR, "@missing"),
        (SENSOR, "xyz", "--hex"),
        (SENSOR, "é", "--hex"),
        (SENSOR, BODY, "--at", "yesterday"),
        (SENSOR,),
    ],
)
def test_d57_wrong_use_is_exit_code_2(millrace: Command, words: tuple[str, ...]) -> None:
    done = millrace("decode", *words)
    assert done.returncode == 2, done.stderr
    assert done.stdout == b""


def test_d58_the_registry_counts(millrace: Command, data: Path) -> None:
    done = millrace("decode", "iot/m1/telemetry", '{"x":1}', "--json", "--data", str(data))
    assert json.loads(done.stdout)["points"][0]["metric"] == "x"


def test_d58_bytes_that_are_no_text(millrace: Command) -> None:
    done = millrace("decode", SENSOR, "-", "--json", stdin=b'{"a":"\xff"}')
    assert json.loads(done.stdout)["dead_letter"][0]["reason"] == "not_utf8"
