"""The envelope of a meter message: who, when, which number; and what is wrong with it.

Reading it decides nothing about the body. Whoever knows that the message is good announces the
oddities of the envelope; the facts for the sequence are handed on even when the body is refused,
because the message did arrive.
Source: MTR-005, MTR-006, MTR-021, MTR-034, MTR-050, MTR-051.
"""

from dataclasses import dataclass
from typing import Any
from zlib import crc32

from millrace.model import quality
from millrace.model.decoded import Decoded
from millrace.model.instants import parse_instant
from millrace.model.message import REDRIVE, REPLAYED
from millrace.model.payload import MAX_QUOTED_CHARS, foreign_id, json_text
from millrace.model.sequence import SEQ_MAX, SequenceFacts


@dataclass(slots=True)
class Arrival:
    """One message as it came in: bytes, receipt, flags of `model.message`."""

    payload: bytes
    received_at_ns: int
    flags: int


@dataclass(slots=True)
class Envelope:
    """What a message says beside its body. `time_ns` is None when it claims no readable time.

    `seq` is the usable number or None, `bad_seq` the JSON text of one that is not usable.
    """

    device_id: str
    time_ns: int | None
    seq: int | None
    bad_seq: str | None
    foreign_id: str | None
    foreign_type: str | None

    @property
    def flags(self) -> int:
        """Quality flags that the envelope puts on every reading of the message."""
        flags = quality.ID_MISMATCH if self.foreign_id is not None else 0
        return flags | quality.BAD_SEQ if self.bad_seq is not None else flags

    def announce(self, received_at_ns: int, out: Decoded) -> None:
        """Write the events that the envelope gives."""
        if self.foreign_id is not None:
            data = {"payload_device_id": self.foreign_id}
            out.event("id_mismatch", self.device_id, received_at_ns, data)
        if self.foreign_type is not None:
            data = {"msg_type": self.foreign_type}
            out.event("msg_type_mismatch", self.device_id, received_at_ns, data)
        if self.bad_seq is not None:
            out.event("bad_seq", self.device_id, received_at_ns, {"seq": self.bad_seq})

    def facts(
        self,
        arrival: Arrival,
        out: Decoded,
        *,
        is_hello: bool = False,
        uptime_s: float | None = None,
        status: str | None = None,
        fw_version: str | None = None,
    ) -> None:
        """Hand on what the sequence rules need; a re-driven message is not judged again."""
        if arrival.flags & REDRIVE or (self.seq is None and status is None and fw_version is None):
            return
        out.facts.append(
            SequenceFacts(
                out.message,
                self.device_id,
                self.seq,
                crc32(arrival.payload),
                arrival.received_at_ns,
                self.time_ns,
                is_hello,
                uptime_s,
                status,
                not arrival.flags & REPLAYED,
                fw_version,
            )
        )


def read_envelope(body: dict[str, Any], device_id: str, category: str) -> Envelope:
    """Return the envelope of a message on a topic of `category` of the device."""
    time_ns = parse_instant(body.get("ts"))
    if time_ns is None:
        time_ns = parse_instant(body.get("timestamp"))
    raw_seq = body.get("seq")
    seq = _usable(raw_seq)
    is_bad = seq is None and raw_seq is not None and raw_seq != -1
    claimed = body.get("msg_type")
    return Envelope(
        device_id,
        time_ns,
        seq,
        json_text(raw_seq)[:MAX_QUOTED_CHARS] if is_bad else None,
        foreign_id(body, device_id),
        _quoted(claimed) if claimed is not None and claimed != category else None,
    )


def _usable(seq: Any) -> int | None:
    # bool is an int in Python, never a number of a message
    if type(seq) is int:
        return seq if 0 <= seq <= SEQ_MAX else None
    if type(seq) is float and seq.is_integer():
        return int(seq) if 0 <= seq <= SEQ_MAX else None
    return None


def _quoted(value: Any) -> str:
    text = value if type(value) is str else json_text(value)
    return text[:MAX_QUOTED_CHARS]
