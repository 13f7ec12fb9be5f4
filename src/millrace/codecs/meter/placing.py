"""Where the points of one message end up in time, and writing them.

Source: MTR-042, MTR-043.
"""

from itertools import groupby
from typing import NamedTuple

from millrace.codecs.meter.table import Entry
from millrace.model import quality
from millrace.model.decoded import Decoded
from millrace.model.instants import format_instant
from millrace.model.payload import is_timely


class Point(NamedTuple):
    """A reading on its way, with the element that it came from and its number in the array."""

    entry: Entry
    time_ns: int
    value: float
    flags: int
    element: str
    row: int | None


def place(
    points: list[Point], device_id: str, received_at_ns: int, max_future_ns: int, out: Decoded
) -> list[Point]:
    """Return the points at times that may be stored; the others become letters.

    When no point of the message is inside the accepted span, the clock of the device is wrong: all
    of them are moved so that the newest one is at the receipt, and keep their distances.
    Source: MTR-042.
    """
    timely = [p for p in points if is_timely(p.time_ns, received_at_ns, max_future_ns)]
    if len(timely) == len(points):
        return points
    if not timely:
        newest = max(p.time_ns for p in points)
        shift = received_at_ns - newest
        points = [
            p._replace(time_ns=p.time_ns + shift, flags=p.flags | quality.CLOCK) for p in points
        ]
        timely = [p for p in points if is_timely(p.time_ns, received_at_ns, max_future_ns)]
        claims = {"claimed": format_instant(newest), "received": format_instant(received_at_ns)}
        out.event("clock_fault", device_id, received_at_ns, claims)
    for p in points:
        if not is_timely(p.time_ns, received_at_ns, max_future_ns):
            out.reject("time_range", p.element, p.row, "the time is before 2000 or too far ahead")
    return timely


def write(points: list[Point], flags: int, out: Decoded) -> None:
    """Write points with the flags of their message; of equal (series, time) the last one wins."""
    last: dict[tuple[int, int], Point] = {}
    for point in points:
        key = (point.entry.series, point.time_ns)
        if last.pop(key, None) is not None:
            out.overwritten += 1
        last[key] = point
    for (time_ns, own), run in groupby(last.values(), key=lambda p: (p.time_ns, p.flags)):
        members = list(run)
        slots = [p.entry.slot for p in members]
        out.readings(slots, time_ns, [p.value for p in members], flags | own)
