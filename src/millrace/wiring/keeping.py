"""The keeper of history (role tend): seal, compact and retire in one lane, archive in another.

A store beside the history has a third.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from millrace import __version__
from millrace.adapters.clock_system import SystemClock
from millrace.decode.router import Router
from millrace.errors import RejectError
from millrace.model.series import SeriesBook
from millrace.observe import Metrics
from millrace.observe.metrics import CoreMetrics
from millrace.serve.role_health import RoleHealth
from millrace.settings import Settings
from millrace.tend.archive import ArchiveOptions, Archiver, ArchiveSources
from millrace.tend.chores import archive_chores, series_chores
from millrace.tend.pace import Breather, Pace
from millrace.tend.retire import Retention
from millrace.tend.seal import Sealer, SealLimits
from millrace.tend.worker import Keeper, Lanes
from millrace.wiring.archives import open_archive
from millrace.wiring.families import codecs
from millrace.wiring.histories import open_writer
from millrace.wiring.logs import open_log_reader
from millrace.wiring.series_urls import forget_after_ns, sink_urls
from millrace.wiring.sinks import copied_through, sink_lane
from millrace.wiring.stores import open_store


def keeper_lanes(settings: Settings, metrics: Metrics | None = None) -> Lanes:
    """Return the lanes of the keeper; each opens its connections in its own thread.

    `metrics` are those of the core when it runs in the same process.
    """
    core = (metrics or Metrics([])).core
    lanes = [partial(_series_lane, settings), partial(_archive_lane, settings, core)]
    if sink_urls(settings):
        lanes.append(partial(sink_lane, settings))
    return Lanes(lanes)


def keeper_metrics() -> Metrics:
    """Return the metrics of the keeper in a process of its own."""
    return Metrics(["core"], version=__version__)


def keeper_health(lanes: Lanes, metrics: Metrics) -> RoleHealth:
    """Return health and metrics of the keeper, ready while no chore waits for what is away."""
    return RoleHealth(metrics, {"chores": lanes.check})


@contextmanager
def _series_lane(settings: Settings, _ended: threading.Event) -> Iterator[Keeper]:
    with ExitStack() as stack:
        store = stack.enter_context(open_store(settings))
        hot = store.hot(writing=True)
        series = stack.enter_context(open_writer(settings))
        limits = SealLimits(
            rows=settings.series.seal_readings,
            age_ns=settings.series.seal_after_s * 1_000_000_000,
            forget_after_ns=forget_after_ns(settings),
        )
        sealer = Sealer(hot, series, limits, copied_through(settings, store))
        chores = series_chores(sealer, series, _retention(settings))
        yield Keeper(chores, SystemClock())


@contextmanager
def _archive_lane(
    settings: Settings, metrics: CoreMetrics, ended: threading.Event
) -> Iterator[Keeper]:
    chosen = settings.archive

    def completed(objects: int, size_bytes: int) -> None:
        metrics.archive_objects.labels(chosen.layout).inc(objects)
        metrics.archive_bytes.labels(chosen.layout).inc(size_bytes)

    with ExitStack() as stack:
        progress = stack.enter_context(open_store(settings)).archive_progress()
        log = stack.enter_context(closing(open_log_reader(settings)))
        router = Router(codecs(settings), SeriesBook())

        def address_of(topic: str) -> tuple[str, str] | None:
            try:
                address = router.address(topic)
            except RejectError:
                return None
            return address.device_id, address.category

        archive = open_archive(settings)
        options = ArchiveOptions(chosen.layout, chosen.roll_bytes, chosen.roll_s)
        breathe = Breather(SystemClock(), ended.wait, is_over=ended.is_set)
        pace = Pace(log, progress.decided)
        sources = ArchiveSources(
            log, progress, progress, address_of, breathe, pace.is_pump_behind, completed
        )
        archiver = Archiver(sources, archive, options)
        archiver.hold_log()
        chores = archive_chores(archiver, archive, chosen.layout, _retention(settings), pace)
        yield Keeper(chores, SystemClock())


def _retention(settings: Settings) -> Retention:
    return Retention(settings.series.retention_s, settings.archive.retention_s)
