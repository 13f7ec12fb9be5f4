"""What is remembered of the sequence of one device, and how that is packed.

A window holds a digest for every number seen among the newest 1,024; a digest of 0 means unseen.
Its ring grows from 64 entries on demand, because most devices are quiet most of the time (D-21).
The packed form begins with a version; one that is not known stops the process, because starting
from an empty state would accept every copy again (D-22).
Source: meter.md section 4.
"""

import struct
from array import array
from dataclasses import dataclass
from sys import byteorder

from millrace.errors import StopError
from millrace.model.sequence import SEQ_MODULUS
from millrace.model.work import SequenceRow

WINDOW = 1024
SMALLEST = 64
SEQ_MASK = SEQ_MODULUS - 1
VERSION = 2

_KNOWN = (b"\x01", b"\x02")
_NONE = -(2**63)
# flags, epoch, first seq, first time, uptime, boot, hello seq, online since, newest gap, status
_HEAD = struct.Struct("<BBqIqdqIqqI")
# missing, duplicates, resets, bytes of the firmware version that follow; since version 2
_MORE = struct.Struct("<qqqB")
# high, last time, kept until, entries in the ring, used positions, missing
_WINDOW = struct.Struct("<IqqHHH")
_MISSING = struct.Struct("<Iq")

_HAS_WINDOW, _HAS_PREVIOUS, _HAS_UPTIME, _HAS_ONLINE = 1, 2, 4, 8


class Window:
    """The newest 1,024 numbers of one epoch.

    Shape: `ring[seq & mask]` is the digest of `seq`; the positions in use are the `span` numbers
    that end at `high`. `missing` maps a number to the instant at which it was missed, oldest first.
    Units: UTC nanoseconds. `until_ns` is when a previous epoch is forgotten.
    """

    __slots__ = ("high", "last_ns", "mask", "missing", "ring", "span", "until_ns")

    def __init__(self, seq: int, digest: int, time_ns: int | None) -> None:
        self.high = seq
        self.mask = SMALLEST - 1
        self.ring = array("I", bytes(4 * SMALLEST))
        self.ring[seq & self.mask] = digest
        self.span = 1
        self.missing: dict[int, int] = {}
        self.last_ns = time_ns
        self.until_ns = 0

    def digest(self, seq: int, distance: int) -> int:
        """Return the digest of a number `distance` <= 0 from `high`; 0 when it was not seen."""
        return self.ring[seq & self.mask] if -distance < self.span else 0

    def see(self, seq: int, digest: int, distance: int) -> None:
        """Put down a number inside the window, or above it; then `high` moves there."""
        if distance > 0:
            self._advance(distance)
            self.high = seq
        elif -distance >= self.span:
            self._widen(1 - distance)
            self.span = 1 - distance
        self.ring[seq & self.mask] = digest

    def miss(self, distance: int, at_ns: int) -> None:
        """Put down as missing what lies between `high` and `distance` above it.

        Only the newest 1,023 can ever be filled. To be called before `see`.
        """
        for offset in range(max(1, distance - WINDOW + 1), distance):
            self.missing[(self.high + offset) & SEQ_MASK] = at_ns

    def _advance(self, distance: int) -> None:
        span = min(WINDOW, self.span + distance)
        self._widen(span)
        size = self.mask + 1
        if distance >= size:
            self.ring = array("I", bytes(4 * size))
        else:
            for offset in range(1, distance):
                self.ring[(self.high + offset) & self.mask] = 0
        self.span = span
        high = self.high + distance
        while self.missing:
            oldest = next(iter(self.missing))
            if (high - oldest) & SEQ_MASK < WINDOW:
                break
            del self.missing[oldest]

    def _widen(self, span: int) -> None:
        """Make room for `span` numbers that end at `high` or above it."""
        size = self.mask + 1
        if span <= size:
            return
        while size < span:
            size *= 2
        ring = array("I", bytes(4 * size))
        for offset in range(self.span):
            seq = (self.high - offset) & SEQ_MASK
            ring[seq & (size - 1)] = self.ring[seq & self.mask]
        self.ring, self.mask = ring, size - 1


@dataclass(slots=True)
class DeviceSequence:
    """All that is remembered of one device. `window` is None before the first usable number.

    Units: UTC nanoseconds. `online` says that a live `online` status came after the last accepted
    sequenced message, `online_ns` is what it claimed. `status_digest` is that of the last stored
    status, 0 for none. `fw_version` is what the newest hello named, '' before the first.
    """

    window: Window | None = None
    previous: Window | None = None
    epoch: int = 0
    first_seq: int = 0
    first_ns: int | None = None
    uptime_s: float | None = None
    boot_ns: int | None = None
    hello_seq: int = 0
    is_online: bool = False
    online_ns: int | None = None
    newest_gap_ns: int = 0
    status_digest: int = 0
    gap_count: int = 0
    duplicates: int = 0
    resets: int = 0
    fw_version: str = ""


def pack(device_id: str, state: DeviceSequence) -> SequenceRow:
    """Return the state of a device as a row."""
    marks = (_HAS_WINDOW if state.window else 0) | (_HAS_PREVIOUS if state.previous else 0)
    marks |= _HAS_UPTIME if state.uptime_s is not None else 0
    marks |= _HAS_ONLINE if state.is_online else 0
    head = _HEAD.pack(
        VERSION,
        marks,
        state.epoch,
        state.first_seq,
        _or_none(state.first_ns),
        state.uptime_s or 0.0,
        _or_none(state.boot_ns),
        state.hello_seq,
        _or_none(state.online_ns),
        state.newest_gap_ns,
        state.status_digest,
    )
    fw_version = state.fw_version.encode()
    more = _MORE.pack(state.gap_count, state.duplicates, state.resets, len(fw_version))
    parts = [
        head,
        more,
        fw_version,
        *(_pack_window(w) for w in (state.window, state.previous) if w is not None),
    ]
    return SequenceRow(
        device_id=device_id,
        last_seq=state.window.high if state.window else -1,
        epoch=state.epoch,
        gap_count=state.gap_count,
        duplicates=state.duplicates,
        resets=state.resets,
        last_ts_ns=state.window.last_ns if state.window else None,
        state=b"".join(parts),
    )


def unpack(row: SequenceRow) -> DeviceSequence:
    """Return the state that a row holds; the counters of version 1 are those of the row.

    Raises:
        StopError: The row was written by a version that this one does not know, or is damaged.
    """
    if row.state[:1] not in _KNOWN:
        raise StopError(
            f"the sequence state of {row.device_id} has version {row.state[:1].hex() or 'none'},"
            f" this program knows version {VERSION}",
            "start the version of Millrace that wrote it, or restore an older backup",
        )
    try:
        return _unpack(row)
    except (struct.error, ValueError, IndexError) as error:
        raise StopError(
            f"the sequence state of {row.device_id} is damaged", "restore a backup"
        ) from error


def _unpack(row: SequenceRow) -> DeviceSequence:
    fields = _HEAD.unpack_from(row.state)
    marks = fields[1]
    at = _HEAD.size
    counters, fw_version = [row.gap_count, row.duplicates, row.resets], ""
    if fields[0] >= VERSION:
        *counters, length = _MORE.unpack_from(row.state, at)
        at += _MORE.size + length
        fw_version = row.state[at - length : at].decode()
    window = previous = None
    if marks & _HAS_WINDOW:
        window, at = _unpack_window(row.state, at)
    if marks & _HAS_PREVIOUS:
        previous, at = _unpack_window(row.state, at)
    return DeviceSequence(
        window=window,
        previous=previous,
        epoch=fields[2],
        first_seq=fields[3],
        first_ns=_none_or(fields[4]),
        uptime_s=fields[5] if marks & _HAS_UPTIME else None,
        boot_ns=_none_or(fields[6]),
        hello_seq=fields[7],
        is_online=bool(marks & _HAS_ONLINE),
        online_ns=_none_or(fields[8]),
        newest_gap_ns=fields[9],
        status_digest=fields[10],
        gap_count=counters[0],
        duplicates=counters[1],
        resets=counters[2],
        fw_version=fw_version,
    )


def _pack_window(window: Window) -> bytes:
    head = _WINDOW.pack(
        window.high,
        _or_none(window.last_ns),
        window.until_ns,
        len(window.ring),
        window.span,
        len(window.missing),
    )
    missing = [_MISSING.pack(seq, at_ns) for seq, at_ns in window.missing.items()]
    return b"".join([head, _little(window.ring).tobytes(), *missing])


def _unpack_window(data: bytes, at: int) -> tuple[Window, int]:
    high, last_ns, until_ns, size, span, missing = _WINDOW.unpack_from(data, at)
    window = Window(high, 0, _none_or(last_ns))
    window.until_ns, window.span, window.mask = until_ns, span, size - 1
    at += _WINDOW.size
    window.ring = _little(array("I", data[at : at + 4 * size]))
    if len(window.ring) != size:
        raise ValueError("the ring is cut")
    at += 4 * size
    for _ in range(missing):
        seq, at_ns = _MISSING.unpack_from(data, at)
        window.missing[seq] = at_ns
        at += _MISSING.size
    return window, at


def _little(ring: "array[int]") -> "array[int]":
    if byteorder == "big":
        ring = ring[:]
        ring.byteswap()
    return ring


def _or_none(value: int | None) -> int:
    return _NONE if value is None else value


def _none_or(value: int) -> int | None:
    return None if value == _NONE else value
