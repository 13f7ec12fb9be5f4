"""`millrace decode`: what would become of this message."""

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from millrace.cli.configured import settings_from
from millrace.cli.options import AsJson, Data
from millrace.errors import UsageError
from millrace.model.instants import parse_instant
from millrace.wiring.previews import open_preview


def decode(
    topic: Annotated[str, typer.Argument(help="MQTT topic of the message.")],
    payload: Annotated[str, typer.Argument(help="Text, @FILE, or - for standard input.")],
    data: Data = None,
    *,
    as_json: AsJson = False,
    as_hex: Annotated[bool, typer.Option("--hex", help="PAYLOAD is hexadecimal.")] = False,
    at: Annotated[str | None, typer.Option("--at", help="Receive time, RFC 3339.")] = None,
    retain: Annotated[bool, typer.Option("--retain", help="As a retained message.")] = False,
) -> None:
    """Show the readings, events and dead letters that a message would give; writes nothing."""
    content = _payload(payload, as_hex=as_hex)
    at_ns = None if at is None else parse_instant(at)
    if at is not None and at_ns is None:
        raise UsageError(f"--at {at} is not an instant", "write it like 2026-03-01T12:00:00Z")
    with open_preview(settings_from(data)) as previewer:
        answer = previewer.preview(topic, content, at_ns=at_ns, retain=retain)
    if as_json:
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2))
    else:
        _show(answer)


def _payload(argument: str, *, as_hex: bool) -> bytes:
    if argument == "-":
        content = sys.stdin.buffer.read()
    elif argument.startswith("@"):
        try:
            content = Path(argument[1:]).read_bytes()
        except OSError as error:
            raise UsageError(f"{argument[1:]} cannot be read: {error.strerror}") from error
    else:
        content = argument.encode("utf-8", "surrogateescape")
    if not as_hex:
        return content
    try:
        return bytes.fromhex(content.decode("ascii"))
    except ValueError as error:
        raise UsageError("PAYLOAD is not hexadecimal", "write pairs of hex digits") from error


def _show(answer: dict[str, Any]) -> None:
    console = Console()
    console.print(
        f"[bold]{answer['outcome']}[/bold]  family {answer['family']}"
        f"  category {answer['category']}  device {answer['device_id']}",
        highlight=False,
    )
    parts = {
        "points": ("device_id", "metric", "channel", "value", "unit", "time", "quality"),
        "events": ("type", "device_id", "time", "data"),
        "dead_letter": ("reason", "element", "index", "detail"),
    }
    for name, columns in parts.items():
        if answer[name]:
            table = Table(*columns, title=name.replace("_", " "), title_justify="left")
            for row in answer[name]:
                table.add_row(*(_text(row.get(column)) for column in columns))
            console.print(table)


def _text(value: object) -> str:
    if value is None or value in ("", []):
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
