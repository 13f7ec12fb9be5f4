"""What a message would become, without writing anything."""

from collections.abc import Iterator
from contextlib import contextmanager

from millrace.adapters.clock_system import SystemClock
from millrace.adapters.fleet_memory import MemoryFleet
from millrace.preview import Previewer
from millrace.settings import Settings
from millrace.wiring import stores
from millrace.wiring.families import codecs


@contextmanager
def open_preview(settings: Settings) -> Iterator[Previewer]:
    """Open the registry for decoding single messages; without one, devices are unknown."""
    if not stores.is_there(settings):
        yield Previewer(codecs(settings), MemoryFleet(), SystemClock())
        return
    with stores.open_store(settings) as store:
        yield Previewer(codecs(settings), store.fleet(), SystemClock())
