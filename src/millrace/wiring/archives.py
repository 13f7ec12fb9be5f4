"""The archive of raw messages, chosen by the scheme of `archive.url`.

Source: architecture.md 3.
"""

from millrace.adapters.archive_file import FileArchive
from millrace.ports.archive import Archive
from millrace.settings import Settings
from millrace.wiring.urls import known, path_of, scheme_of


def check(settings: Settings) -> None:
    """Look at the URL without opening anything.

    Raises:
        UsageError: No archive can be opened with it.
    """
    url = _url(settings)
    if known("archive.url", url, "file", "s3") == "s3":
        from millrace.wiring.objects import s3_options

        s3_options(settings, "archive.url", url)
    else:
        path_of(url)


def open_archive(settings: Settings) -> Archive:
    """Open the archive; nothing is asked of it yet.

    Raises:
        UsageError: The URL is wrong.
    """
    check(settings)
    url = _url(settings)
    if scheme_of(url) == "s3":
        from millrace.adapters.archive_object import ObjectArchive
        from millrace.objects import open_bucket
        from millrace.wiring.objects import s3_options

        return ObjectArchive(open_bucket(s3_options(settings, "archive.url", url)))
    return FileArchive(path_of(url))


def _url(settings: Settings) -> str:
    return str(settings.urls()["archive"])
