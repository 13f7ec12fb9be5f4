"""A private Redis on a free port of the loopback, for a fixture to run."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.servers.installed import program
from tests.servers.ports import free_port, wait_for_port

START_TIMEOUT_S = 10.0


class RedisServer:
    """One server that can be killed and started again on the same port; it keeps nothing."""

    def __init__(self, folder: Path, *, words: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        command += ["--enable-debug-command", "yes", *self._words]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_port(self.port, what="redis-server", timeout_s=START_TIMEOUT_S)

    def client(self) -> redis.Redis:
        """Return a client of its own, for a test that looks from outside."""
        return redis.Redis(port=self.port, protocol=2)

    def sleep(self, seconds: float) -> None:
        """Let it answer nobody for a while; returns at once."""
        with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(f"DEBUG SLEEP {seconds}\r\n".encode())
            time.sleep(0.05)  # until it has begun

    def kill(self) -> None:
        """End it like a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_redis(tmp_path: Path, *, words: tuple[str, ...] = ()) -> Iterator[RedisServer]:
    """Run a private server in a folder of the test; skip the test where there is none."""
    program("redis-server")
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder, words=words)
    server.start()
    try:
        yield server
    finally:
        server.kill()
