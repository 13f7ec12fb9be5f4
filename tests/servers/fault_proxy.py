"""An HTTP proxy that fails on purpose, in front of a real server.

A test gives `plan`, which sees each request and says what is to go wrong with it; the rest is
passed on unchanged, host name and signature included.
"""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"

PARTIAL = b'{"code":"invalid","message":"partial write: field type conflict dropped=1"}'


class Fault(Enum):
    """What may go wrong with one request."""

    ERROR_500 = auto()
    SLOW_DOWN_503 = auto()
    REFUSE_400 = auto()  # as InfluxDB refuses lines
    HANG = auto()  # the request is taken, nothing is answered
    CUT_REQUEST = auto()  # the connection ends before the server has seen anything
    CUT_ANSWER = auto()  # the server has done it, the answer is lost


# All that is worth a second attempt.
AWAY = [fault for fault in Fault if fault is not Fault.REFUSE_400]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `number` counts them all, from 1."""

    number: int
    method: str
    path: str
    body: bytes = b""


Plan = Callable[[Asked], Fault | None]


class FaultProxy:
    """The proxy; `plan` may be changed at any time."""

    def __init__(self, upstream: str) -> None:
        self.plan: Plan = lambda _asked: None
        self.asked: list[Asked] = []
        self.faults = 0
        self.released = threading.Event()
        self.upstream = urlsplit(upstream).netloc
        self._lock = threading.Lock()

    def decide(self, method: str, path: str, body: bytes) -> Fault | None:
        """Count a request, and return what goes wrong with it."""
        with self._lock:
            asked = Asked(len(self.asked) + 1, method, path, body)
            self.asked.append(asked)
            fault = self.plan(asked)
            self.faults += fault is not None
            return fault


@contextmanager
def running_proxy(upstream: str) -> Iterator[tuple[FaultProxy, str]]:
    """Run a proxy; give it and its URL."""
    proxy = FaultProxy(upstream)

    class Handler(_Handler):
        faults = proxy

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield proxy, f"http://127.0.0.1:{server.server_port}"
    finally:
        proxy.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: FaultProxy

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.faults.decide(self.command, self.path, body)
        if fault is None or fault is Fault.CUT_ANSWER:
            status, headers, answer = self._pass_on(body)
        elif fault is Fault.ERROR_500:
            status, headers, answer = 500, [], b"<Error><Code>InternalError</Code></Error>"
        elif fault is Fault.SLOW_DOWN_503:
            status, headers, answer = 503, [], SLOW_DOWN
        elif fault is Fault.REFUSE_400:
            status, headers, answer = 400, [], PARTIAL
        else:
            if fault is Fault.HANG:
                self.faults.released.wait(30)
            self._cut()
            return
        if fault is Fault.CUT_ANSWER:
            self._cut()
        else:
            self._answer(status, headers, answer)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 - named by http.server

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        server = http.client.HTTPConnection(self.faults.upstream, timeout=30)
        try:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    server.putheader(name, value)
            server.endheaders(body)
            answer = server.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            server.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        is_head = self.command == "HEAD"
        sizes = [value for name, value in headers if name.lower() == "content-length"]
        self.send_header("Content-Length", sizes[0] if is_head and sizes else str(len(body)))
        self.end_headers()
        if not is_head:
            self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
