"""The processes of `millrace up`: `python -m millrace.cli.child run ROLE…`.

Settings come from file and environment, where the parent has put its flags. The process ends when
its standard input is closed.

The processes share a machine, so they are told whose turn it is: first who acknowledges, then who
stores, then who shows. What waits is in the log.
"""

import os
import sys

from millrace.cli.errors import plain_errors
from millrace.cli.hosting import run_roles, start
from millrace.observe import set_up_logging
from millrace.settings import load

NICENESS = {"ingest": 0, "process": 4, "serve": 8}


def main(words: list[str]) -> None:
    """Run the roles that the parent named."""
    _, *roles = words
    with plain_errors():
        settings = load()
        os.nice(NICENESS.get(roles[0], 0))
        set_up_logging(roles[0], level=settings.logging.level, form=settings.logging.format)
        start(run_roles(settings, roles, child=True))


if __name__ == "__main__":
    main(sys.argv[1:])
