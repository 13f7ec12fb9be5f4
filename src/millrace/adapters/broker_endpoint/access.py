"""Who may connect, publish and subscribe: the question the endpoint asks, and the open answer.

The answers come from a credential store that somebody else owns; they are needed on the event
loop and must be quick. A principal is the name of the credential; a client id belongs to the
principal that used it last, so nobody takes over the session of another (A2).
Source: MTR-009, D-41, attacks A2, A3, A4, A7, A15.
"""

from asyncio import BaseTransport
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Refusal:
    """A CONNECT is not admitted. `reason` is an MQTT 5 reason code: 0x86 or 0x87 as a rule."""

    reason: int = 0x87


class Access(Protocol):
    """Admission to the endpoint."""

    def authenticate(
        self,
        client_id: str,
        username: str | None,
        password: bytes | None,
        certificate_cn: str | None,
    ) -> str | Refusal:
        """Return the principal, or why there is none."""
        ...

    def may_publish(self, principal: str, topic: str) -> bool:
        """Return whether messages on this topic are taken from the principal."""
        ...

    def may_subscribe(self, principal: str, topic_filter: str) -> bool:
        """Return whether the principal may have this filter, `$share/...` included as sent."""
        ...


class OpenAccess:
    """Everybody may do everything; for loopback and closed networks."""

    def authenticate(
        self,
        client_id: str,
        username: str | None,
        password: bytes | None,
        certificate_cn: str | None,
    ) -> str | Refusal:
        return ""

    def may_publish(self, principal: str, topic: str) -> bool:
        return True

    def may_subscribe(self, principal: str, topic_filter: str) -> bool:
        return True


def certificate_name(transport: BaseTransport | None) -> str | None:
    """Return the common name of the certificate that the peer has shown, if it has."""
    certificate = transport.get_extra_info("peercert") if transport else None
    for part in (certificate or {}).get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return str(value)
    return None
