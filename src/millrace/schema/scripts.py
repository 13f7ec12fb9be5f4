"""Revisions as SQL text, which a store runs on its own connection and in its own transaction.

Alembic and SQLAlchemy are imported only here and only when a schema has to change: a process that
only works pays for them in memory and start time.
Source: REG-002, D-20.
"""

import io
from pathlib import Path
from typing import Final

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def revision_sql(dialect: str, stored: str | None, revision: str) -> str:
    """Return the SQL that leads from one revision to the next on `sqlite` or `postgresql`."""
    from alembic import command  # noqa: PLC0415 - only who migrates pays for it
    from alembic.config import Config  # noqa: PLC0415

    script = io.StringIO()
    config = Config(output_buffer=script)
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("dialect", dialect)
    command.upgrade(config, f"{stored or 'base'}:{revision}", sql=True)
    return script.getvalue()
