"""What a case found: rows for the table, and everything for the file of results."""

import json
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
LIBRARIES = ("apsw", "deltalake", "duckdb", "lz4", "msgspec", "numpy", "pyarrow", "uvloop")


@dataclass(frozen=True, slots=True)
class Bar:
    """What must be reached: at least or at most a number."""

    number: float
    is_floor: bool = True

    def is_met_by(self, measured: float) -> bool:
        """Return whether a figure reaches the bar."""
        return measured >= self.number if self.is_floor else measured <= self.number


def at_least(number: float) -> Bar:
    """Return a floor."""
    return Bar(number)


def at_most(number: float) -> Bar:
    """Return a ceiling."""
    return Bar(number, is_floor=False)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `note` stands in place of a figure that could not be measured."""

    case: str
    what: str
    measured: float | None
    unit: str = ""
    bar: Bar | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return yes, no, or nothing where there is no bar or no figure."""
        if self.bar is None or self.measured is None:
            return ""
        return "yes" if self.bar.is_met_by(self.measured) else "NO"


@dataclass(slots=True)
class Report:
    """All rows of a run, with the details behind them."""

    is_quick: bool = False
    rows: list[Row] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def table(self) -> Table:
        """Return the table that is printed."""
        title = "quick: it works, but sizes are too small for figures" if self.is_quick else None
        table = Table("case", "what", "measured", "bar", "met?", title=title)
        table.columns[2].justify = table.columns[3].justify = "right"
        for row in self.rows:
            table.add_row(row.case, row.what, _figure(row), _bar(row), _coloured(row.verdict))
        for case, why in self.wrong.items():
            table.add_row(case, f"[red]{why}[/red]", "WRONG", "", "[red]NO[/red]")
        return table

    def show(self) -> None:
        """Print the table."""
        width = 140 if not Console().is_terminal else None
        Console(width=width).print(self.table())

    def write(self, folder: Path) -> Path:
        """Write everything as JSON; return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
        path = folder / f"{stamp}{'-quick' if self.is_quick else ''}.json"
        body = {
            "at": stamp,
            "quick": self.is_quick,
            "machine": machine(),
            "rows": [{**asdict(row), "met": row.verdict} for row in self.rows],
            "details": self.details,
            "wrong": self.wrong,
            "seconds": self.seconds,
        }
        path.write_text(json.dumps(body, indent=1) + "\n")
        return path


def machine() -> Mapping[str, Any]:
    """Return what the figures depend on."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": psutil.getloadavg(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "commit": _git("rev-parse", "HEAD"),
        "is_clean": not _git("status", "--porcelain", "--", "src", "bench"),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _figure(row: Row) -> str:
    if row.measured is None:
        return row.note
    return f"{_number(row.measured)} {row.unit}{f' ({row.note})' if row.note else ''}".strip()


def _bar(row: Row) -> str:
    if row.bar is None:
        return ""
    return f"{'≥' if row.bar.is_floor else '≤'} {_number(row.bar.number)}"


def _number(number: float) -> str:
    places = 0 if abs(number) >= 1000 else 1 if abs(number) >= 100 else 2
    text = f"{number:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _coloured(verdict: str) -> str:
    return {"yes": "[green]yes[/green]", "NO": "[red]NO[/red]"}.get(verdict, verdict)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` of sorted values do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def latencies(seconds: Sequence[float]) -> dict[str, float]:
    """Return number, median, p95, p99 and maximum. Units: milliseconds."""
    ordered = sorted(seconds)
    if not ordered:
        return {"count": 0}
    found = {f"p{share}_ms": percentile(ordered, share / 100) for share in (50, 95, 99)}
    found["max_ms"] = ordered[-1]
    return {"count": len(ordered), **{name: round(1000 * s, 3) for name, s in found.items()}}
