"""The clock of the machine."""

import time


class SystemClock:
    """See `ports.clock.Clock`."""

    now_ns = staticmethod(time.time_ns)
    steady_s = staticmethod(time.monotonic)
