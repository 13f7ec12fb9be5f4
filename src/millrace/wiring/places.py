"""Where things are: the six URLs and the listeners of the settings, as paths and addresses.

Source: architecture.md 3, D-57.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.wiring.urls import (
    Address,
    address_of,
    known,
    path_of,
    scheme_of,
    without_secret,
)

# Whoever reaches the API may do everything, so only this machine may (API-010, D-44).
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
STREAM: Final = "raw_iot_data"


def store_path(settings: Settings) -> Path:
    """Return the database file of fleet and ledger."""
    url = str(settings.urls()["store"])
    known("store.url", url, "sqlite")
    return path_of(url)


def broker_urls(settings: Settings) -> list[str]:
    """Return the brokers to take messages from; the own endpoint stands alone.

    Raises:
        UsageError: There is none, a scheme is not known, or the endpoint is one of several, or
            a URL holds a password.
    """
    chosen = settings.broker.url
    urls = [chosen] if isinstance(chosen, str) else chosen
    schemes = [known("broker.url", url, "endpoint", "mqtt", "mqtts") for url in urls]
    if not schemes or ("endpoint" in schemes and len(schemes) > 1):
        raise UsageError(
            "broker.url names no broker, or the own endpoint beside others",
            "name one endpoint://, or one or more mqtt:// or mqtts://",
        )
    for url in urls:
        without_secret("broker.url", url, "write it into broker.password_file")
    return urls


def broker_address(url: str) -> Address:
    """Return where a broker listens."""
    port = 8883 if scheme_of(url) == "mqtts" else 1883
    return address_of(url, setting="broker.url", default_port=port)


def check_urls(settings: Settings, *more: Callable[[Settings], Any]) -> list[str]:
    """Return every fault of the six URLs, as sentences; `more` are the checks of choosers."""
    faults = []
    checks: list[Callable[[Settings], Any]] = [
        *more, _brokers, _listeners,
    ]  # fmt: skip
    for check in checks:
        try:
            check(settings)
        except UsageError as error:
            faults.append(f"{error} ({error.remedy})" if error.remedy else str(error))
    return faults


def _brokers(settings: Settings) -> None:
    for url in broker_urls(settings):
        broker_address(url)


def _listeners(settings: Settings) -> None:
    api = address_of(settings.api.listen, setting="api.listen")
    if api.host not in LOOPBACK:
        raise UsageError(
            f"api.listen: {settings.api.listen} is not a loopback address, and the API is open",
            "listen on 127.0.0.1, or put an authenticating proxy in front",
        )
