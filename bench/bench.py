"""What a case is given: where to work, how large to be, and where to report."""

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report import Bar, Report, Row

FOLDER_VARIABLE = "BENCH_FOLDER"
# Not /tmp, which is memory on many machines; what is measured has to reach a disk.
DEFAULT_FOLDER = "/var/tmp"  # noqa: S108 - a private folder is made in it


@dataclass(slots=True)
class Bench:
    """One case under way. `shared` is a folder that lives as long as the run."""

    case: str
    report: Report
    root: Path
    shared: Path

    @property
    def is_quick(self) -> bool:
        """Whether only the working of the case is of interest."""
        return self.report.is_quick

    def size(self, full: int, quick: int) -> int:
        """Return the one of two sizes that this run asks for."""
        return quick if self.is_quick else full

    def folder(self, name: str) -> Path:
        """Return an empty folder on disk."""
        path = self.root / name
        path.mkdir()
        return path

    def row(
        self, what: str, measured: float | None, unit: str = "", bar: Bar | None = None,
        *, note: str = "",
    ) -> None:  # fmt: skip
        """Report one line of the table."""
        self.report.rows.append(Row(self.case.upper(), what, measured, unit, bar, note))

    def detail(self, name: str, value: Any) -> None:
        """Report a figure for the file of results only."""
        self.report.details.setdefault(self.case, {})[name] = value


def raise_open_files() -> int:
    """Let this process and its children open as many files as the system allows; return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


@contextmanager
def working_folder() -> Iterator[Path]:
    """Make a folder on disk that is removed at the end."""
    parent = os.environ.get(FOLDER_VARIABLE, DEFAULT_FOLDER)
    path = Path(tempfile.mkdtemp(prefix="millrace-bench-", dir=parent))
    # A database server that refuses to be root has to get through to its own folder.
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
