"""When what runs in a process ends, and where it says that it is ready."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from millrace.observe import Metrics

Announce = Callable[[str, Mapping[str, Any]], None]


@dataclass(slots=True)
class Life:
    """When roles end, and where they say that they are ready.

    `core_metrics` are those of the pump, for the keeper when it runs in the same process.
    """

    announce: Announce
    over: asyncio.Event = field(default_factory=asyncio.Event)
    over_in_threads: threading.Event = field(default_factory=threading.Event)
    core_metrics: Metrics | None = None

    def end(self) -> None:
        """Ask everything to drain and stop; a second call does nothing."""
        self.over.set()
        self.over_in_threads.set()
