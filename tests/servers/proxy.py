"""A TCP proxy in front of a real server that fails on purpose: refuses, is slow, cuts connections.

What goes wrong may be changed at any time, and holds for connections that are open as well.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Forwards bytes between clients and one port of the loopback.

    `refuses`: new connections are ended at once. `latency_s`: every piece of data waits so long, on
    its way to the server and back.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.refuses = False
        self.latency_s = 0.0
        self.cuts = 0
        self._left: int | None = None
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, size: int) -> None:
        """Cut the connection that carries the byte behind the next `size` from clients; once."""
        with self._lock:
            self._left = size

    def cut_all(self) -> None:
        """End all open connections, both ways."""
        with self._lock:
            ended, self._open = self._open, []
        for one in ended:
            _end(one)

    def close(self) -> None:
        """Stop, and end all connections."""
        _end(self._listener)
        self.cut_all()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    _end(client)
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self._open += [client, server]
                for way in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._carry, args=way, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_counted: bool) -> None:  # noqa: FBT001 - one of two ways
        with suppress(OSError):
            while data := source.recv(65_536):
                if self.latency_s:
                    time.sleep(self.latency_s)
                kept = self._allowed(data) if is_counted else data
                target.sendall(kept)
                if len(kept) < len(data):
                    break
        _end(source)
        _end(target)

    def _allowed(self, data: bytes) -> bytes:
        with self._lock:
            if self._left is None:
                return data
            kept, self._left = data[: self._left], self._left - len(data)
            if self._left < 0:
                self._left = None
                self.cuts += 1
            return kept


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def running_tcp_proxy(port: int) -> Iterator[Proxy]:
    """Run a proxy in front of a port of the loopback."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
