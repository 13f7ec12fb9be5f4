"""What `series.url` names, told without opening or importing anything of it.

Source: architecture.md 3.
"""

from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.wiring.urls import known, path_of, scheme_of

# Readers of a table in a bucket look at it every two seconds (`BucketStorage.look_every_s`).
_FORGET_AFTER_NS = 10_000_000_000


def check(settings: Settings) -> None:
    """Raise UsageError when `series.url` cannot be right."""
    url = table_url(settings)
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
    urls = settings.urls()
    if scheme_of(str(urls["series"])) != "postgresql":
        return False
    if urls["series"] != urls["store"]:
        raise UsageError(
            "series.url names a PostgreSQL database that is not the one of store.url",
            "readings become rows with the positions of their messages: name the same database",
        )
    return True


def table_url(settings: Settings) -> str:
    """Return the URL of the table of sealed history."""
    return str(settings.urls()["series"])


def forget_after_ns(settings: Settings) -> int:
    """Return how long sealed batches must stay in the ledger, until all readers have looked."""
    return _FORGET_AFTER_NS if scheme_of(table_url(settings)) == "delta+s3" else 0
