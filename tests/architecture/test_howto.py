"""The steps of docs/howto, run: the export script, the broker's configuration, the device."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as mqtt
import pyarrow as pa
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from examples.device.thermometer import message
from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.fleet_memory import MemoryFleet
from millrace.adapters.series_delta import DeltaSeries
from millrace.model import quality
from millrace.ports.series import READING_SCHEMA
from millrace.preview import Previewer
from millrace.settings import Settings
from millrace.store.sqlite import migrate, open_store
from millrace.wiring.families import codecs
from tests.architecture.documents import ROOT, all_blocks, blocks
from tests.servers.installed import program
from tests.servers.mosquitto import Mosquitto, running_mosquitto

HOWTO = ROOT / "docs" / "howto"
NOON_NS = 1_772_366_400 * 10**9
PASSWORD = "only for this test"  # noqa: S105 - it is


def test_export_script_names_the_readings_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    migrate(tmp_path / "data" / "millrace.db")
    with closing(open_store(tmp_path / "data" / "millrace.db")) as db:
        db.execute(
            "INSERT INTO series (series_id, device_id, metric, created_at)"
            " VALUES (7, 'attic', 'temperature_celsius', '2026-03-01T12:00:00.000000Z')"
        )
    row = {"series_id": 7, "time_ns": NOON_NS, "value": 21.5, "flags": 0, "attr_id": 1}
    table = pa.Table.from_pylist([row], schema=READING_SCHEMA)
    DeltaSeries(tmp_path / "data" / "series").seal(table, 1)
    (script,) = blocks(HOWTO / "export.md", "python")
    ran = subprocess.run(
        [sys.executable, "-c", script.text],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    for part in ("attic", "temperature_celsius", "21.5", "2026-03-01 12:00:00"):
        assert part in ran.stdout


def test_export_page_has_the_bits_of_the_flags() -> None:
    text = (HOWTO / "export.md").read_text()
    assert ", ".join(f"`{name}` {bit}" for bit, name in quality.NAMES.items()) in text


def test_configuration_of_mosquitto_is_the_one_that_is_shown() -> None:
    (shown,) = all_blocks("conf")
    assert shown.text == (ROOT / "examples" / "mosquitto" / "mosquitto.conf").read_text()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with the settings of the example, on a port and in a folder of its own."""
    ours = {"listener", "persistence", "persistence_location", "persistent_client_expiration"}
    lines = (ROOT / "examples" / "mosquitto" / "mosquitto.conf").read_text().splitlines()
    settings = [line for line in lines if line and not line.startswith("#")]
    twice = {*ours, "max_inflight_messages", "max_queued_messages", "autosave_interval"}
    extra = [line for line in settings if line.split()[0] not in twice]
    program("mosquitto_passwd")
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "device", PASSWORD], check=True)
    text = "\n".join(extra).replace("password_file passwords", f"password_file {passwords}")
    with running_mosquitto(tmp_path, extra=text) as broker:
        yield broker


@pytest.mark.services
def test_mosquitto_takes_the_configuration_and_asks_for_the_password(mosquitto: Mosquitto) -> None:
    assert publish(mosquitto.port, "device", PASSWORD)
    assert not publish(mosquitto.port, "device", "another one")


def publish(port: int, username: str, password: str) -> bool:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(username, password)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        sent = client.publish("sensors/temperature/attic", "{}", qos=1)
        with suppress(RuntimeError):  # the broker has hung up
            sent.wait_for_publish(2)
            return sent.is_published()
        return False
    finally:
        client.disconnect()
        client.loop_stop()


def test_message_of_the_example_device_is_good() -> None:
    payload = message(3, datetime(2026, 3, 1, 11, 59, 58, tzinfo=UTC))
    previewer = Previewer(codecs(Settings()), MemoryFleet(), ManualClock())
    found = previewer.preview("sensors/temperature/attic-1", payload.encode(), at_ns=NOON_NS)
    assert found["outcome"] == "stored"
    assert not found["dead_letter"]
    assert {point["metric"] for point in found["points"]} == {
        "temperature_celsius", "meta_battery_level", "meta_signal_strength",
    }  # fmt: skip
    assert not any(point["quality"] for point in found["points"])


def test_api_page_shows_what_a_preview_answers() -> None:
    shown = [
        json.loads(block.text) for block in blocks(ROOT / "docs" / "reference" / "api.md", "json")
    ]
    (answer,) = [body for body in shown if "outcome" in body]
    previewer = Previewer(codecs(Settings()), MemoryFleet(), ManualClock())
    payload = b'{"data": {"temperature_celsius": 21.5}}'
    assert answer == previewer.preview("sensors/temperature/attic", payload, at_ns=NOON_NS)
