"""`millrace check` and `millrace doctor`: are the settings right, is what runs right."""

from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from millrace.cli.configured import settings_from, sound
from millrace.cli.options import AsJson, Data
from millrace.errors import RetryError, StopError
from millrace.observe.urls import MASK, shown
from millrace.wiring.checks import Finding, diagnose, faults, outside

SECRET_WORDS = ("password", "secret", "token")


def check(data: Data = None, *, as_json: AsJson = False) -> None:
    """Print the effective settings, and every fault in them at once; exit 2 when there is one.

    Then ask the systems outside that they name; exit 3 when one does not answer.
    """
    settings = settings_from(data)
    tree = _masked({**settings.model_dump(mode="json"), "urls": settings.urls()})
    found = faults(settings)
    asked = [] if found else outside(settings)
    if as_json:
        answers = [finding._asdict() for finding in asked]
        body = {"settings": tree, "faults": found, "outside": answers}
        typer.echo(orjson.dumps(body, option=orjson.OPT_INDENT_2))
    else:
        table = Table("setting", "value", box=None, show_header=False)
        for name, value in _flat(tree):
            table.add_row(name, value)
        Console().print(table)
    sound(settings)
    if not as_json:
        for finding in asked:
            typer.echo(_line(finding))
        typer.echo("the configuration is right")
    absent = [finding.name for finding in asked if not finding.is_well]
    if absent:
        raise RetryError(f"{', '.join(absent)} does not answer; see the lines above")


def doctor(
    data: Data = None,
    *,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only what is wrong.")] = False,
) -> None:
    """Examine the data folder and the running roles; exit 1 when something is wrong."""
    findings = diagnose(settings_from(data))
    if as_json:
        typer.echo(orjson.dumps([f._asdict() for f in findings], option=orjson.OPT_INDENT_2))
    else:
        for finding in findings:
            if not (quiet and finding.is_well):
                typer.echo(_line(finding))
    wrong = sum(not finding.is_well for finding in findings)
    if wrong:
        raise StopError(f"{wrong} of {len(findings)} examinations failed", "see the lines above")


def _line(finding: Finding) -> str:
    mark = "ok  " if finding.is_well else "FAIL"
    remedy = "" if finding.is_well or not finding.remedy else f"\n       → {finding.remedy}"
    return f"{mark} {finding.name}: {finding.text}{remedy}"


def _flat(tree: object, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(tree, dict):
        rows = []
        for name, value in tree.items():
            rows += _flat(value, f"{prefix}.{name}" if prefix else str(name))
        return rows
    return [(prefix, orjson.dumps(tree).decode())]


def _masked(tree: object, name: str = "") -> object:
    """Return a tree of settings without its secrets; `name` is what the tree is called."""
    if isinstance(tree, dict):
        return {key: _masked(value, f"{name}.{key}") for key, value in tree.items()}
    if isinstance(tree, list):
        return [_masked(value, name) for value in tree]
    is_secret = any(word in name for word in SECRET_WORDS) and not name.endswith("_file")
    if is_secret and tree:
        return MASK
    return shown(tree) if isinstance(tree, str) else tree
