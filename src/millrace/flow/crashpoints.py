"""Named places at which a test may kill the process, as `kill -9` or a loss of power would.

`CRASH_AT=name:n` in the environment kills the process at the n-th call of `crashpoint(name)`; n is
1 when it is left out. Without the variable a call costs a look-up and does nothing.
Source: reliability.md section 3, F1 to F4.
"""

import os
import signal
from functools import cache
from itertools import count


@cache
def _armed() -> tuple[str, int]:
    """Return the name and the number of the call to die at; read once, at the first call."""
    name, _, number = os.environ.get("CRASH_AT", "").partition(":")
    return name, int(number or 1)


@cache
def _calls() -> "count[int]":
    return count(1)


def crashpoint(name: str) -> None:
    """Kill this process if a test has asked for it here."""
    armed, number = _armed()
    if armed == name and next(_calls()) == number:
        os.kill(os.getpid(), signal.SIGKILL)
