"""The subscriber over TLS: the broker is verified, both ways if it asks. A17."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.adapters.broker_mqtt import MqttBroker, Upstream, client_tls
from millrace.adapters.clock_manual import ManualClock
from millrace.errors import RetryError, UsageError
from tests.servers.certificates import issue
from tests.servers.mosquitto import Mosquitto, running_mosquitto

pytestmark = pytest.mark.services


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    issue(tmp_path, "authority")
    issue(tmp_path, "broker", "authority")
    issue(tmp_path, "ingest", "authority")
    issue(tmp_path, "stranger")
    extra = (
        f"cafile {tmp_path}/authority.pem\ncertfile {tmp_path}/broker.pem\n"
        f"keyfile {tmp_path}/broker.key\nrequire_certificate true"
    )
    with running_mosquitto(tmp_path, extra=extra) as server:
        yield server


async def test_a_verified_link_in_both_directions(mosquitto: Mosquitto, tmp_path: Path) -> None:
    tls = client_tls(
        ca_file=tmp_path / "authority.pem",
        certificate_file=tmp_path / "ingest.pem",
        key_file=tmp_path / "ingest.key",
    )
    broker = MqttBroker(Upstream("127.0.0.1", mosquitto.port, tls=tls), ManualClock())
    await broker.start()
    await broker.publish("iot/m/telemetry", b"x", qos=1)
    intake = await broker.receive()
    assert intake.messages.payloads == [b"x"]
    await broker.close()


async def test_a17_a_broker_that_is_not_who_it_says(mosquitto: Mosquitto, tmp_path: Path) -> None:
    tls = client_tls(ca_file=tmp_path / "stranger.pem")
    broker = MqttBroker(Upstream("127.0.0.1", mosquitto.port, tls=tls), ManualClock())
    with pytest.raises(RetryError, match="certificate verify failed"):
        await broker.publish("a", b"")
    await broker.close()


def test_files_that_are_not_there_are_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        client_tls(ca_file=tmp_path / "nothing.pem")
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(UsageError):
        client_tls(ca_file=tmp_path / "bad.pem")
