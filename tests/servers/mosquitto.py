"""A private Mosquitto on a free port of the loopback, for a fixture to run."""

import getpass
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.installed import program
from tests.servers.ports import free_port, wait_for_port

CONF = """\
listener {port} 127.0.0.1
user {user}
set_tcp_nodelay true
persistence true
persistence_location {folder}/
persistent_client_expiration 1d
max_inflight_messages 1000
max_queued_messages 100000
autosave_interval 1800
log_dest file {folder}/log
{extra}
"""


class Mosquitto:
    """One broker that can be killed and started again on the same port and folder."""

    def __init__(self, folder: Path, *, extra: str = "") -> None:
        self.port = free_port()
        self.folder = folder
        self._conf = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(extra)

    def configure(self, extra: str) -> None:
        """Write the configuration of the next start."""
        allows = "" if "allow_anonymous" in extra else "allow_anonymous true"
        self._conf.write_text(
            CONF.format(
                port=self.port,
                folder=self.folder,
                user=getpass.getuser(),
                extra=f"{allows}\n{extra}",
            )
        )

    def start(self, *, timeout_s: float = 10.0) -> None:
        """Start, and return when it accepts connections."""
        self._process = subprocess.Popen(
            ["mosquitto", "-c", str(self._conf)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port, what="mosquitto", timeout_s=timeout_s)

    def kill(self) -> None:
        """End it like a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it in order: it writes its sessions to disk."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Remove what it remembers on disk. It must not be running."""
        for file in self.folder.glob("mosquitto.db*"):
            file.unlink()


@contextmanager
def running_mosquitto(tmp_path: Path, *, extra: str = "") -> Iterator[Mosquitto]:
    """Run a private broker in a folder of the test; skip the test where there is none."""
    program("mosquitto")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(folder, extra=extra)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
