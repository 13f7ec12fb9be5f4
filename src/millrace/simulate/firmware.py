"""Fetching an update, as a meter would: whole, measured and hashed, or not at all.

Nothing is kept: a simulated meter has no second partition, it only has to know whether the bytes
are the ones that were announced. Redirects are not followed.
Source: MTR-113.
"""

import hashlib
from collections.abc import Callable
from http.client import HTTPException
from threading import Event
from typing import Any, Final
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

from millrace.errors import RejectError

CHUNK_BYTES: Final = 65_536
SILENCE_S: Final = 20.0
PROGRESS_STEP: Final = 25


class _Straight(HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_options: Any) -> None:
        return None


def fetch(url: str, size_bytes: int, progress: Callable[[int], None], over: Event) -> str:
    """Return the SHA-256 of what is at a URL, in lower-case hex.

    Blocks: for as long as bytes come; `progress` is called with each further quarter.
    Raises:
        RejectError: `fetch_failed`; the detail is what the meter reports.
    """
    opener = build_opener(_Straight, ProxyHandler({}))
    try:
        with opener.open(url, timeout=SILENCE_S) as answer:
            digest, size = _read(answer, size_bytes, progress, over)
    except (OSError, HTTPException, ValueError) as error:
        raise RejectError("fetch_failed", f"download failed: {error}") from error
    if size != size_bytes:
        raise RejectError("fetch_failed", f"{size} bytes came, {size_bytes} were announced")
    return digest


def _read(
    answer: Any, size_bytes: int, progress: Callable[[int], None], over: Event
) -> tuple[str, int]:
    digest, size, said = hashlib.sha256(), 0, 0
    while chunk := answer.read(CHUNK_BYTES):
        size += len(chunk)
        digest.update(chunk)
        if over.is_set():
            raise RejectError("fetch_failed", "the device was switched off")
        if size > size_bytes:
            raise RejectError("fetch_failed", f"more than the {size_bytes} bytes announced")
        percent = 100 * size // size_bytes
        if percent // PROGRESS_STEP > said:
            said = percent // PROGRESS_STEP
            progress(percent)
    return digest.hexdigest(), size
