"""URL to adapter: the only place that names a system. Adapters are imported when they are chosen.

Every function opens one connection of its own; who gets it owns it, in one thread.
Source: architecture.md 3, D-20.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from millrace.errors import UsageError
from millrace.ports.accounts import Accounts
from millrace.ports.broker import Broker
from millrace.ports.clock import Clock
from millrace.ports.fleet import Fleet
from millrace.ports.log import Log, LogReader
from millrace.settings import Settings
from millrace.wiring.urls import Address, address_of, known, path_of

STREAM = "raw_iot_data"


def clock() -> Clock:
    """Return the clock of the machine."""
    from millrace.adapters.clock_system import SystemClock

    return SystemClock()


def log(settings: Settings) -> Log:
    """Open the writing end of the log."""
    from millrace.adapters.log_sqlite import SqliteLog

    return SqliteLog(log_folder(settings), partitions=settings.log.partitions, stream=STREAM)


def log_reader(settings: Settings) -> LogReader:
    """Open a reading end of the log."""
    from millrace.adapters.log_sqlite import SqliteLogReader

    return SqliteLogReader(log_folder(settings))


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


def fleet(settings: Settings) -> Fleet:
    """Open the registry for decoding."""
    from millrace.adapters.fleet_sql import SqlFleet

    return SqlFleet(store_path(settings))


def accounts(settings: Settings) -> Accounts:
    """Open the books of the ledger."""
    from millrace.adapters.accounts_sqlite import SqliteAccounts

    return SqliteAccounts(store_path(settings))


def endpoint_address(settings: Settings) -> Address:
    """Return where the own MQTT endpoint listens."""
    url = settings.broker.url
    if not isinstance(url, str):
        raise UsageError("broker.url: the own endpoint cannot be one of several")
    known("broker.url", url, "endpoint")
    return address_of(url, setting="broker.url", default_port=1883)


def broker(settings: Settings, notes_of: Log) -> "EndpointBroker":
    """Make the own MQTT endpoint; its sessions are notes of the log."""
    from millrace.adapters.broker_endpoint import (
        EndpointAddresses,
        EndpointBroker,
        EndpointLimits,
        EndpointTls,
    )

    chosen = settings.broker
    host, port = endpoint_address(settings)
    tls = None
    if chosen.tls_certificate and chosen.tls_key:
        client_ca = str(chosen.tls_client_ca) if chosen.tls_client_ca else None
        tls = EndpointTls(str(chosen.tls_certificate), str(chosen.tls_key), client_ca)
    return EndpointBroker(
        EndpointAddresses(
            host, port, chosen.websocket_port, chosen.tls_port if tls else None, tls
        ),
        notes_of.notes,
        clock=clock(),
        reader=log_reader(settings),
        limits=EndpointLimits(
            max_packet_bytes=chosen.max_packet_bytes,
            max_connections=chosen.max_connections,
            max_pending_bytes=chosen.max_pending_bytes,
            linger_s=chosen.linger_s,
        ),
    )


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
