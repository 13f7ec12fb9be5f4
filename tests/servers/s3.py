"""Private S3 services on free ports of the loopback, for a fixture to run.

Two, because they differ where it matters: rclone's checks signatures and ignores `If-None-Match`,
moto's honours `If-None-Match` and takes any signature.
"""

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from millrace.objects import S3Options

ACCESS_KEY = "millrace-access"
SECRET_KEY = "millrace-secret"  # noqa: S105 - of a private server on the loopback
BUCKET = "iot-data"


@dataclass(frozen=True, slots=True)
class S3Server:
    """One running service."""

    name: str
    endpoint: str
    honours_conditions: bool

    def options(self, prefix: str = "", *, endpoint: str = "", timeout_s: float = 10) -> S3Options:
        """Return how the bucket is reached, by way of another endpoint if one is given."""
        return replace(
            options_of(endpoint or self.endpoint),
            prefix=prefix,
            timeout_s=timeout_s,
            conditional_put=self.honours_conditions,
        )


def options_of(endpoint: str) -> S3Options:
    """Return how the bucket behind an endpoint is reached; conditions are not relied on."""
    return S3Options(
        BUCKET,
        endpoint=endpoint,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        conditional_put=False,
        first_pause_s=0.02,
    )


@contextmanager
def running_rclone(folder: Path) -> Iterator[S3Server]:
    """Run `rclone serve s3` over a folder; the bucket is there."""
    (folder / BUCKET).mkdir(parents=True)
    command = [
        str(Path(sys.executable).with_name("rclone")), "serve", "s3", str(folder),
        "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--addr", "127.0.0.1:0",
        "--config", str(folder / "none.conf"),
    ]  # fmt: skip
    with _running(command, folder / "log") as endpoint:
        yield S3Server("rclone", endpoint, honours_conditions=False)


@contextmanager
def running_moto(folder: Path) -> Iterator[S3Server]:
    """Run moto's S3; the bucket is there."""
    folder.mkdir(parents=True)
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", "0"]
    with _running(command, folder / "log") as endpoint:
        made = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")  # noqa: S310
        urllib.request.urlopen(made, timeout=10).close()  # noqa: S310
        yield S3Server("moto", endpoint, honours_conditions=True)


@contextmanager
def _running(command: list[str], said: Path, *, patience_s: float = 30.0) -> Iterator[str]:
    """Run a server that says where it listens, and give that URL."""
    with said.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + patience_s
        while (found := re.search(r"http://127\.0\.0\.1:\d+", said.read_text())) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"{command[0]} does not start: {said.read_text()}")
            time.sleep(0.02)
        yield found[0]
    finally:
        process.kill()
        process.wait()
