"""An RS-485 instrument: every data point of its template is read from one frame.

Source: F2-081, F2-085, F2-090 to F2-097.
"""

from collections.abc import Sequence
from typing import NamedTuple

from millrace.codecs.f2.fields import is_reserved
from millrace.codecs.f2.findings import Findings, Found, Kind, check_key
from millrace.codecs.f2.frames import is_crc_good, read_frame
from millrace.codecs.f2.points import Cut, PointReader, compile_cut, compile_point
from millrace.codecs.f2.values import add_any
from millrace.errors import RejectError
from millrace.model.device import DataPoint, TemplateVersion
from millrace.model.quality import CRC


class NamedPoint(NamedTuple):
    """A data point with its place among the series; `reader` is None when its row is wrong."""

    point: DataPoint
    channel: str
    unit: str
    reader: PointReader | None


class Straight(NamedTuple):
    """All values of a template in one step.

    Shape: `points` has one entry per value of `cut`; `end` is the least size of a frame.
    `is_whole` is true when all raw numbers are integers, so that no value can be infinite.
    """

    cut: Cut
    end: int
    is_whole: bool
    points: list[NamedPoint]


class FrameFields:
    """The fields of a sensor message that a template version decodes."""

    def __init__(self, version: TemplateVersion) -> None:
        self.points = name_points(version.data_points)
        self.has_crc = version.crc == "modbus"

    def collect(self, value: object, findings: Findings) -> None:
        """Add all data points of the frame, and the other keys by the generic rule."""
        if type(value) is not dict:
            self._add_frame(value, findings)
            return
        for key, item in value.items():
            if is_reserved(key, item):
                continue
            if key == "data":
                self._add_frame(item, findings)
                continue
            try:
                check_key(key)
            except RejectError as problem:
                findings.reject(key, problem)
            else:
                add_any(item, key, _name, findings)

    def straight(self) -> Straight | None:
        """Return the short cut for frames of usual templates, None when there is none."""
        points = [point for point in self.points if point.reader is not None]
        if self.has_crc or len(points) < len(self.points):
            return None
        points.sort(key=_start)
        readers = [point.reader for point in points if point.reader is not None]
        cut = compile_cut(readers)
        if cut is None:
            return None
        end = max(reader.end for reader in readers)
        is_whole = not any(reader.is_float for reader in readers)
        return Straight(cut, end, is_whole, points)

    def _add_frame(self, data: object, findings: Findings) -> None:
        try:
            frame = read_frame(data)
        except RejectError as problem:
            findings.reject("data", problem)
            return
        flags = CRC if self.has_crc and not is_crc_good(frame) else 0
        for named in self.points:
            try:
                findings.add(_read(named, frame, flags))
            except RejectError as problem:
                findings.reject(named.point.label, problem)


def name_points(points: Sequence[DataPoint]) -> list[NamedPoint]:
    """Return the data points in order of id, each with its channel, unit and reader."""
    named = []
    seen: set[str] = set()
    for point in sorted(points, key=lambda row: row.id):
        channel = f"dp{point.id}" if point.label in seen else ""
        seen.add(point.label)
        try:
            reader = compile_point(point)
        except RejectError:
            reader = None
        named.append(NamedPoint(point, channel, point.append.strip(), reader))
    return named


def _start(named: NamedPoint) -> int:
    return named.reader.start if named.reader is not None else 0


def _read(named: NamedPoint, frame: bytes, flags: int) -> Found:
    if named.reader is None:
        raise RejectError("bad_encoding", "the data point's row cannot be right")
    value = named.reader.read(frame)
    point = named.point
    is_text = type(value) is str
    return Found(
        Kind.TEXT if is_text else Kind.NUMBER,
        value,
        point.label,
        named.channel,
        "text" if is_text else named.unit,
        f"{point.label}.{named.channel}" if named.channel else point.label,
        point.label,
        flags,
        point.id,
    )


def _name(path: str) -> tuple[str, str]:
    return path, ""
