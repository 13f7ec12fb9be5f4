"""A private Mosquitto that holds nobody up: 1,000 messages in flight, any number queued."""

import getpass
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

import psutil

from bench.stack import free_port, wait_until

CONFIGURATION = """\
listener {port} 127.0.0.1
user {user}
allow_anonymous true
set_tcp_nodelay true
persistence false
max_inflight_messages 1000
max_queued_messages 0
max_connections -1
log_type error
log_dest file {folder}/log
"""


def is_installed() -> bool:
    """Return whether there is a Mosquitto on this machine."""
    return _program() is not None


class Mosquitto:
    """One broker. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(
            CONFIGURATION.format(port=self.port, user=getpass.getuser(), folder=folder)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [_program() or "mosquitto", "-c", str(self._configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, timeout_s=10, what="Mosquitto to start")
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    @property
    def cpu_s(self) -> float:
        """Processor seconds so far."""
        if self._process is None:
            return 0.0
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


def _program() -> str | None:
    # Debian puts it where only root's path leads.
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
