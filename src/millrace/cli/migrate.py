"""`millrace migrate`: bring the database of registry and ledger to the schema of this release."""

import typer

from millrace.cli.configured import settings_from, sound
from millrace.cli.options import Data
from millrace.wiring import stores


def migrate(data: Data = None) -> None:
    """Bring the database to the schema of this release, and put in its base rows.

    SQLite migrates when Millrace starts; PostgreSQL by this command, or when `store.migrate` is on.
    Two at the same time wait for each other; one that is killed has changed nothing.
    """
    done = stores.migrate(sound(settings_from(data)))
    typer.echo("the database has the schema of this release" if done else "nothing to do")
