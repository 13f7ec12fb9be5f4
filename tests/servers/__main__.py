"""`make servers`: every server of the tests on this machine, until Ctrl-C, with six URLs to paste.

What is not installed is left out by name, and its URL stays the embedded one. Nothing is kept.
"""

import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.servers.kafka import running_kafka
from tests.servers.mosquitto import running_mosquitto
from tests.servers.postgres import running_postgres
from tests.servers.redis import running_redis
from tests.servers.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, running_moto

# In the order of the six URLs: the name of a server, how it runs, and what to write of it.
Started = AbstractContextManager[Any]
SERVERS: Final[dict[str, tuple[Callable[[Path], Started], Callable[[Any], str]]]] = {
    "mosquitto": (
        running_mosquitto,
        lambda one: f'[broker]\nurl = "mqtt://127.0.0.1:{one.port}"\n',
    ),
    "kafka": (
        running_kafka,
        lambda one: f'[log]\nurl = "kafka://{one.servers}"\n[topics]\npartitions = 4\n',
    ),
    "postgresql": (
        lambda _: running_postgres(settings={}),  # as it comes: it waits for its disk
        lambda one: f'[store]\nurl = "{one.url()}"\n',
    ),
    "redis": (
        running_redis,
        lambda one: f'[live]\nurl = "{one.url}"\n',
    ),
    "s3": (
        lambda folder: running_moto(folder / "s3"),
        lambda one: (
            f'[series]\nurl = "delta+s3://{BUCKET}/series"\n'
            f'[archive]\nurl = "s3://{BUCKET}/archive"\n'
            f'[s3]\nendpoint = "{one.endpoint}"\naccess_key = "{ACCESS_KEY}"\n'
            f'secret_key = "{SECRET_KEY}"\n'
        ),
    ),
}


def main() -> None:
    """Run all servers until SIGINT or SIGTERM."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-servers-")))
        for name, (running, told) in SERVERS.items():
            folder = place / name
            folder.mkdir()
            try:
                server = stack.enter_context(running(folder))
            except pytest.skip.Exception as absent:
                _say(f"# {name} is left out: {absent}\n")
            else:
                _say(told(server))
            if over.is_set():
                return
        _say("# All run. Put the lines above into millrace.toml; Ctrl-C ends the servers.\n")
        over.wait()


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
