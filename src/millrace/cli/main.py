"""The command `millrace`: parse, call, turn an error into an exit code.

Of the commands only the one that is asked for is imported: what the others need takes longer to
load than many a command takes to run. Exit codes and error texts: `cli.errors`. Source: D-57.
"""

import sys
from importlib import import_module
from typing import Final

import typer

from millrace import __version__
from millrace.cli.errors import plain_errors
from millrace.cli.lean import leave_rich_out, load_quickly

# Name of a command -> the module in this package that has a function of that name.
COMMANDS: Final = {
    "up": "up", "run": "run", "decode": "decode", "check": "check", "doctor": "check",
    "migrate": "migrate", "audit": "data", "export": "data",
}  # fmt: skip


def command(only: str | None = None, *, is_plain: bool = False) -> typer.Typer:
    """Return the command with all its sub-commands, or with one of them and `version`.

    Help and errors are in colours and boxes unless `is_plain`.
    """
    app = typer.Typer(
        help="IoT telemetry that loses nothing on the way.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None if is_plain else "markdown",
    )
    for name, module in COMMANDS.items():
        if only in (None, name):
            app.command()(getattr(import_module(f"millrace.cli.{module}"), name))
    if only in (None, "simulate"):
        app.add_typer(import_module("millrace.cli.simulate").simulate(), name="simulate")
    app.command("version")(_version)
    return app


def main() -> None:
    """Run the command line and exit."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    only = asked if asked in {*COMMANDS, "simulate"} else None
    is_service = asked in ("up", "run")
    is_plain = is_service and not sys.stderr.isatty()
    if is_service:
        load_quickly()
    if is_plain:
        leave_rich_out()
    with plain_errors():
        command(only, is_plain=is_plain)(prog_name="millrace")


def _version() -> None:
    """Print the version."""
    typer.echo(__version__)
