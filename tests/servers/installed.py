"""Is a real server installed: a test that needs one is skipped by name, and in CI it fails.

In CI nothing that belongs may be missing.
"""

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str) -> str:
    """Return the path of a program, or skip (in CI: fail) the test that asked."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        absent(name)
    return path


def absent(name: str) -> NoReturn:
    """Skip (in CI: fail) the test that needs what is not installed."""
    reason = f"{name} is not installed; scripts/test-servers installs it where it may"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
