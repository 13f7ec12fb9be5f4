"""A whole Millrace on free ports in a folder of its own, started the way a person starts it."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROLE_WORDS = {"edge": "ingest", "core": "process", "serve": "serve"}


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Stack:
    """A running `millrace up`."""

    process: subprocess.Popen[bytes]
    data: Path
    http: int
    mqtt: int
    log: Path

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

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another millrace command on the same data."""
        return subprocess.run(
            [sys.executable, "-m", "millrace", *words, "--data", str(self.data)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

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
def running(data: Path, *words: str, env: dict[str, str] | None = None) -> Iterator[Stack]:
    """Run `millrace up` until the block ends."""
    http, mqtt = free_port(), free_port()
    log = data.parent / f"{data.name}.log"
    addresses = ["--http", f"127.0.0.1:{http}", "--mqtt", f"127.0.0.1:{mqtt}"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "millrace", "up", "--data", str(data), *addresses, *words],
            stdout=output,
            stderr=output,
            env=env,
        )
    stack = Stack(process, data, http, mqtt, log)
    try:
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
