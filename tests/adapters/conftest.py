"""Servers that several test files of adapters share."""

from collections.abc import Iterator

import pytest

from tests.servers.s3 import S3Server, running_moto, running_rclone

RUNNING = {"rclone": running_rclone, "moto": running_moto}


@pytest.fixture(scope="session", params=RUNNING)
def s3(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    """Each S3 service in turn; a test takes a prefix of its own."""
    with RUNNING[request.param](tmp_path_factory.mktemp("s3") / request.param) as server:
        yield server


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A prefix that no other test uses."""
    return f"t{abs(hash(request.node.nodeid)):x}"
