"""A private Millrace: `millrace up` on free ports, in a folder of its own.

What it costs is read from the operating system, process by process: processor seconds and resident
memory of edge, core and serve, never those of the load or of this process.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import psutil

from bench.certificate import Certificate
from bench.checks import CheckError
from millrace.flow.balance import Balance
from millrace.settings import Settings
from millrace.wiring.setup import open_books, prepare

ROLES = {"ingest": "edge", "process": "core", "serve": "serve"}
POLL_S = 0.02
MEBI = 1 << 20


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds and resident bytes by process: up, edge, core, serve."""

    cpu_s: Mapping[str, float]
    rss_bytes: Mapping[str, int]

    def since(self, before: "Usage") -> dict[str, float]:
        """Return the processor seconds since an earlier look."""
        return {name: spent - before.cpu_s.get(name, 0.0) for name, spent in self.cpu_s.items()}

    @property
    def rss_mib(self) -> float:
        """Return the resident memory of all processes together."""
        return sum(self.rss_bytes.values()) / MEBI


class Stack:
    """One supervised Millrace. Use as a context manager; leaving it stops everything."""

    def __init__(
        self,
        folder: Path,
        *,
        certificate: Certificate | None = None,
        environment: Mapping[str, str] | None = None,
        patience_s: float = 120.0,
    ) -> None:
        self._patience_s = patience_s
        self.settings = Settings(data=folder / "data")
        self.folder = folder
        self.http_port = free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.mqtt_port = free_port()
        self.tls_port = free_port() if certificate is not None else 0
        self._environment = {
            "MILLRACE_MONITOR__BASE_PORT": "0",
            "MILLRACE_LOGGING__LEVEL": "warning",
            **(environment or {}),
        }
        if certificate is not None:
            self._environment |= {
                "MILLRACE_BROKER__TLS_PORT": str(self.tls_port),
                "MILLRACE_BROKER__TLS_CERTIFICATE": str(certificate.path),
                "MILLRACE_BROKER__TLS_KEY": str(certificate.key_path),
            }
        self._process: subprocess.Popen[bytes] | None = None
        prepare(self.settings, demo=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self, *, timeout_s: float = 30.0) -> float:
        """Start everything; return the seconds until it was ready."""
        started = time.monotonic()
        command = [
            sys.executable, "-m", "millrace", "up", "--data", str(self.settings.data),
            "--http", self.url.removeprefix("http://"), *self._mqtt(),
        ]  # fmt: skip
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | self._environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            wait_until(self._is_ready, timeout_s=timeout_s, what="Millrace to be ready")
        except CheckError as error:
            raise CheckError(f"{error}\n{self.log()}") from None
        return time.monotonic() - started

    def stop(self) -> None:
        """Drain and stop; a second call does nothing."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def kill(self) -> None:
        """Kill every process at once, as a power cut would."""
        if self._process is not None:
            children = self._children()
            self._process.kill()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            self._process.wait(20)
            self._process = None

    def usage(self) -> Usage:
        """Return what every process has used until this moment."""
        cpu_s, rss = {}, {}
        for name, process in self.processes().items():
            times = process.cpu_times()
            cpu_s[name] = times.user + times.system
            rss[name] = process.memory_info().rss
        return Usage(cpu_s, rss)

    def memory(self) -> dict[str, int]:
        """Return the memory of every process in bytes, pages that several share divided (PSS)."""
        found = {}
        for name, process in self.processes().items():
            with suppress(psutil.Error):
                found[name] = process.memory_full_info().pss
        return found

    def processes(self) -> dict[str, psutil.Process]:
        """Return the processes by name."""
        if self._process is None:
            return {}
        found = {"up": psutil.Process(self._process.pid)}
        for child in self._children():
            words = child.cmdline()
            if "run" in words:
                found[ROLES[words[words.index("run") + 1]]] = child
        return found

    def books(self) -> Balance:
        """Return the balance of what was received and what became of it."""
        with open_books(self.settings) as read:
            return read()

    def wait_until_stored(self, received: int) -> float:
        """Wait until so many messages are received and committed; return the instant (Unix)."""
        with open_books(self.settings) as read:

            def is_done() -> bool:
                found = read()
                return found.received.total() >= received and not found.lag

            wait_until(is_done, timeout_s=self._patience_s, what="the ledger to catch up")
        return time.time()

    def log(self) -> str:
        """Return the end of what the processes said."""
        return (self.folder / "up.log").read_text()[-2000:]

    def _mqtt(self) -> list[str]:
        if "MILLRACE_BROKER__URL" in self._environment:
            return []
        return ["--mqtt", f"127.0.0.1:{self.mqtt_port}"]

    def _children(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        return list(psutil.Process(self._process.pid).children(recursive=True))

    def _is_ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise CheckError(f"Millrace did not start:\n{self.log()}")
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).is_success
        except httpx.TransportError:
            return False


def wait_until(condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Wait for a condition. Raises: CheckError when it does not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise CheckError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(POLL_S)
