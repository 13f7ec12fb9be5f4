"""What is asked of a broker: where it is, who we are, which messages we want.

Source: MTR-001, MTR-002, MTR-008, F2-001, SNS-001, D-42.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from millrace.errors import UsageError
from millrace.mqtt.packets import ProtocolError, Subscription
from millrace.mqtt.topics import check_filter

DEFAULT_FILTERS: Final = (
    Subscription("stat/+/+/+/+", 1),
    Subscription("tele/+/+/+/+", 1),
    Subscription("cmnd/+/+/+/+", 1),
    Subscription("cmnd/+/+/+/+/+", 1),
    Subscription("iot/+/telemetry", 2),
    Subscription("iot/+/hello", 2),
    Subscription("iot/+/status", 2),
    Subscription("iot/+/command/ack", 2),
    Subscription("iot/+/ota/status", 2),
    Subscription("sensors/+/+", 1),
)
RETAINED_FILTERS: Final = ("iot/+/status",)

_SESSION_NOTE: Final = b"broker/session/"


@dataclass(frozen=True, slots=True)
class Upstream:
    """One broker and our place at it.

    With `share_group` the members of that group divide the messages among them. A shared
    subscription never brings retained messages, so `retained_filters` are subscribed plainly, and
    only by the member that `carries_retained`. `had_session` says that this client id has been
    connected before, in an earlier life of the process (see `session_note`): then a broker that
    does not know it has lost something.
    Units: `budget_bytes` of messages that are not yet durable; beyond it reading stops.
    """

    host: str
    port: int = 1883
    client_id: str = "millrace-ingest"
    version: int = 5
    username: str | None = None
    password: bytes | None = None
    tls: ssl.SSLContext | None = None
    filters: tuple[Subscription, ...] = DEFAULT_FILTERS
    retained_filters: tuple[str, ...] = RETAINED_FILTERS
    share_group: str | None = None
    carries_retained: bool = True
    had_session: bool = False
    keep_alive_s: int = 15
    session_expiry_s: int = 86_400
    timeout_s: float = 10.0
    budget_bytes: int = 64 * 1024 * 1024

    @property
    def link(self) -> str:
        """The name of this link in logs and labels; it holds no secret."""
        return f"{self.host}:{self.port}"

    def subscriptions(self) -> list[Subscription]:
        """Return what this member subscribes.

        Raises:
            UsageError: A filter is one that MQTT forbids.
        """
        wanted: list[Subscription] = []
        for one in self.filters:
            is_retained = one.filter in self.retained_filters
            if self.share_group is None or is_retained:
                if self.carries_retained or not is_retained:
                    wanted.append(one)
            else:
                wanted.append(replace(one, filter=f"$share/{self.share_group}/{one.filter}"))
        for one in wanted:
            try:
                check_filter(one.filter)
            except ProtocolError as error:
                raise UsageError(error.detail, "correct the subscription") from error
        return wanted


def session_note(client_id: str) -> bytes:
    """Return the key under which the log remembers that this client id has had a session."""
    return _SESSION_NOTE + client_id.encode()


def client_tls(
    *,
    ca_file: Path | None = None,
    certificate_file: Path | None = None,
    key_file: Path | None = None,
) -> ssl.SSLContext:
    """Return the TLS settings of a client: the broker is verified, 1.2 or newer.

    Raises:
        UsageError: A file cannot be read or does not fit.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate_file is not None:
            context.load_cert_chain(certificate_file, key_file)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"TLS: {error}", "check the certificate files") from error
    return context
