"""The processes of `millrace up`: `python -m millrace.cli.child run ROLE…`.

A process loads what its roles need, and waits: the parent prepares the data folder meanwhile. It
begins when it is told so on standard input, by a line with the variables that stand for the flags
of the parent; it ends when its standard input is closed.

The processes share a machine, so they are told whose turn it is: first who acknowledges, then who
stores, then who shows. What waits is in the log. Who shows has several threads, and one that comes
back from the query engine gets the interpreter after a millisecond, not after five (D-01).
"""

import json
import os
import sys

from millrace.cli.errors import plain_errors
from millrace.cli.lean import leave_rich_out, load_quickly

NICENESS = {"ingest": 0, "process": 4, "serve": 8}
SWITCH_INTERVAL_S = {"serve": 0.001}


def main(words: list[str]) -> None:
    """Run the roles that the parent named."""
    _, *roles = words
    with plain_errors():
        load_quickly()
        leave_rich_out()
        _run(roles)


def _run(roles: list[str]) -> None:
    from millrace import app  # noqa: PLC0415 - loaded quickly, and without rich
    from millrace.cli.hosting import start  # noqa: PLC0415
    from millrace.cli.roles import run_roles  # noqa: PLC0415
    from millrace.observe import set_up_logging  # noqa: PLC0415
    from millrace.settings import load  # noqa: PLC0415

    app.load_parts(roles)
    line = sys.stdin.readline()
    if not line:
        return
    os.environ.update(json.loads(line))
    settings = load()
    set_up_logging(roles[0], level=settings.logging.level, form=settings.logging.format)
    # Not before: what loads has the longest way to be ready, and nobody waits for a turn yet.
    os.nice(NICENESS.get(roles[0], 0))
    sys.setswitchinterval(SWITCH_INTERVAL_S.get(roles[0], sys.getswitchinterval()))
    start(run_roles(settings, roles, child=True))


if __name__ == "__main__":
    main(sys.argv[1:])
