"""The archive of raw messages, chosen by the scheme of `archive.url`.

Source: architecture.md 3.
"""

from millrace.adapters.archive_file import FileArchive
from millrace.ports.archive import Archive
from millrace.settings import Settings
from millrace.wiring.urls import known, path_of


def check(settings: Settings) -> None:
    """Look at the URL without opening anything.

    Raises:
        UsageError: No archive can be opened with it.
    """
    url = _url(settings)
    known("archive.url", url, "file")
    path_of(url)


def open_archive(settings: Settings) -> Archive:
    """Open the archive.

    Raises:
        UsageError: The URL is wrong.
    """
    check(settings)
    return FileArchive(path_of(_url(settings)))


def _url(settings: Settings) -> str:
    return str(settings.urls()["archive"])
