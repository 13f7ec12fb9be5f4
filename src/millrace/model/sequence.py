"""What a message says about its place in the sequence of its device.

Source: meter.md section 4 (MTR-050 to MTR-059).
"""

from dataclasses import dataclass


@dataclass(slots=True)
class SequenceFacts:
    """Facts that the sequence rules judge a message by; only messages with a usable seq have them.

    Units: instants in UTC nanoseconds. `digest` is at least 32 bits over the payload bytes.
    `device_time_ns` is the time the device claims for the message, None when it is unreadable.
    `uptime_s` is set for a hello that carries it. `is_online` marks a live `status` online.
    """

    message: int
    device_id: str
    seq: int
    digest: int
    received_at_ns: int
    device_time_ns: int | None = None
    is_hello: bool = False
    uptime_s: float | None = None
