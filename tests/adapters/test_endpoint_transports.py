"""The endpoint over TLS with client certificates, and over WebSocket."""

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.typing import Origin, Subprotocol

from millrace.adapters.broker_endpoint import (
    EndpointAddresses,
    EndpointBroker,
    EndpointTls,
    Refusal,
)
from millrace.adapters.clock_system import SystemClock
from millrace.adapters.log_memory import MemoryLog
from millrace.errors import StopError
from millrace.mqtt.packets import ConnAck, Connect, Decoder, Packet, PubAck, Publish, encode
from tests.adapters.endpoint_rig import Client, endpoint

Key = ec.EllipticCurvePrivateKey


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.path = self._write("ca", self._sign(self.name, self.key), self.key)[0]

    def issue(self, name: str, *, is_expired: bool = False) -> tuple[str, str]:
        """Return the paths of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._write(name, self._sign(subject, key, is_expired=is_expired), key)

    def _sign(self, subject: x509.Name, key: Key, *, is_expired: bool = False) -> x509.Certificate:
        end = dt.datetime.now(dt.UTC) + dt.timedelta(days=-1 if is_expired else 1)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(end - dt.timedelta(days=2)).not_valid_after(end)
        is_authority = subject == self.name
        builder = builder.add_extension(
            x509.BasicConstraints(ca=is_authority, path_length=None), critical=True
        )
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        return builder.add_extension(names, critical=False).sign(self.key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate, key: Key) -> tuple[str, str]:
        paths = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return str(paths[0]), str(paths[1])


class ByCertificate:
    def authenticate(
        self, client_id: str, username: str | None, password: bytes | None, cn: str | None
    ) -> str | Refusal:
        return cn or Refusal(0x87)

    def may_publish(self, principal: str, topic: str) -> bool:
        return topic.startswith(f"iot/{principal}/")

    def may_subscribe(self, principal: str, topic_filter: str) -> bool:
        return False


def client_context(authority: Authority, pair: tuple[str, str] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.path)
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


async def secure(port: int, context: ssl.SSLContext) -> Client:
    return Client(
        *await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    )


async def test_mtr_009_the_certificate_names_the_device(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = EndpointTls(*authority.issue("server"), client_ca=authority.path)
    addresses = EndpointAddresses(port=0, tls_port=0, tls=tls)
    async with endpoint(addresses=addresses, access=ByCertificate()) as rig:
        context = client_context(authority, authority.issue("m1"))
        client = await secure(rig.broker.ports["mqtts"], context)
        assert (await client.hello("m1")).reason == 0
        session = client.writer.get_extra_info("ssl_object")
        assert session.version() == "TLSv1.3"
        assert await client.publish("iot/m1/telemetry", b"x") == 0
        assert await client.publish("iot/m2/telemetry", b"x") == 0x87
        plain = await Client.open(rig.port)
        assert (await plain.hello("m1")).reason == 0x87


async def test_a17_old_versions_and_bad_certificates_are_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    tls = EndpointTls(*authority.issue("server"), client_ca=authority.path)
    async with endpoint(addresses=EndpointAddresses(port=0, tls_port=0, tls=tls)) as rig:
        port = rig.broker.ports["mqtts"]
        old = client_context(authority, authority.issue("m1"))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await secure(port, old)
        for pair in (None, authority.issue("m2", is_expired=True), stranger.issue("m3")):
            client = None
            try:
                client = await secure(port, client_context(authority, pair))
                client.send(Connect("m1"))
                assert await client.next() is None
            except (ssl.SSLError, ConnectionError):
                # In TLS 1.3 the client may learn of it with its first read
                pass
        good = await secure(port, client_context(authority, authority.issue("m4")))
        assert (await good.hello("m4")).reason == 0
    Client.opened.clear()


async def test_mtr_009_mqtt_over_websocket() -> None:
    addresses = EndpointAddresses(port=0, websocket_port=0)
    async with endpoint(addresses=addresses) as rig:
        url = f"ws://127.0.0.1:{rig.broker.ports['websocket']}/mqtt"
        async with websockets.connect(url, subprotocols=[Subprotocol("mqtt")]) as socket:
            assert socket.subprotocol == "mqtt"
            decoder = Decoder(5, role="client")
            data = encode(Connect("web"), 5) + encode(Publish("a", b"x", 1, packet_id=1), 5)
            for at in range(0, len(data), 7):
                await socket.send(data[at : at + 7])
            found: list[Packet] = []
            while len(found) < 2:
                found += decoder.feed(await socket.recv(decode=False))
            assert isinstance(found[0], ConnAck)
            assert found[1] == PubAck(1)
            await socket.send("text is no MQTT")
            with pytest.raises(websockets.ConnectionClosedError):
                await socket.recv()
        assert rig.logged() == [("a", b"x")]


async def test_a44_a_websocket_of_a_foreign_page_is_refused() -> None:
    addresses = EndpointAddresses(port=0, websocket_port=0, origins=("https://mine.example",))
    async with endpoint(addresses=addresses) as rig:
        url = f"ws://127.0.0.1:{rig.broker.ports['websocket']}/mqtt"
        names = [Subprotocol("mqtt")]
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(url, subprotocols=names, origin=Origin("https://evil.example"))
        mine = Origin("https://mine.example")
        async with websockets.connect(url, subprotocols=names, origin=mine) as socket:
            await socket.send(encode(Connect("web"), 5))
            assert await socket.recv()


async def test_a_port_in_use_stops_the_start() -> None:
    async with endpoint() as rig:
        second = EndpointBroker(
            EndpointAddresses(port=rig.port), MemoryLog().notes, clock=SystemClock()
        )
        with pytest.raises(StopError, match="cannot listen"):
            await second.start()
        await second.close()


def test_a_missing_certificate_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StopError, match="cannot be used"):
        EndpointTls(str(tmp_path / "no.crt"), str(tmp_path / "no.key")).context()
