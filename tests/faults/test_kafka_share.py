"""Several `process` share a topic: F20, P5, P8. Real processes, stopped and killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from millrace.ingest.admit import Admission
from millrace.model.message import RawBatch
from millrace.ports.accounts import Account
from millrace.settings import KafkaSettings, LogSettings, MonitorSettings, Settings, TopicsSettings
from millrace.wiring.families import codecs
from millrace.wiring.logs import open_log, open_log_reader
from millrace.wiring.setup import prepare
from millrace.wiring.stores import open_store
from tests.servers.kafka import Kafka

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(240)]

PARTITIONS = 4
SESSION_S = 2.0


class Source(threading.Thread):
    """Appends numbered messages of forty devices until told to stop."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._log = open_log(settings)
        self._admission = Admission(codecs(settings), PARTITIONS)
        self.over = threading.Event()
        self.sent = 0

    def run(self) -> None:
        """Append 40 messages every 20 ms."""
        while not self.over.wait(0.02):
            batch = RawBatch()
            for device in range(40):
                at_ns = time.time_ns() + device * 1000
                body = b'{"data":{"temperature_celsius":%d}}' % self.sent
                batch.add(f"sensors/temperature/s{device}", body, at_ns, flags=1)
                self.sent += 1
            self._log.append(self._admission.admit(batch).batches)
        self._log.close()


class Worker:
    """One `millrace run process`."""

    def __init__(self, settings: Settings, name: str, folder: Path) -> None:
        self.name = name
        self._said = (folder / name).open("wb")
        environment = {
            **os.environ,
            "MILLRACE_DATA": str(settings.data),
            "MILLRACE_LOG__URL": settings.log.url,
            "MILLRACE_TOPICS__PARTITIONS": str(PARTITIONS),
            "MILLRACE_KAFKA__SESSION_S": str(SESSION_S),
            "MILLRACE_KAFKA__INSTANCE": name,
            "MILLRACE_MONITOR__BASE_PORT": "0",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "millrace", "run", "process"],
            env=environment,
            stdout=self._said,
            stderr=self._said,
            cwd=folder,
        )

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._said.close()


@contextmanager
def sharing(
    kafka: Kafka, folder: Path, *names: str
) -> Iterator[tuple[Settings, dict[str, Worker]]]:
    """Run workers over a fresh topic and a store in a folder."""
    settings = Settings(
        data=folder / "data",
        log=LogSettings(url=f"kafka://{kafka.servers}/{folder.name}"),
        topics=TopicsSettings(partitions=PARTITIONS),
        kafka=KafkaSettings(session_s=SESSION_S),
        monitor=MonitorSettings(base_port=0),
    )
    prepare(settings)
    open_log(settings).close()
    workers = {name: Worker(settings, name, folder) for name in names}
    try:
        yield settings, workers
    finally:
        for worker in workers.values():
            worker.end()


def account(settings: Settings) -> Account:
    with open_store(settings) as store:
        return store.accounts().read()


def epochs(settings: Settings) -> list[int]:
    """Return how often each partition was claimed."""
    with closing(sqlite3.connect(settings.data / "millrace.db")) as db:
        return [row[0] for row in db.execute("SELECT epoch FROM positions ORDER BY partition_no")]


def until_all_is_stored(settings: Settings, at_least: int, timeout_s: float = 60.0) -> int:
    """Wait until nothing waits in the log; return how much was stored."""
    deadline = time.monotonic() + timeout_s
    with closing(open_log_reader(settings)) as reader:
        while True:
            ends = {p: extent.end for p, extent in enumerate(reader.extents())}
            found = account(settings)
            stored = sum(found.outcomes.values())
            if sum(ends.values()) >= at_least and dict(found.positions) == ends:
                return stored
            assert time.monotonic() < deadline, (ends, found)
            time.sleep(0.1)


def test_f20_p5_p8_one_stands_still_and_comes_back(kafka: Kafka, tmp_path: Path) -> None:
    with sharing(kafka, tmp_path, "one", "two") as (settings, workers):
        source = Source(settings)
        source.start()
        time.sleep(6)
        workers["one"].tell(signal.SIGSTOP)
        time.sleep(SESSION_S * 3)
        moved = source.sent
        deadline = time.monotonic() + 30
        while sum(account(settings).outcomes.values()) < moved:
            assert time.monotonic() < deadline, "nobody has taken over"
            time.sleep(0.1)
        workers["one"].tell(signal.SIGCONT)
        time.sleep(6)
        source.over.set()
        source.join()
        assert until_all_is_stored(settings, source.sent) == source.sent
        assert all(worker.is_alive() for worker in workers.values())
        assert min(epochs(settings)) >= 2


def test_f20_one_is_killed_and_started_again(kafka: Kafka, tmp_path: Path) -> None:
    with sharing(kafka, tmp_path, "one", "two") as (settings, workers):
        source = Source(settings)
        source.start()
        time.sleep(5)
        for _ in range(3):
            workers["one"].end()
            workers["one"] = Worker(settings, "one", tmp_path)
            time.sleep(2)
        source.over.set()
        source.join()
        assert until_all_is_stored(settings, source.sent) == source.sent
        assert all(worker.is_alive() for worker in workers.values())
