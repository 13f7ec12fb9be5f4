"""The servers of the matrix, one of each for all combinations; each uses names of its own."""

from collections.abc import Iterator

import pytest

from tests.servers.mosquitto import Mosquitto, running_mosquitto
from tests.servers.redis import RedisServer, running_redis
from tests.servers.s3 import S3Server, running_moto


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path_factory.mktemp("conformance")) as broker:
        yield broker


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("conformance")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_moto(tmp_path_factory.mktemp("conformance") / "moto") as server:
        yield server
