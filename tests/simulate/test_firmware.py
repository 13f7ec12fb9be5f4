"""Fetching an update: whole, measured and hashed, or a reason why not. MTR-113."""

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from millrace.errors import RejectError
from millrace.simulate.firmware import fetch

CONTENT = bytes(range(256)) * 2000


class Source(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/firmware":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)
        elif self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/firmware")
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Source)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_came_is_hashed_and_progress_is_told(url: str) -> None:
    said: list[int] = []
    digest = fetch(f"{url}/firmware", len(CONTENT), said.append, Event())
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    assert said[-1] == 100
    assert said == sorted(said)
    assert len(said) <= 4


@pytest.mark.parametrize(
    ("path", "size", "detail"),
    [
        ("/firmware", len(CONTENT) + 1, f"{len(CONTENT)} bytes came, {len(CONTENT) + 1} were"),
        ("/firmware", 70_000, "more than the 70000 bytes announced"),
        ("/nothing", 5, "download failed: HTTP Error 404"),
        ("/elsewhere", len(CONTENT), "download failed: HTTP Error 302"),
    ],
)
def test_anything_else_is_a_failure(url: str, path: str, size: int, detail: str) -> None:
    with pytest.raises(RejectError, match=detail):
        fetch(url + path, size, lambda _: None, Event())


def test_nobody_there_is_a_failure() -> None:
    with pytest.raises(RejectError, match="download failed"):
        fetch("http://127.0.0.1:9/", 5, lambda _: None, Event())


def test_switching_off_ends_it(url: str) -> None:
    over = Event()
    over.set()
    with pytest.raises(RejectError, match="switched off"):
        fetch(f"{url}/firmware", len(CONTENT), lambda _: None, over)
