"""Registry, ledger, views and base rows: the schema that Millrace starts with.

Source: REG-002, REG-010 to REG-054, REG-080, REG-130.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_FOLDER = Path(__file__).parent.parent


def upgrade() -> None:
    """Build everything from the text that was written down for this database."""
    dialect = op.get_context().dialect.name
    script = (_FOLDER / f"r0001_foundation_{dialect}.sql").read_text(encoding="utf-8")
    for statement in script.split(";\n\n"):
        # A colon before a letter would read as a bind parameter, and there are none here.
        op.execute(sa.text(statement.rstrip(";\n").replace(":", r"\:")))
