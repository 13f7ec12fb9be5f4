"""The subscriber over TLS: the broker is verified, both ways if it asks. A17."""

import datetime as dt
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from millrace.adapters.broker_mqtt import MqttBroker, Upstream, client_tls
from millrace.adapters.clock_manual import ManualClock
from millrace.errors import RetryError, UsageError
from tests.servers.mosquitto import Mosquitto, running_mosquitto

pytestmark = pytest.mark.services


def issue(folder: Path, name: str, issuer: str | None = None) -> None:
    """Write a certificate and its key; without an issuer it signs itself, as an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, signing = subject, key
    if issuer is not None:
        parent = x509.load_pem_x509_certificate((folder / f"{issuer}.pem").read_bytes())
        loaded = serialization.load_pem_private_key(
            (folder / f"{issuer}.key").read_bytes(), password=None
        )
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer, signing = parent.subject, loaded
    at = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - dt.timedelta(hours=1))
        .not_valid_after(at + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


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
