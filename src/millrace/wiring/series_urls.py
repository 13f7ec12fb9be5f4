"""What `series.url` names, told without opening or importing anything of it.

Source: architecture.md 3.
"""

from millrace.errors import UsageError
from millrace.observe.urls import shown
from millrace.settings import Settings
from millrace.wiring.secrets import secret
from millrace.wiring.urls import address_of, known, path_of, scheme_of, without_secret

# Readers of a table in a bucket look at it every two seconds (`BucketStorage.look_every_s`).
_FORGET_AFTER_NS = 10_000_000_000
_SINKS = ("influxdb", "influxdbs")
_LEAVE_OUT = "leave it out; secrets have settings of their own"
_REMEDIES = {
    **dict.fromkeys(_SINKS, "write a token into influx.token_file"),
    "postgresql": "write it into store.password_file",
    "delta+s3": "write it into s3.secret_key_file",
}


def check(settings: Settings) -> None:
    """Raise UsageError when `series.url` cannot be right."""
    url = table_url(settings)
    for each in _urls(settings):
        without_secret("series.url", each, _REMEDIES.get(scheme_of(each), _LEAVE_OUT))
    if scheme_of(url) in _SINKS:
        raise UsageError(
            f"series.url: {shown(url)} comes first, and cannot answer queries",
            "name the history first, and InfluxDB after it",
        )
    _check_sinks(settings)
    scheme = known("series.url", url, "delta", "delta+s3", "postgresql")
    if has_rows(settings):
        return
    if scheme == "delta+s3":
        from millrace.wiring.objects import s3_options

        s3_options(settings, "series.url", url)
    else:
        path_of(url)


def has_rows(settings: Settings) -> bool:
    """Return whether history is rows in the store itself.

    Raises:
        UsageError: It is said to be rows of another database than the store.
    """
    url = table_url(settings)
    if scheme_of(url) != "postgresql":
        return False
    if url != settings.urls()["store"]:
        raise UsageError(
            "series.url names a PostgreSQL database that is not the one of store.url",
            "readings become rows with the positions of their messages: name the same database",
        )
    return True


def table_url(settings: Settings) -> str:
    """Return the URL of the history, which answers queries."""
    return _urls(settings)[0]


def forget_after_ns(settings: Settings) -> int:
    """Return how long sealed batches must stay in the ledger, until all readers have looked."""
    return _FORGET_AFTER_NS if scheme_of(table_url(settings)) == "delta+s3" else 0


def sink_urls(settings: Settings) -> list[str]:
    """Return the URLs of the stores that readings are copied to."""
    return _urls(settings)[1:]


def _urls(settings: Settings) -> list[str]:
    chosen = settings.urls()["series"]
    return [chosen] if isinstance(chosen, str) else chosen


def _check_sinks(settings: Settings) -> None:
    urls = sink_urls(settings)
    for url in urls:
        known("series.url", url, "influxdb", "influxdbs")
        if "@" in url:
            raise UsageError("series.url names a user of InfluxDB", _REMEDIES["influxdb"])
        address_of(url, setting="series.url", default_port=8086)
    if len(urls) > 1:
        raise UsageError(
            "series.url: readings are copied to one InfluxDB only",
            "let that one replicate to others",
        )
    secret("influx.token", settings.influx.token, settings.influx.token_file)
