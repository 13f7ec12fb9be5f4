"""The desk: ports that block and belong to one thread, asked from the event loop with a deadline.

A question that is late is answered `store_unavailable`, though its thread may still be busy; those
who queue behind it share the fate, and beyond `MAX_WAITING` they are turned away at once, so that a
hard question costs its own askers and never ingest or the live stream.
Source: D-20 (reads <= 5 s), API-004 `store_unavailable`, `overloaded`; attack A24.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from prometheus_client import Histogram

from millrace.serve.problems import Problem

P = ParamSpec("P")
T = TypeVar("T")

MAX_WAITING = 256


class Desk:
    """One thread, and a queue in front of it."""

    def __init__(self, name: str, deadline_s: float, durations: Histogram | None = None) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"serve-{name}")
        self._deadline_s = deadline_s
        self._durations = durations
        self._store = "points" if name in ("series", "export") else "metadata"
        self._waiting = 0

    async def ask(self, op: str, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the answer of a blocking call, made in the thread of this desk.

        `op` is the label of MON-135: range, latest, aggregate, list or get.
        Raises:
            Problem: `store_unavailable` when late, `overloaded` when too many wait.
        """
        if self._waiting >= MAX_WAITING:
            raise Problem("overloaded", "Too many questions are waiting for the store")
        self._waiting += 1
        begun = time.perf_counter()
        loop = asyncio.get_running_loop()
        answer = loop.run_in_executor(self._thread, lambda: question(*args, **kwargs))
        answer.add_done_callback(self._leave)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await answer
        except TimeoutError:
            raise Problem("store_unavailable", "The store did not answer in time") from None
        finally:
            if self._durations is not None:
                self._durations.labels(self._store, op).observe(time.perf_counter() - begun)

    @property
    def is_idle(self) -> bool:
        """Return whether nobody waits for this thread."""
        return self._waiting == 0

    def close(self) -> None:
        """Let go of the thread; what it is doing is finished first, what waits is not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _leave(self, answer: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        if not answer.cancelled():
            answer.exception()  # read it: a late failure has nobody left to hear of it
