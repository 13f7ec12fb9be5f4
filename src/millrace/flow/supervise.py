"""Keeping child processes alive: start, restart after a crash, stop together.

A child is started at once, to load what it needs, and is told by a line on its standard input when
it may begin. It says on standard output, as one JSON line, when it is ready; it ends when its
standard input is closed, so it never outlives its parent. A child that has been ready and dies is
started again, and so is one that was killed on its way there, a few times; one that ends by itself
before it was ever ready is a reason to stop everything, with its exit code.
Source: D-01, reliability.md F1, F51.
"""

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from millrace.errors import StopError
from millrace.flow.backoff import Backoff

_log = structlog.get_logger("millrace.supervise")

DRAIN_S = 10.0
MAX_KILLED_AT_START = 5
# After so long a life, a death is a new misfortune and no sign that the next life will be short.
STEADY_S = 10.0


class ChildError(StopError):
    """A child process could not start; it has said why itself."""

    def __init__(self, name: str, exit_code: int) -> None:
        super().__init__(f"{name} could not start", "see its message above")
        self.exit_code = exit_code


@dataclass(slots=True)
class Child:
    """One process to keep alive; it starts when `after` is ready, or at once.

    `said` is what it reported when it became ready.
    """

    name: str
    command: Sequence[str]
    after: "Child | None" = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    said: dict[str, Any] = field(default_factory=dict)
    process: Process | None = None
    restarts: int = 0


class Supervisor:
    """Runs children until told to stop. `changed` is called whenever one became ready."""

    def __init__(
        self, children: Sequence[Child], *, changed: Callable[[Child], None] | None = None
    ) -> None:
        self.children = children
        self.started = asyncio.Event()
        self._changed = changed
        self._word = b""
        self._stopping = asyncio.Event()
        self._failed: ChildError | None = None

    def begin(self, word: bytes = b"") -> None:
        """Tell every child that it may begin, those that are started later, too."""
        self._word = word
        for child in self.children:
            if child.process is not None:
                self._tell(child.process)

    async def run(self) -> None:
        """Start the children side by side, and set `started`; return after `stop`.

        Raises:
            ChildError: A child ended before it was ready for the first time.
        """
        async with asyncio.TaskGroup() as group:
            for child in self.children:
                group.create_task(self._keep(child))
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """Ask every child to drain and end."""
        self._stopping.set()
        for child in self.children:
            if child.process is not None and child.process.stdin is not None:
                child.process.stdin.close()

    async def _ready_or_stopping(self, child: Child) -> None:
        waits = [asyncio.ensure_future(e.wait()) for e in (child.ready, self._stopping)]  # noqa: TID251 - both are awaited here
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _keep(self, child: Child) -> None:
        backoff = Backoff(first_s=0.1, most_s=5.0)
        if child.after is not None:
            await self._ready_or_stopping(child.after)
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            begun = clock()
            code = await self._once(child)
            if clock() - begun >= STEADY_S:
                backoff.succeeded()
            if self._stopping.is_set():
                return
            has_said_why = code > 0
            if not child.ready.is_set() and (has_said_why or child.restarts >= MAX_KILLED_AT_START):
                # Raised when the others have drained, which an error in their group would forbid.
                self._failed = ChildError(child.name, code if has_said_why else 1)
                self.stop()
                return
            child.restarts += 1
            _log.error("child_died", name=child.name, exit_code=code, restarts=child.restarts)
            with suppress(TimeoutError):
                delay = backoff.failed(StopError(f"{child.name} ended with {code}"))
                await asyncio.wait_for(self._stopping.wait(), delay)

    async def _once(self, child: Child) -> int:
        process = await asyncio.create_subprocess_exec(*child.command, stdin=PIPE, stdout=PIPE)
        child.process = process
        if all(one.process or one.after for one in self.children):
            self.started.set()
        self._tell(process)
        try:
            await self._listen(child, process)
            if self._stopping.is_set():
                return await self._drained(process)
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _tell(self, process: Process) -> None:
        if self._word and process.stdin is not None and process.returncode is None:
            process.stdin.write(self._word)

    async def _drained(self, process: Process) -> int:
        if process.stdin is not None:
            process.stdin.close()
        try:
            return await asyncio.wait_for(process.wait(), DRAIN_S)
        except TimeoutError:
            process.kill()
            return await process.wait()

    async def _listen(self, child: Child, process: Process) -> None:
        """Read what the child says until it closes its output, or everything stops."""
        stdout = process.stdout
        if stdout is None:
            raise StopError(f"{child.name} has no output to listen to")
        stopping = asyncio.ensure_future(self._stopping.wait())  # noqa: TID251 - awaited or cancelled here
        try:
            while True:
                line = asyncio.ensure_future(stdout.readline())  # noqa: TID251 - awaited or cancelled here
                await asyncio.wait({line, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not line.done():
                    line.cancel()
                    return
                if not line.result():
                    return
                self._heard(child, line.result())
        finally:
            stopping.cancel()

    def _heard(self, child: Child, line: bytes) -> None:
        with suppress(ValueError):
            child.said = json.loads(line)
            child.ready.set()
            if self._changed is not None:
                self._changed(child)
