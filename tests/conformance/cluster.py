"""Millrace as separate processes, `millrace run ROLE` each, as on many machines."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from millrace.flow.balance import Balance
from millrace.settings import Settings
from millrace.wiring.setup import open_books
from tests.servers.ports import free_port

READY_S: Final = 60.0
DRAIN_S: Final = 10.0
_ADDRESS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+:\d+")


@dataclass
class Role:
    """One process of a role. `said` is what it announced: names to addresses."""

    role: str
    name: str
    process: subprocess.Popen[bytes]
    out: Path
    log: Path
    own: dict[str, str]

    @property
    def said(self) -> dict[str, str] | None:
        """Where it listens, by what; None while it is not ready."""
        for line in self.out.read_text().splitlines():
            with suppress(ValueError):
                return dict(json.loads(line)["listening"])
        return None

    def ask(self, path: str, timeout_s: float = 10.0) -> tuple[int, str]:
        """Return status and text of a route of its health."""
        found = [a for a in map(_ADDRESS.search, (self.said or {}).values()) if a is not None]
        try:
            with urllib.request.urlopen(
                f"http://{found[-1][0]}{path}", timeout=timeout_s
            ) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def kill(self) -> None:
        """End it like a power cut."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = DRAIN_S) -> int:
        """Ask it to drain, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


@dataclass
class Cluster:
    """Roles that share six URLs; `tree` holds their settings, by section."""

    folder: Path
    tree: dict[str, Any]
    roles: dict[str, Role] = field(default_factory=dict)
    http: int = field(default_factory=free_port)

    @property
    def data(self) -> Path:
        """The folder of all that is embedded."""
        return self.folder / "data"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes."""
        return {
            **os.environ,
            "MILLRACE_DATA": str(self.data),
            "MILLRACE_API__LISTEN": f"127.0.0.1:{self.http}",
            **variables_of({"monitor": {"base_port": 0}, **self.tree}),
        }

    @property
    def settings(self) -> Settings:
        """The settings of its processes, to look at what they keep."""
        return Settings(data=self.data, **self.tree)

    def start(self, role: str, name: str = "", **settings: str) -> Role:
        """Start one process of a role; `name` tells copies apart."""
        name = name or role
        environment = {**self.variables, **settings}
        words = [role] if role == "up" else ["run", role]
        out, log = self.folder / f"{name}.out", self.folder / f"{name}.log"
        with out.open("wb") as said, log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "millrace", *words],
                stdout=said, stderr=errors, env=environment, cwd=self.folder,
            )  # fmt: skip
        self.roles[name] = Role(role, name, process, out, log, settings)
        return self.roles[name]

    def restart(self, name: str) -> None:
        """Start a process that has ended again, under its name."""
        one = self.roles[name]
        self.start(one.role, name, **one.own)

    def wait_until_ready(self) -> None:
        """Return when every process has said that it is ready."""
        for one in self.roles.values():
            self.wait_until(lambda one=one: self._is_ready(one))  # type: ignore[misc]

    def wait_until(
        self, what: Callable[[], bool], *, timeout_s: float = READY_S, every_s: float = 0.1
    ) -> None:
        """Wait until something is so; no process may end meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < deadline, self.story()
            time.sleep(every_s)

    def _is_ready(self, one: Role) -> bool:
        assert one.process.poll() is None, self.story()
        if one.role not in ("serve", "up"):
            return one.said is not None
        with suppress(OSError):
            return bool(json.loads(self.fetch("/readyz"))["status"] == "ready")
        return False

    def story(self) -> str:
        """Return what the processes said last, for whoever reads a failed test."""
        return "\n".join(
            f"--- {one.name} ({one.process.poll()})\n{one.log.read_text()[-1500:]}"
            for one in self.roles.values()
        )

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run another millrace command with the same settings."""
        return subprocess.run(
            [sys.executable, "-m", "millrace", *words],
            capture_output=True, text=True, timeout=60, check=False, env=self.variables,
            cwd=self.folder,
        )  # fmt: skip

    def fetch(self, path: str, body: object = None) -> bytes:
        """Return what the API answers."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data=data)
        if data is not None:
            asked.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310 - loopback
            return bytes(answer.read())

    def wait_until_stored(self, messages: int, timeout_s: float = READY_S) -> Balance:
        """Wait until so many messages were received and none is in flight; return the books."""
        with open_books(self.settings) as books:
            found = books()

            def is_stored() -> bool:
                nonlocal found
                found = books()
                return found.received.total() >= messages and not found.lag

            self.wait_until(is_stored, timeout_s=timeout_s, every_s=0.05)
        return found

    def exported(self, metric: str) -> dict[str, list[float]]:
        """Return the stored values of each device in order of time, from the export command."""
        done = self.command("export", "-", "--metric", metric)
        assert done.returncode == 0, done.stderr
        rows: dict[str, list[float]] = {}
        for row in csv.DictReader(io.StringIO(done.stdout)):
            rows.setdefault(row["device_id"], []).append(float(row["value"]))
        return rows

    def end(self) -> None:
        """End all processes, in order where that takes no longer than it may."""
        for one in self.roles.values():
            one.process.send_signal(signal.SIGTERM)
        for one in self.roles.values():
            try:
                one.process.wait(DRAIN_S)
            except subprocess.TimeoutExpired:
                one.kill()


def variables_of(tree: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as the environment holds them."""
    found: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            inner = variables_of(value)
            found |= {
                f"MILLRACE_{name.upper()}__{key.removeprefix('MILLRACE_')}": text
                for key, text in inner.items()
            }
        else:
            found[f"MILLRACE_{name.upper()}"] = (
                value if isinstance(value, str) else json.dumps(value)
            )
    return found


@contextmanager
def running_cluster(folder: Path, tree: Mapping[str, Any]) -> Iterator[Cluster]:
    """Give a cluster without any process yet; all are ended with the block."""
    cluster = Cluster(folder, dict(tree))
    try:
        yield cluster
    finally:
        cluster.end()
