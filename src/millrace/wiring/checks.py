"""Is the configuration right (`check`), is the running system right (`doctor`).

Both look at everything and report all that is wrong, each with its remedy.
Source: architecture.md 3, reliability.md F48, F49.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from millrace.errors import MillraceError, StopError, UsageError
from millrace.mqtt.topics import check_filter
from millrace.settings import BrokerSettings, Settings
from millrace.wiring import archives, lives, logs, places, series_urls, stores
from millrace.wiring.archives import open_archive
from millrace.wiring.families import codecs
from millrace.wiring.setup import open_books

Examine = Callable[[Settings], str]

MIN_FREE_BYTES = 500_000_000
_MANY_BATCHES = 1000


class Finding(NamedTuple):
    """What one examination found."""

    name: str
    is_well: bool
    text: str
    remedy: str = ""


def faults(settings: Settings) -> list[str]:
    """Return every fault of the configuration, as sentences."""
    choosers = (stores.check, logs.check, archives.check, series_urls.check, lives.check)
    found = places.check_urls(settings, *choosers)
    for topic_filter in settings.f2.subscriptions:
        try:
            check_filter(topic_filter)
        except MillraceError as error:
            found.append(f"f2.subscriptions: {error}")
    found += _unusable_patterns(settings)
    found += _unreadable(settings.broker)
    folder = _existing(settings.data)
    if not os.access(folder, os.W_OK | os.X_OK):
        found.append(f"data: {folder} cannot be written (choose another folder with --data)")
    return found


def _unusable_patterns(settings: Settings) -> list[str]:
    if not settings.generic:
        return []

    try:
        codecs(settings)
    except UsageError as error:
        return [str(error)]
    return []


def _unreadable(broker: BrokerSettings) -> list[str]:
    files = {
        "tls_certificate": broker.tls_certificate,
        "tls_key": broker.tls_key,
        "tls_client_ca": broker.tls_client_ca,
        "password_file": broker.password_file,
    }
    found = [
        f"broker.{name}: {path} cannot be read"
        for name, path in files.items()
        if path is not None and not os.access(path, os.R_OK)
    ]
    if (broker.tls_certificate is None) != (broker.tls_key is None):
        found.append("broker.tls_certificate and broker.tls_key: one is given without the other")
    return found


def outside(settings: Settings) -> list[Finding]:
    """Return what the systems of others answer that the settings name."""
    return [_examined(name, examine, settings) for name, examine in _outside(settings)]


def _outside(settings: Settings) -> list[tuple[str, Examine]]:
    systems: Sequence[tuple[str, bool, Examine]] = (
        ("database", stores.is_outside(settings), stores.examine),
        ("log", logs.is_outside(settings), logs.examine),
        ("live", lives.is_redis(settings), lives.examine),
    )
    return [(name, examine) for name, is_one, examine in systems if is_one]


def diagnose(settings: Settings) -> list[Finding]:
    """Return the findings of all examinations."""
    examinations: Sequence[tuple[str, Examine]] = (
        ("disk", _disk),
        ("database", stores.examine),
        ("log", logs.examine),
        ("books", _books),
        ("devices", _devices),
        ("archive", _archive),
        ("copies", _copies),
    )
    each = {**dict(examinations), **dict(_outside(settings))}
    return [_examined(name, examine, settings) for name, examine in each.items()]


def _examined(name: str, examine: Examine, settings: Settings) -> Finding:
    try:
        return Finding(name, is_well=True, text=examine(settings))
    except StopError as error:
        return Finding(name, is_well=False, text=str(error), remedy=error.remedy)
    except MillraceError as error:
        return Finding(name, is_well=False, text=str(error), remedy="try again in a moment")
    except OSError as error:
        text = f"{error.filename}: {error.strerror}"
        return Finding(name, is_well=False, text=text, remedy="check its owner and permissions")


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(_existing(settings.data)).free
    if free < MIN_FREE_BYTES:
        raise StopError(
            f"only {free / 1e6:,.0f} MB are free", "free space, or lower log.retention_bytes"
        )
    return f"{free / 1e9:,.1f} GB are free"


def _books(settings: Settings) -> str:
    with open_books(settings) as read:
        result = read()
    if result.difference:
        raise StopError(
            f"{result.difference:,} messages are unaccounted for",
            "keep the data folder as it is and report this",
        )
    return f"balanced; {result.lag:,} messages wait, {result.open_letters:,} dead letters are open"


def _copies(settings: Settings) -> str:
    if not series_urls.sink_urls(settings):
        return "readings are copied to no other store"
    from millrace.wiring.sinks import copied_through

    with stores.open_store(settings) as store:
        waiting = len(store.hot().hot(copied_through(settings, store)(), _MANY_BATCHES))
    return f"{'at least ' * (waiting == _MANY_BATCHES)}{waiting:,} commits wait to be copied"


def _archive(settings: Settings) -> str:
    found = list(open_archive(settings).list("", limit=1))
    return "it answers" if found else "it answers, and is empty"


def _devices(settings: Settings) -> str:
    with stores.open_store(settings) as store:
        account = store.accounts().read()
    limit = settings.registry.max_auto_devices
    text = f"{account.devices:,}, of which {account.auto_devices:,} registered themselves"
    if account.auto_devices >= limit:
        raise StopError(
            f"{text}; further ones are stored without a registry row",
            f"register devices, or raise registry.max_auto_devices from {limit}",
        )
    return text


def _existing(path: Path) -> Path:
    """Return the path, or the first folder above it that is there to be seen."""
    while not os.access(path, os.F_OK) and path != path.parent:
        path = path.parent
    return path
