"""The command `millrace`: parse, call, turn an error into an exit code.

Exit codes and error texts: `cli.errors`. Source: D-57.
"""

import typer

from millrace import __version__
from millrace.cli.check import check, doctor
from millrace.cli.data import audit, export
from millrace.cli.decode import decode
from millrace.cli.errors import plain_errors
from millrace.cli.run import run
from millrace.cli.simulate import simulate
from millrace.cli.up import up


def command() -> typer.Typer:
    """Return the command with all its sub-commands."""
    app = typer.Typer(
        help="IoT telemetry that loses nothing on the way.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    for function in (up, run, decode, check, doctor, audit, export):
        app.command()(function)
    app.add_typer(simulate(), name="simulate")
    app.command("version")(_version)
    return app


def main() -> None:
    """Run the command line and exit."""
    with plain_errors():
        command()(prog_name="millrace")


def _version() -> None:
    """Print the version."""
    typer.echo(__version__)
