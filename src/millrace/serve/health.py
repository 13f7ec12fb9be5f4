"""Health: probes that run by themselves, and what their last answers amount to.

Nothing is probed inside a request. A probe that has not answered for 30 s counts as failed.
Source: MON-001 to MON-003, MON-012.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from millrace.errors import MillraceError
from millrace.observe import Metrics
from millrace.serve.deps import Probe

EVERY_S = 15.0
# Processes start side by side: what is not there at the first look is there a moment later.
AT_START_S = 0.1
STARTING_S = 30.0
DEADLINE_S = 5.0
MAX_AGE_S = 30.0
VITAL = frozenset({"log", "metadata"})
# Everything works without it, so it does not decide whether there can be work (REG-118).
SPARE = frozenset({"cache"})
_HISTORY = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found. Units: seconds of the steady clock, milliseconds."""

    at_s: float
    is_healthy: bool
    latency_ms: float
    detail: str = ""


class Health:
    """The probes of one process and their findings."""

    def __init__(self, probes: Mapping[str, Probe], metrics: Metrics) -> None:
        self._probes = probes
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(max(1, len(probes)), thread_name_prefix="serve-probe")
        self._busy: set[str] = set()
        self.findings: dict[str, deque[Finding]] = {name: deque(maxlen=_HISTORY) for name in probes}

    async def run(self) -> None:
        """Probe everything every 15 s, for ever; at the start often, until all was well once."""
        starting_until_s = time.monotonic() + STARTING_S
        while True:
            await self.probe_all()
            if all(self.checks().values()):
                starting_until_s = 0.0
            is_starting = time.monotonic() < starting_until_s
            await asyncio.sleep(AT_START_S if is_starting else EVERY_S)

    async def probe_all(self) -> None:
        """Run every probe once, side by side."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._probes:
                tasks.create_task(self._probe(name))

    def checks(self) -> dict[str, bool]:
        """Return what is known to be well, by name."""
        now_s = time.monotonic()
        return {
            name: bool(found) and found[-1].is_healthy and now_s - found[-1].at_s <= MAX_AGE_S
            for name, found in self.findings.items()
        }

    def needed(self) -> dict[str, bool]:
        """Return the checks that must be well before there can be work (MON-003)."""
        return {name: is_well for name, is_well in self.checks().items() if name not in SPARE}

    def verdict(self) -> str:
        """Return healthy, degraded or unhealthy (MON-012)."""
        down = {name for name, is_well in self.checks().items() if not is_well}
        if down & VITAL:
            return "unhealthy"
        return "degraded" if down else "healthy"

    def close(self) -> None:
        """Begin no further probe."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _probe(self, name: str) -> None:
        if name in self._busy:
            return  # the one before hangs; its age says so, and a second would hang beside it
        self._busy.add(name)
        begun = time.perf_counter()
        detail = ""
        answer = asyncio.get_running_loop().run_in_executor(self._threads, self._probes[name])
        answer.add_done_callback(lambda _answer: self._busy.discard(name))
        try:
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.shield(answer)
        except TimeoutError:
            detail = "did not answer in time"
        except MillraceError as error:
            detail = type(error).__name__
        self._note(name, time.perf_counter() - begun, detail)

    def _note(self, name: str, took_s: float, detail: str) -> None:
        self.findings[name].append(
            Finding(time.monotonic(), not detail, round(took_s * 1000, 3), detail)
        )
        self._metrics.health_checks.labels(name, "unhealthy" if detail else "healthy").inc()
        self._metrics.health_check_duration.labels(name).observe(took_s)
