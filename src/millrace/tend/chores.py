"""The chores of the keeper, each with its pace, in two lanes.

Sealing, merging and retiring share one connection to the series and so one thread. Archiving has
a thread of its own: a segment of many small objects must not hold up sealing.
Source: D-30, D-28; performance.md B1.
"""

from millrace.ports.archive import Archive
from millrace.ports.series import SeriesWriter
from millrace.tend.archive import Archiver
from millrace.tend.pace import Pace
from millrace.tend.retire import Retention, retire_archive, retire_series
from millrace.tend.seal import Sealer
from millrace.tend.worker import Chore

_HOUR_S = 3600.0


def series_chores(
    sealer: Sealer, series: SeriesWriter, retention: Retention | None = None
) -> list[Chore]:
    """Return what keeps sealed history."""
    kept = retention or Retention()
    return [
        Chore("seal", 1.0, sealer.run_once),
        Chore("compact", 60.0, series.compact),
        Chore("vacuum", 20.0, series.vacuum),
        Chore("retire_series", _HOUR_S, lambda now_ns: retire_series(series, kept, now_ns)),
    ]


def archive_chores(
    archiver: Archiver,
    archive: Archive,
    layout: str,
    retention: Retention | None = None,
    pace: Pace | None = None,
) -> list[Chore]:
    """Return what keeps the archive; with a `pace` it waits for quiet."""
    kept = retention or Retention()

    def archive_when_quiet(now_ns: int) -> int:
        if pace is not None and not pace.may_work(now_ns):
            return 0
        return archiver.run_once(now_ns)

    return [
        Chore("archive", 5.0, archive_when_quiet),
        Chore(
            "retire_archive", _HOUR_S, lambda now_ns: retire_archive(archive, layout, kept, now_ns)
        ),
    ]
