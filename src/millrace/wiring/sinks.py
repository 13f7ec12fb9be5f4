"""Stores beside the history: what each is copied by, and how far all of them have come.

Source: D-28.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Final

from millrace.adapters.clock_system import SystemClock
from millrace.errors import UsageError
from millrace.ports.sink import SeriesSink
from millrace.settings import Settings
from millrace.tend.forward import Forwarder
from millrace.tend.pace import Breather
from millrace.tend.worker import Chore, Keeper
from millrace.wiring.secrets import secret
from millrace.wiring.series_urls import sink_urls
from millrace.wiring.store_system import Store
from millrace.wiring.stores import open_store
from millrace.wiring.urls import scheme_of

READER: Final = "series:influx"
_EVERY_S = 1.0


def copied_through(settings: Settings, store: Store) -> Callable[[], int]:
    """Return what says up to which hot batch all sinks have come; all, where there is none."""
    if not sink_urls(settings):
        return lambda: 2**63 - 1
    return store.sink_progress(READER).through


@contextmanager
def sink_lane(settings: Settings, ended: threading.Event) -> Iterator[Keeper]:
    """Open the lane that copies readings to InfluxDB."""
    with ExitStack() as stack:
        store = stack.enter_context(open_store(settings))
        sink = stack.enter_context(closing(_open_influx(settings, sink_urls(settings)[0])))
        breathe = Breather(SystemClock(), ended.wait, is_over=ended.is_set)
        forwarder = Forwarder(store.hot(), store.sink_progress(READER), sink, breathe)
        yield Keeper([Chore("copy", _EVERY_S, forwarder.run_once)], SystemClock())


def _open_influx(settings: Settings, url: str) -> SeriesSink:
    try:
        from millrace.adapters.series_influx import InfluxOptions, InfluxSeries
    except ImportError as error:
        raise UsageError(f"series.url: {error}", "pip install 'millrace[influx]'") from error

    chosen, scheme = settings.influx, scheme_of(url)
    return InfluxSeries(
        InfluxOptions(
            f"{'https' if scheme == 'influxdbs' else 'http'}{url[len(scheme) :].rstrip('/')}",
            chosen.org,
            chosen.bucket,
            chosen.sensors_bucket,
            secret("influx.token", chosen.token, chosen.token_file),
            chosen.timeout_s,
            chosen.batch_lines,
        )
    )
