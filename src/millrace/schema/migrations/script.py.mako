"""${message}

Source: REG-002.
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Expand the schema; what the release before needs stays."""
    ${upgrades if upgrades else "op.execute('')"}
