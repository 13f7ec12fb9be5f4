"""Who does what when: all devices on one line of simulated time. Pure.

At natural pace every device follows its agenda. At a steady rate the messages of the fleet are a
comb: the k-th comes k / rate seconds after the start, from one device after the other, and agendas
hold only what commands have caused.
Source: F2-170, F2-173, MTR-151.
"""

import heapq
from collections import Counter
from collections.abc import Sequence

from millrace.model.instants import SECOND_NS
from millrace.simulate.acts import NEVER, Deed, Device
from millrace.simulate.faults import Faults, Shares

Step = tuple[int, Sequence[Deed]]


class Schedule:
    """The deeds of devices in order of simulated time. `counts` are those of the misfortunes."""

    def __init__(
        self,
        devices: Sequence[Device],
        *,
        seed: int,
        start_ns: int,
        rate: float = 0.0,
        shares: Shares | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._devices = devices
        self._start_ns = start_ns
        self._rate = rate
        self._made = 0
        self._faults: list[Faults] = []
        if shares is not None and not shares.is_none:
            self._faults = [Faults(shares, one, seed, self.counts) for one in devices]
        self._heap = [(one.agenda.due_ns, number) for number, one in enumerate(devices)]
        heapq.heapify(self._heap)

    @property
    def due_ns(self) -> int:
        """When the next deed is due."""
        return min(self._comb_ns(), self._heap[0][0])

    def begin(self, start_ns: int) -> None:
        """Let the comb begin here. What agendas hold is not moved."""
        self._start_ns = start_ns

    def touch(self, number: int) -> None:
        """Take notice that a device has changed its mind."""
        heapq.heappush(self._heap, (self._devices[number].agenda.due_ns, number))

    def until(self, now_ns: int, most: int) -> list[Step]:
        """Return what is due up to an instant, by device number: at most so many steps."""
        steps: list[Step] = []
        while len(steps) < most:
            comb_ns = self._comb_ns()
            if self._heap[0][0] <= min(now_ns, comb_ns):
                self._act(steps)
            elif comb_ns <= now_ns:
                steps.append(self._emit(comb_ns))
            else:
                break
        return steps

    def flush(self) -> list[Step]:
        """Return what the misfortunes have held back."""
        held = ((number, one.flush()) for number, one in enumerate(self._faults))
        return [(number, messages) for number, messages in held if messages]

    def _comb_ns(self) -> int:
        if not self._rate:
            return NEVER
        return self._start_ns + int(self._made * SECOND_NS / self._rate)

    def _emit(self, at_ns: int) -> Step:
        number = self._made % len(self._devices)
        self._made += 1
        if self._faults:
            step = number, self._faults[number].emit(at_ns)
            self.touch(number)
            return step
        return number, (self._devices[number].emit(at_ns),)

    def _act(self, steps: list[Step]) -> None:
        due_ns, number = self._heap[0]
        agenda = self._devices[number].agenda
        if agenda.due_ns != due_ns:
            # The device has changed its mind; where it now stands was put in by `touch`.
            heapq.heappop(self._heap)
            if not self._heap:
                self._heap = [(NEVER, number)]
            return
        deeds = self._faults[number].act(agenda) if self._faults else agenda.next()
        heapq.heapreplace(self._heap, (agenda.due_ns, number))
        if deeds:
            steps.append((number, deeds))
