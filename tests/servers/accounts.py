"""Programs that refuse to run as root: the account they get instead, and a folder it can reach."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT_UID = 0
ACCOUNT = "postgres"


def unprivileged() -> dict[str, Any]:
    """Return what `subprocess` needs to run a program without rights of root."""
    if os.getuid() != ROOT_UID:
        return {}
    account = pwd.getpwnam(ACCOUNT)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextmanager
def reachable_folder(name: str) -> Iterator[Path]:
    """Make a folder that belongs to that account; those of pytest are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix=f"millrace-{name}-"))
    hand_over(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def hand_over(path: Path) -> None:
    """Give a file or folder to the account."""
    owner = unprivileged()
    if owner:
        os.chown(path, owner["user"], owner["group"])
