"""What a process leaves out, so that it starts sooner and stays smaller."""

import gc
import os
import sys

# Read by glibc, OpenBLAS and Arrow when a process starts. Few arenas, and large blocks given back
# when they are freed: readings come in batches of megabytes, and what one thread has let go must
# not lie beside what the next one takes. Nothing here computes with matrices.
_VARIABLES = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "4194304",
    "OPENBLAS_NUM_THREADS": "1",
}


def keep_children_small() -> None:
    """Set variables for the processes that are started from here, where they are not set."""
    for name, text in _VARIABLES.items():
        os.environ.setdefault(name, text)


def load_quickly() -> None:
    """Let the cycle collector wait until everything is loaded; `cli.hosting.start` lets it go on.

    Modules are no garbage. Looking through them again and again took a quarter of the time.
    """
    gc.disable()


def leave_rich_out() -> None:
    """Make `rich` count as not installed, in a process that nobody watches on a terminal.

    structlog loads it where it is, for tables and colours: a tenth of the time to start, and 5 MB.
    """
    sys.modules["rich"] = None  # type: ignore[assignment]
