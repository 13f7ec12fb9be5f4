"""A proxy in front of PostgreSQL that cuts the connection at a commit, as a failover does."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"


class CuttingProxy:
    """Forwards bytes; `cut` tells what becomes of the next COMMIT.

    `before`: it never reaches the server. `after`: it is carried out, but the answer is lost.
    `refuses`: new connections are ended at once, as while the server starts.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut = ""
        self.cuts = 0
        self.refuses = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop, and end all connections."""
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                how = self.cut if _COMMIT in data else ""
                if how:
                    self.cut = ""
                    self.cuts += 1
                    # Not even an error reaches the client, as when a host is gone.
                    client.shutdown(socket.SHUT_RDWR)
                if how != "before":
                    server.sendall(data)
                if how:
                    break
            server.shutdown(socket.SHUT_WR)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def running_proxy(port: int) -> Iterator[CuttingProxy]:
    """Run a proxy in front of a port of the loopback."""
    proxy = CuttingProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
