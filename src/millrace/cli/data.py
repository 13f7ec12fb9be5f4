"""`millrace audit` and `millrace export`: the books, and the readings themselves."""

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from millrace.cli.configured import settings_from
from millrace.cli.options import AsJson, Data
from millrace.errors import StopError, UsageError
from millrace.flow.balance import Balance
from millrace.wiring.setup import open_books

FORMATS = ("csv", "parquet", "arrow")


def audit(data: Data = None, *, as_json: AsJson = False) -> None:
    """Check that every received message is accounted for; exit 1 when one is not."""
    with open_books(settings_from(data)) as books:
        result = books()
    if as_json:
        typer.echo(orjson.dumps(rows(result), option=orjson.OPT_INDENT_2))
    else:
        _show(result)
    if result.difference:
        raise StopError(
            f"{abs(result.difference)} messages are unaccounted for",
            "keep the data folder as it is and report this; `millrace doctor` says more",
        )


def rows(result: Balance) -> dict[str, object]:
    """Return a balance as JSON values."""
    families = sorted({*result.received, *result.stored})
    return {
        "families": [
            {
                "family": family,
                "received": result.received[family],
                "stored": result.stored[family],
                "duplicate": result.duplicate[family],
                "dead_letter": result.dead_letter[family],
                "shed": result.shed[family],
                "in_flight": result.in_flight[family],
            }
            for family in families
        ],
        "lag": result.lag,
        "difference": result.difference,
        "open_dead_letters": result.open_letters,
        "devices": result.devices,
    }


def _show(result: Balance) -> None:
    columns = ("received", "stored", "duplicate", "dead_letter", "shed", "in_flight")
    table = Table("family", *columns)
    for column in table.columns[1:]:
        column.justify = "right"
    for family in sorted({*result.received, *result.stored}):
        table.add_row(family, *(f"{getattr(result, name)[family]:,}" for name in columns))
    console = Console()
    console.print(table)
    verdict = "balanced: nothing is unaccounted for" if not result.difference else "NOT balanced"
    console.print(f"{verdict}; lag {result.lag:,} messages", highlight=False)


def export(
    output: Annotated[Path, typer.Argument(help="File to write, or - for standard output.")],
    data: Data = None,
    *,
    device: Annotated[list[str] | None, typer.Option(help="Only this device; repeatable.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Only this metric; repeatable.")] = None,
    start: Annotated[str, typer.Option(help="RFC 3339 or relative, as -7d.")] = "-100w",
    stop: Annotated[str, typer.Option(help="RFC 3339, relative, or now().")] = "now()",
    form: Annotated[str, typer.Option("--format", help="csv, parquet or arrow.")] = "csv",
) -> None:
    """Write readings to a file, sorted by device, metric, channel and time."""
    if form not in FORMATS:
        raise UsageError(f"--format {form} is not known", f"choose from: {', '.join(FORMATS)}")
    from millrace.serve.export_job import ExportRequest  # noqa: PLC0415 - loads the query engine
    from millrace.wiring.out import open_export  # noqa: PLC0415

    request = ExportRequest(device or [], metric or [], start, stop, form)
    with open_export(settings_from(data), request) as job, Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), console=Console(stderr=True), transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("readings", total=job.rows)
        if str(output) == "-":
            written = job.write(sys.stdout.buffer, lambda n: progress.update(task, completed=n))
        else:
            with output.open("wb") as sink:
                written = job.write(sink, lambda n: progress.update(task, completed=n))
    typer.echo(f"{written:,} readings written", err=True)
