"""A private VictoriaMetrics on a free port of the loopback: it takes InfluxDB's line protocol."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.servers.installed import program
from tests.servers.ports import free_port, wait_for_port


class Sample(NamedTuple):
    """One value as the server has it; its clock has milliseconds."""

    labels: dict[str, str]
    time_ms: int
    value: float


class Victoria:
    """One server that can be stopped and started again on the same port and folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it answers."""
        command = [
            "victoria-metrics", f"-httpListenAddr=127.0.0.1:{self.port}",
            f"-storageDataPath={self._folder / 'data'}", "-retentionPeriod=100y",
            "-dedup.minScrapeInterval=1ms",
            "-memory.allowedBytes=64MB", "-search.disableCache",
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_port(self.port, what="victoria-metrics")

    def samples(self, match: str = '{__name__!=""}') -> list[Sample]:
        """Return all values of the series that match, by labels and time."""
        httpx.get(f"{self.url}/internal/force_flush", timeout=10).raise_for_status()
        where = {"match[]": match}
        answer = httpx.get(f"{self.url}/api/v1/export", params=where, timeout=10)
        answer.raise_for_status()
        found = [
            Sample(row["metric"], time_ms, value)
            for row in map(json.loads, answer.text.splitlines())
            for time_ms, value in zip(row["timestamps"], row["values"], strict=True)
        ]
        return sorted(found, key=lambda one: (sorted(one.labels.items()), one.time_ms))

    def stop(self) -> None:
        """End it in order: what it has answered for is on disk only then, or seconds later."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it like a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_victoria(tmp_path: Path) -> Iterator[Victoria]:
    """Run a private server in a folder of the test; skip the test where there is none."""
    program("victoria-metrics")
    folder = tmp_path / "victoria"
    folder.mkdir()
    server = Victoria(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
