"""Lines to `/api/v2/write`, in compressed batches, each counted as done when the server said so.

InfluxDB refuses a line for what it knows of its field (a type, a reserved name) and takes the
others of the batch. It does not always say which, so a refused batch is halved until the lines that
it refuses are alone. Writing a line again changes nothing.
Source: MTR-121, D-28; A21.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from millrace.adapters.series_influx.lines import Head, head_of, line_of
from millrace.errors import RetryError
from millrace.observe.urls import shown
from millrace.ports.sink import Refused, SinkRows

# The server has read the lines and will not take them, now or ever.
_REFUSED: Final = (400, 413, 422)
_SAID_CHARS = 400
_MAX_HEADS = 1_000_000


@dataclass(frozen=True, slots=True)
class InfluxOptions:
    """Where lines go. `url` has no path of the API; sensors have a bucket of their own."""

    url: str
    org: str = "iot-org"
    bucket: str = "iot-metrics"
    sensors_bucket: str = "sensor-data"
    token: str = field(default="", repr=False)
    timeout_s: float = 10.0
    batch_lines: int = 5_000


class InfluxSeries:
    """See `ports.sink.SeriesSink`."""

    def __init__(self, options: InfluxOptions) -> None:
        self._options = options
        headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"}
        if options.token:
            headers["Authorization"] = f"Token {options.token}"
        self._client = httpx.Client(timeout=options.timeout_s, headers=headers, trust_env=False)
        self._heads: dict[tuple[int, int], Head | None] = {}

    def write(self, rows: SinkRows) -> Sequence[Refused]:
        refused: list[Refused] = []
        by_bucket = self._lines(rows, refused)
        for bucket, lines in by_bucket.items():
            for first in range(0, len(lines), self._options.batch_lines):
                self._send(bucket, lines[first : first + self._options.batch_lines], refused)
        return refused

    def close(self) -> None:
        """Release the connection; a second call does nothing."""
        self._client.close()

    def _lines(self, rows: SinkRows, refused: list[Refused]) -> Mapping[str, list[tuple[int, str]]]:
        """Return rows with their lines by bucket."""
        telemetry: list[tuple[int, str]] = []
        sensors: list[tuple[int, str]] = []
        columns = (rows.series.tolist(), rows.attr.tolist(), rows.value.tolist())
        times = rows.time_ns.tolist()
        for row, (series, attr, value) in enumerate(zip(*columns, strict=True)):
            head = self._head(rows, series, attr)
            if head is None:
                continue
            line = line_of(head, value, times[row])
            if line is None:
                refused.append(Refused(row, f"{value!r} cannot be written"))
            else:
                (sensors if head.is_sensor else telemetry).append((row, line))
        return {self._options.bucket: telemetry, self._options.sensors_bucket: sensors}

    def _head(self, rows: SinkRows, series: int, attr: int) -> Head | None:
        key = (series, attr)
        if key not in self._heads:
            if len(self._heads) >= _MAX_HEADS:
                self._heads.clear()
            self._heads[key] = head_of(rows.names[series], rows.attributes[attr])
        return self._heads[key]

    def _send(self, bucket: str, lines: list[tuple[int, str]], refused: list[Refused]) -> None:
        """Write lines; those that are refused even alone are added to `refused`."""
        waiting = [lines]
        while waiting:
            part = waiting.pop()
            said = self._post(bucket, "\n".join(line for _, line in part))
            if said is None:
                continue
            if len(part) == 1:
                refused.append(Refused(part[0][0], said))
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]

    def _post(self, bucket: str, text: str) -> str | None:
        """Write text; return None when it is stored, else why it never will be."""
        where: dict[str, Any] = {"org": self._options.org, "bucket": bucket, "precision": "ns"}
        packed = zlib.compress(text.encode("utf-8", "replace"), 1, wbits=31)
        try:
            answer = self._client.post(
                f"{self._options.url}/api/v2/write", params=where, content=packed
            )
        except httpx.HTTPError as error:
            raise RetryError(f"{shown(self._options.url)}: {error}") from error
        if answer.is_success:
            return None
        said = f"{answer.status_code} {answer.text[:_SAID_CHARS]}"
        if answer.status_code in _REFUSED:
            return said
        raise RetryError(f"{shown(self._options.url)}: bucket {bucket}: {said}")
