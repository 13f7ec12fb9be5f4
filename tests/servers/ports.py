"""Ports of the loopback: a free one, and waiting until somebody answers there."""

import random
import socket
import time
from contextlib import suppress

_random = random.SystemRandom()


def free_port() -> int:
    """Return a port on which nothing listens.

    It lies below those that the system gives to outgoing connections, so that nobody takes it while
    a server that was killed is started again.
    """
    while True:
        port = _random.randrange(10_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for_port(port: int, *, what: str, timeout_s: float = 30.0) -> None:
    """Return when connections are accepted on a port of the loopback. Raises: TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"{what} does not start; see its log")
