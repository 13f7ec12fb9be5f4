"""Sealed history as a Delta Lake table."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from millrace.adapters.series_delta import DeltaQuery, DeltaSeries
from millrace.ports.ledger import HotReadings
from millrace.ports.series import SeriesQuery, SeriesWriter
from tests.contracts.hot_memory import START_NS
from tests.contracts.series import SealedFilesContract


class TestDeltaSeries(SealedFilesContract):
    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path / "series"

    def make_writer(self) -> SeriesWriter:
        return DeltaSeries(self.root, now_ns=lambda: START_NS)

    def make_query(
        self, hot: HotReadings, latest_source: Callable[[], pa.Table] | None = None
    ) -> SeriesQuery:
        return DeltaQuery(self.root, hot, latest_source=latest_source)
