"""The command `millrace`: parse, call, turn an error into an exit code.

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 something outside is unavailable at start, 130
interrupted. An error is one plain line with its remedy on standard error, never a traceback.
Source: D-57.
"""

import importlib.util
import sys

import typer

from millrace import __version__
from millrace.cli.check import check, doctor
from millrace.cli.data import audit, export
from millrace.cli.decode import decode
from millrace.cli.run import run
from millrace.cli.up import up
from millrace.errors import MillraceError, RetryError, StopError

EXIT_UNAVAILABLE = 3
EXIT_INTERRUPTED = 130


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
    if importlib.util.find_spec("millrace.cli.simulate"):
        from millrace.cli.simulate import simulate

        app.add_typer(simulate(), name="simulate")
    app.command("version")(_version)
    return app


def main() -> None:
    """Run the command line and exit."""
    try:
        command()(prog_name="millrace")
    except BaseExceptionGroup as group:
        _fail(_first(group))
    except (MillraceError, KeyboardInterrupt) as error:
        _fail(error)


def _version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _fail(error: BaseException) -> None:
    """Say what went wrong and exit; what is not ours goes on as it is."""
    if isinstance(error, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    if not isinstance(error, MillraceError):
        raise error
    typer.echo(f"millrace: {error}", err=True)
    if isinstance(error, StopError):
        if error.remedy:
            typer.echo(f"  → {error.remedy}", err=True)
        sys.exit(error.exit_code)
    sys.exit(EXIT_UNAVAILABLE if isinstance(error, RetryError) else 1)
