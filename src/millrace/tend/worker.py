"""The loop of the keeper: each chore at its own pace, none held up by the failure of another.

What is away is tried again later, with back-off, for each chore alone: a full archive must not
stop sealing. What only a person can mend ends the loop, and with it the other lanes.
Source: D-30; F12, F30.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from millrace.errors import RetryError
from millrace.flow.backoff import Backoff
from millrace.ports.clock import Clock
from millrace.tend.pace import EndedError

_LOOK_S = 0.2


@dataclass(slots=True)
class Chore:
    """One kind of work. `run` takes the time (UTC nanoseconds) and returns how much it did."""

    name: str
    every_s: float
    run: Callable[[int], int]
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, most_s=60.0))
    due_s: float = 0.0
    done: int = 0
    failures: int = 0
    last_error: str = ""


class Keeper:
    """Runs chores, in one thread."""

    def __init__(self, chores: Sequence[Chore], clock: Clock) -> None:
        self.chores = tuple(chores)
        self._clock = clock

    def run_once(self) -> bool:
        """Run the chores that are due; return whether any of them did something.

        Raises:
            StopError: A person must act.
        """
        has_done = False
        for chore in self.chores:
            if self._clock.steady_s() >= chore.due_s:
                has_done |= self._run(chore)
        return has_done

    def run(self, over: threading.Event, pause_s: float = 0.25) -> None:
        """Run until `over` is set.

        Raises:
            StopError: A person must act.
        """
        while not over.is_set():
            try:
                self.run_once()
            except EndedError:
                return
            over.wait(pause_s)

    def _run(self, chore: Chore) -> bool:
        try:
            done = chore.run(self._clock.now_ns())
        except RetryError as error:
            chore.failures += 1
            chore.last_error = str(error)
            chore.due_s = self._clock.steady_s() + chore.backoff.failed(error)
            return False
        chore.backoff.succeeded()
        chore.last_error = ""
        chore.done += done
        chore.due_s = self._clock.steady_s() + chore.every_s
        return done > 0


# Opens what a lane needs, in the thread that will use it; the event is set when it must end.
OpenLane = Callable[[threading.Event], AbstractContextManager[Keeper]]


class Lanes:
    """Several keepers, each in a thread of its own."""

    def __init__(self, lanes: Sequence[OpenLane]) -> None:
        self._lanes = tuple(lanes)
        self._keepers: list[Keeper] = []

    def check(self) -> None:
        """Return when every lane works; for any thread.

        Raises:
            RetryError: One is not open yet, or a chore waits for what is away.
        """
        if len(self._keepers) < len(self._lanes):
            raise RetryError("not all is open yet")
        for keeper in self._keepers:
            for chore in keeper.chores:
                if chore.last_error:
                    raise RetryError(f"{chore.name}: {chore.last_error}")

    def run(self, over: threading.Event) -> None:
        """Run all lanes until `over` is set or one of them ends.

        Raises:
            StopError: A person must act; the other lanes were ended, too.
        """
        ended = threading.Event()
        with ThreadPoolExecutor(len(self._lanes), "tend") as pool:
            running: list[Future[None]] = [
                pool.submit(self._run, one, ended) for one in self._lanes
            ]
            while not over.is_set():
                done, _ = wait(running, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
                if done:
                    break
            ended.set()
        for one in running:
            one.result()

    def _run(self, lane: OpenLane, ended: threading.Event) -> None:
        with lane(ended) as keeper:
            self._keepers.append(keeper)
            keeper.run(ended)
