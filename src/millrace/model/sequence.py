"""What a message says about its place in the sequence of its device, and what that decides.

Codecs write facts, the tracker of `decode` turns them into verdicts.
Source: meter.md section 4 (MTR-050 to MTR-059), MTR-076.
"""

from dataclasses import dataclass, field

import msgspec

from millrace.model.event import Event

SEQ_MODULUS = 2**32
SEQ_MAX = SEQ_MODULUS - 1


class SequenceFacts(msgspec.Struct, gc=False):
    """Facts that a message is judged by.

    Messages with a usable `seq` have them, and so has every `status` and every hello that names
    its firmware, with `seq` None when it carries none; the order of facts is that of the messages.
    Units: instants in UTC nanoseconds. `digest` is at least 32 bits over the payload bytes.
    `device_time_ns` is the time the device claims for the message, None when it is unreadable.
    `uptime_s` and `fw_version` are set for a hello that carries them, `status` for a status;
    `is_live` is False for what was delivered from a retained store at subscription.
    """

    message: int
    device_id: str
    seq: int | None
    digest: int
    received_at_ns: int
    device_time_ns: int | None = None
    is_hello: bool = False
    uptime_s: float | None = None
    status: str | None = None
    is_live: bool = True
    fw_version: str | None = None


@dataclass(slots=True)
class Verdict:
    """What the sequence rules say of one message; a message without one is simply accepted.

    `duplicate` is None, `seq` or `retained`. `flags` go onto every reading of the message. The
    `events` belong before those that the codec wrote for the same message. `fw_before` is set when
    the message names the firmware of its device: the one named before it, '' for none.
    """

    message: int
    duplicate: str | None = None
    flags: int = 0
    events: list[Event] = field(default_factory=list)
    fw_before: str | None = None
