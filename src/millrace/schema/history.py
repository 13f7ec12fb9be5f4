"""The revisions of the schema in order, for whoever must not pay for importing Alembic.

Source: REG-002, REG-003. A test compares this with the files in `migrations/versions`.
"""

from typing import Final

from millrace.errors import StopError

REVISIONS: Final = ("0001",)
NEEDED: Final = REVISIONS[-1]


def pending(stored: str | None) -> tuple[str, ...]:
    """Return the revisions that are still to be run, oldest first; None is an empty database.

    Raises:
        StopError: The stored revision is none of ours; names both.
    """
    if stored is None:
        return REVISIONS
    if stored not in REVISIONS:
        raise StopError(
            f"the database has schema revision {stored}, this release knows up to {NEEDED}",
            "run the release that migrated the database, or a later one",
        )
    return REVISIONS[REVISIONS.index(stored) + 1 :]


def require_current(stored: str | None) -> None:
    """Check that a database has the revision that this release works on.

    Raises:
        StopError: It is older, or unknown; names both revisions.
    """
    if pending(stored):
        raise StopError(
            f"the database has schema revision {stored or 'none'}, this release needs {NEEDED}",
            "run `millrace migrate`, or set store.migrate = true",
        )
