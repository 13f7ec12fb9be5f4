"""A whole Millrace on free ports in a folder of its own, started the way a person starts it."""

import csv
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.servers.ports import free_port

ROLES = ("ingest", "process")
GAP_OPENED = "sequence_gap_opened"
ROLE_WORDS = {"edge": "ingest", "core": "process", "serve": "serve"}


@dataclass
class Stack:
    """A running `millrace up`."""

    process: subprocess.Popen[bytes]
    data: Path
    http: int
    mqtt: int
    log: Path
    monitor: int = 0
    env: dict[str, str] = field(default_factory=dict)

    def pid(self, name: str) -> int | None:
        """Return the process id of edge, core or serve; None while it is away."""
        word = ROLE_WORDS[name]
        for child in psutil.Process(self.process.pid).children():
            try:
                words = child.cmdline()
            except psutil.Error:
                continue
            if "run" in words and words[words.index("run") + 1] == word:
                return int(child.pid)
        return None

    def get(self, path: str, timeout_s: float = 10.0) -> Any:
        """Return the JSON that the API answers."""
        url = f"http://127.0.0.1:{self.http}{path}"
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return json.load(answer)

    def is_ready(self) -> bool:
        """Whether serve answers and everything behind it is there."""
        try:
            return bool(self.get("/readyz", 2.0)["status"] == "ready")
        except (OSError, ValueError):
            return False

    def wait_until_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until `is_ready`."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what the database of registry and ledger answers, read from outside."""
        store = self.env.get("MILLRACE_STORE__URL", "")
        if store.startswith("postgresql:"):
            with psycopg.connect(store) as server:
                return server.execute(query.replace("?", "%s").encode(), values).fetchall()
        source = f"file:{self.data}/millrace.db?mode=ro"
        with closing(sqlite3.connect(source, uri=True, timeout=10)) as db:
            return db.execute(query, values).fetchall()

    def wait_until(
        self, what: Callable[[], bool], *, timeout_s: float = 30.0, every_s: float = 0.05
    ) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(every_s)

    def role(self, name: str, path: str, timeout_s: float = 5.0) -> tuple[int, str]:
        """Return status and text of a health endpoint of `ingest` or `process`."""
        url = f"http://127.0.0.1:{self.monitor + ROLES.index(name)}{path}"
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another millrace command on the same data."""
        return subprocess.run(
            [sys.executable, "-m", "millrace", *words, "--data", str(self.data)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **self.env},
        )

    def kill(self, name: str) -> None:
        """Kill edge, core or serve once it is there."""
        self.wait_until(lambda: self.pid(name) is not None, every_s=0.02)
        pid = self.pid(name)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def exported(self, metric: str) -> dict[str, list[float]]:
        """Return the stored values of each device in order of time, from the export command."""
        done = self.command("export", "-", "--metric", metric)
        assert done.returncode == 0, done.stderr
        rows: dict[str, list[float]] = {}
        for row in csv.DictReader(io.StringIO(done.stdout)):
            rows.setdefault(row["device_id"], []).append(float(row["value"]))
        return rows

    def gap_count(self, device_id: str) -> int:
        """Return the numbers of a device that are missing, from its events."""
        found = self.rows("SELECT type, data FROM events WHERE device_id = ?", device_id)
        opened: int = sum(json.loads(data)["missing"] for kind, data in found if kind == GAP_OPENED)
        return opened - [kind for kind, _ in found].count("sequence_gap_filled")

    def count_events(self, device_id: str, kind: str) -> int:
        """Return how many events of a kind a device has."""
        query = "SELECT count(*) FROM events WHERE device_id = ? AND type = ?"
        return int(self.rows(query, device_id, kind)[0][0])

    def books(self) -> dict[str, Any]:
        """Return what `millrace audit --json` prints."""
        done = self.command("audit", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    def wait_until_drained(self, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait until nothing is in flight; return the books."""
        deadline = time.monotonic() + timeout_s
        while (books := self.books())["lag"]:
            assert time.monotonic() < deadline, books
            time.sleep(0.1)
        return books

    def stop(self, timeout_s: float = 15.0) -> int:
        """Ask it to drain and end; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


@contextmanager
def running(
    data: Path,
    *words: str,
    env: dict[str, str] | None = None,
    before: Sequence[str] = (),
    ports: tuple[int, int] | None = None,
    wait: bool = True,
    broker: str | None = None,
) -> Iterator[Stack]:
    """Run `millrace up` until the block ends.

    `env` is added to the environment, `before` is put in front of the command; `ports` are those
    of HTTP and MQTT where they must be known beforehand. `wait` is for when all is ready. With
    `broker` the messages come from there in place of the own endpoint.
    """
    http, mqtt = ports or (free_port(), free_port())
    monitor = free_pair()
    log = data.parent / f"{data.name}.log"
    addresses = ["--http", f"127.0.0.1:{http}"]
    environment = {**os.environ, "MILLRACE_MONITOR__BASE_PORT": str(monitor), **(env or {})}
    if broker is None:
        addresses += ["--mqtt", f"127.0.0.1:{mqtt}"]
    else:
        environment["MILLRACE_BROKER__URL"] = broker
    command = [*before, sys.executable, "-m", "millrace", "up", "--data", str(data), *addresses]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, *words], stdout=output, stderr=output, env=environment, cwd=data.parent
        )
    stack = Stack(process, data, http, mqtt, log, monitor, env or {})
    try:
        if wait:
            stack.wait_until_ready()
        yield stack
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_pair() -> int:
    """Return the first of two neighbouring ports that nobody uses at the moment."""
    while True:
        port = free_port()
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port + 1))
            return port
