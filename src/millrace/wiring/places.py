"""Where things are: the six URLs and the listeners of the settings, as paths and addresses.

Source: architecture.md 3, D-57.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.wiring.urls import Address, address_of, known, path_of

STREAM: Final = "raw_iot_data"


def log_folder(settings: Settings) -> Path:
    """Return the folder of the embedded log."""
    url = str(settings.urls()["log"])
    known("log.url", url, "sqlite")
    return path_of(url)


def store_path(settings: Settings) -> Path:
    """Return the database file of fleet and ledger."""
    url = str(settings.urls()["store"])
    known("store.url", url, "sqlite")
    return path_of(url)


def series_path(settings: Settings) -> Path:
    """Return the folder of the table of sealed history."""
    url = str(settings.urls()["series"])
    known("series.url", url, "delta")
    return path_of(url)


def archive_path(settings: Settings) -> Path:
    """Return the folder of the archive."""
    url = str(settings.urls()["archive"])
    known("archive.url", url, "file")
    return path_of(url)


def endpoint_address(settings: Settings) -> Address:
    """Return where the own MQTT endpoint listens."""
    url = settings.broker.url
    if not isinstance(url, str):
        raise UsageError("broker.url: the own endpoint cannot be one of several")
    known("broker.url", url, "endpoint")
    return address_of(url, setting="broker.url", default_port=1883)


def check_urls(settings: Settings) -> list[str]:
    """Return every fault of the six URLs, as sentences."""
    faults = []
    checks: list[Callable[[Settings], Any]] = [
        log_folder, store_path, series_path, archive_path, endpoint_address, _live, _listeners,
    ]  # fmt: skip
    for check in checks:
        try:
            check(settings)
        except UsageError as error:
            faults.append(f"{error} ({error.remedy})" if error.remedy else str(error))
    return faults


def _live(settings: Settings) -> None:
    known("live.url", settings.live.url, "memory")


def _listeners(settings: Settings) -> None:
    api = address_of(settings.api.listen, setting="api.listen")
    if settings.api.auth == "open" and api.host not in ("127.0.0.1", "localhost", "::1"):
        raise UsageError(
            f"api.listen: {settings.api.listen} is not a loopback address, and api.auth is open",
            "listen on 127.0.0.1, or put an authenticating proxy in front",
        )
