"""What a device family is to the rest: an address for a topic, and a plan for a device.

A codec is pure. It looks at the topic once to say whose message it is (`address`), at the registry
once to say how it is read (`compile`), and then at every payload (`Plan.decode`). A family whose
messages come in great numbers may offer to decode the usual ones together (`Together`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from millrace.model.decoded import Decoded
from millrace.model.device import DeviceProfile
from millrace.model.series import Slots


class Address(NamedTuple):
    """Whose message a topic carries.

    `device_id` is the device that speaks and the key of the log partition. `category` is one of
    the label values of monitoring.md (telemetry, hello, status, ..., sensor, stat, tele, cmnd).
    """

    family: str
    category: str
    device_id: str


class Plan(Protocol):
    """One topic of one device, compiled."""

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write what the payload says into `out`.

        Units: `received_at_ns` UTC nanoseconds; `flags` are those of `model.message`.
        Raises:
            RejectError: The message as a whole is bad; what was written is rewound.
        """
        ...


class Messages(NamedTuple):
    """Messages of one work whose plans go together, in log order; columns of one length.

    Units: `received_at_ns` UTC nanoseconds; `flags` are those of `model.message`; `numbers` are
    those of the messages in the work.
    """

    plans: Sequence[Any]
    payloads: Sequence[bytes]
    received_at_ns: Sequence[int]
    flags: Sequence[int]
    numbers: Sequence[int]


class Together(Protocol):
    """Decodes the usual messages of many plans of one kind in whole columns.

    It writes exactly what their own plans would write, or leaves a message to its plan.
    """

    def decode(self, messages: Messages, out: Decoded) -> Sequence[int]:
        """Add a block of readings to `out`; return the indices of the messages left over.

        Order: the facts of a message may be written before those of an earlier one.
        """
        ...


class SociablePlan:
    """A plan whose messages may be decoded with those of others that name the same `together`."""

    __slots__ = ()
    together: Together | None


class Codec(Protocol):
    """One device family."""

    family: str

    def address(self, topic: str) -> Address | None:
        """Return whose message this topic carries; None when the family does not take the topic.

        Raises:
            RejectError: The first level is ours but the rest is not: `bad_topic` and its kin.
        """
        ...

    def compile(self, topic: str, profile: DeviceProfile, slots: Slots) -> Plan:
        """Return the plan for a topic that `address` has accepted."""
        ...
