"""An export without a server: the same encoders, straight into a file.

Source: API-033.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from millrace.errors import UsageError
from millrace.ports.registry import Registry, SeriesRow
from millrace.ports.series import SeriesQuery, Span
from millrace.serve.export import encoder
from millrace.serve.instants import read_span
from millrace.serve.problems import Problem
from millrace.serve.render import distinct


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export: empty lists do not filter; instants as in API-002."""

    devices: Sequence[str]
    metrics: Sequence[str]
    start: str
    stop: str
    form: str


class ExportJob:
    """One export; `rows` is how many readings it will write at least."""

    def __init__(
        self, query: SeriesQuery, registry: Registry, request: ExportRequest, *, now_ns: int
    ) -> None:
        self._query = query
        self._registry = registry
        self._form = request.form
        self._span = _span(request, now_ns)
        found = registry.series(request.devices or None, request.metrics or None)
        self._series = sorted(found, key=lambda row: row.key)
        query.refresh()
        self.rows = self._count()

    def write(self, sink: IO[bytes], progress: Callable[[int], None]) -> int:
        """Write everything; return the number of readings.

        Raises:
            RetryError: The store does not answer; the file is incomplete.
        """
        by_id: dict[int, SeriesRow] = {row.series_id: row for row in self._series}
        encode = encoder(self._form, by_id)
        written = 0
        for batch in self._query.export(list(by_id), self._span):
            bodies = self._registry.attributes(distinct(batch.column("attr_id")))
            sink.write(encode.encode(batch, {n: body.get("unit") for n, body in bodies.items()}))
            written += batch.num_rows
            progress(written)
        sink.write(encode.finish())
        return written

    def _count(self) -> int:
        ids = [row.series_id for row in self._series]
        counts = self._query.summary(ids).column("count").to_pylist() if ids else []
        return int(sum(counts))


def _span(request: ExportRequest, now_ns: int) -> Span:
    try:
        return read_span(request.start, request.stop, now_ns)
    except Problem as problem:
        raise UsageError(f"--start, --stop: {problem}") from problem
