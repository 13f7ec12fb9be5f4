"""Broker URLs to brokers: our own endpoint, or the subscriber to somebody else's.

Source: D-41, D-57, MTR-008, MTR-011.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from millrace.adapters.broker_endpoint import (
    EndpointAddresses,
    EndpointBroker,
    EndpointLimits,
    EndpointTls,
)
from millrace.adapters.broker_mqtt import (
    DEFAULT_FILTERS,
    MqttBroker,
    Upstream,
    client_tls,
    session_note,
)
from millrace.adapters.clock_system import SystemClock
from millrace.errors import UsageError
from millrace.ingest.metrics import LinkState
from millrace.mqtt.packets import Subscription
from millrace.ports.broker import Broker
from millrace.ports.log import Log, LogReader
from millrace.settings import Settings
from millrace.wiring import places
from millrace.wiring.urls import scheme_of

_F2_ROOTS = ("stat/", "tele/", "cmnd/")
_BINDINGS = ("{device_id}", "{channel}")


@dataclass(slots=True)
class Link:
    """One broker with its name; `is_up` asks whether messages can come in."""

    name: str
    broker: Broker
    is_up: Callable[[], bool] = lambda: True

    @property
    def state(self) -> LinkState:
        """How the link is at the moment."""
        if isinstance(self.broker, EndpointBroker):
            counters = self.broker.counters
            refused = counters.auth_failures + counters.denied
            return LinkState(self.name, self.is_up(), counters.clients, refused)
        return LinkState(self.name, self.is_up())

    @property
    def listening(self) -> dict[str, int]:
        """Ports on which devices come in, by protocol."""
        return self.broker.ports if isinstance(self.broker, EndpointBroker) else {}


def open_links(settings: Settings, log: Log, reader: LogReader) -> list[Link]:
    """Return a link for each broker URL; nothing is connected yet."""
    urls = places.broker_urls(settings)
    if scheme_of(urls[0]) == "endpoint":
        return [Link("own", _endpoint(settings, log, reader))]
    return [_upstream(settings, log, url, number) for number, url in enumerate(urls)]


def _endpoint(settings: Settings, log: Log, reader: LogReader) -> EndpointBroker:
    chosen = settings.broker
    host, port = places.broker_address(places.broker_urls(settings)[0])
    tls = None
    if chosen.tls_certificate and chosen.tls_key:
        client_ca = str(chosen.tls_client_ca) if chosen.tls_client_ca else None
        certificate, key = str(chosen.tls_certificate), str(chosen.tls_key)
        tls = EndpointTls(certificate, key, client_ca, chosen.tls_allow_12)
    limits = EndpointLimits(
        max_packet_bytes=chosen.max_packet_bytes,
        max_connections=chosen.max_connections,
        max_pending_bytes=chosen.max_pending_bytes,
        linger_s=chosen.linger_s,
    )
    addresses = EndpointAddresses(
        host,
        port,
        None if chosen.websocket_port == "off" else chosen.websocket_port,
        chosen.tls_port if tls else None,
        tls,
    )
    return EndpointBroker(addresses, log.notes, clock=SystemClock(), reader=reader, limits=limits)


def _upstream(settings: Settings, log: Log, url: str, number: int) -> Link:
    chosen = settings.broker
    host, port = places.broker_address(url)
    parts = urlsplit(url)
    client_id = chosen.client_id if number == 0 else f"{chosen.client_id}-{number}"
    tls = None
    if parts.scheme == "mqtts":
        tls = client_tls(
            ca_file=chosen.tls_client_ca,
            certificate_file=chosen.tls_certificate,
            key_file=chosen.tls_key,
        )
    upstream = Upstream(
        host,
        port,
        client_id,
        username=unquote(parts.username) if parts.username else chosen.username or None,
        password=_password(settings),
        tls=tls,
        filters=_filters(settings),
        share_group=chosen.share_group or None,
        had_session=bool(log.notes(session_note(client_id))),
        budget_bytes=chosen.max_pending_bytes,
    )
    up: set[str] = set()

    def on_link(is_up: bool) -> None:  # noqa: FBT001 - the signature is the broker's
        (up.add if is_up else up.discard)(url)

    broker = MqttBroker(upstream, SystemClock(), on_link=on_link)
    return Link(f"{host}:{port}", broker, lambda: url in up)


def _filters(settings: Settings) -> tuple[Subscription, ...]:
    wanted = [Subscription(name, 1) for name in settings.f2.subscriptions]
    wanted += [one for one in DEFAULT_FILTERS if not one.filter.startswith(_F2_ROOTS)]
    for pattern in settings.generic:
        name = pattern.topic
        for binding in _BINDINGS:
            name = name.replace(binding, "+")
        wanted.append(Subscription(name, 1))
    return tuple(wanted)


def _password(settings: Settings) -> bytes | None:
    path = settings.broker.password_file
    if path is None:
        return None
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"broker.password_file: {path}: {error.strerror}") from error
