"""The processes of `millrace up`: `python -m millrace.cli.child run ROLE…`.

Settings come from file and environment, where the parent has put its flags. The process ends when
its standard input is closed.
"""

import sys

from millrace.cli.errors import plain_errors
from millrace.cli.hosting import run_roles, start
from millrace.observe import set_up_logging
from millrace.settings import load


def main(words: list[str]) -> None:
    """Run the roles that the parent named."""
    _, *roles = words
    with plain_errors():
        settings = load()
        set_up_logging(roles[0], level=settings.logging.level, form=settings.logging.format)
        start(run_roles(settings, roles, child=True))


if __name__ == "__main__":
    main(sys.argv[1:])
