"""When what runs in a process ends, and where it says that it is ready."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Announce = Callable[[str, Mapping[str, Any]], None]


@dataclass(slots=True)
class Life:
    """When roles end, and where they say that they are ready."""

    announce: Announce
    over: asyncio.Event = field(default_factory=asyncio.Event)
    over_in_threads: threading.Event = field(default_factory=threading.Event)

    def end(self) -> None:
        """Ask everything to drain and stop; a second call does nothing."""
        self.over.set()
        self.over_in_threads.set()
