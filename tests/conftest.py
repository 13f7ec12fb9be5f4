"""Fixtures for all tests.

A test that needs a program this machine does not have is skipped by name; in CI that is a failure,
because there nothing that belongs may be missing.
"""

import os
import shutil

import pytest


def program(name: str) -> str:
    """Return the path of a program, or skip (in CI: fail) the test that asked."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed; scripts/test-servers installs it where it may"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
