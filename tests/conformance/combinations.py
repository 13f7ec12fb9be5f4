"""The matrix: where the six URLs lead, and how many processes there are of each role."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import pytest

from tests.conformance.cluster import Cluster
from tests.servers.kafka import Kafka
from tests.servers.mosquitto import Mosquitto
from tests.servers.ports import free_port
from tests.servers.postgres import Postgres
from tests.servers.redis import RedisServer
from tests.servers.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server

PARTITIONS: Final = 4
ARCHIVE_ROLL_S: Final = 1
ALONE: Final = {"ingest": 1, "process": 1, "tend": 1, "serve": 1}


@dataclass(frozen=True, slots=True)
class Combination:
    """One line of the matrix. `roles` counts the processes of each role."""

    name: str
    roles: dict[str, int]
    broker: Literal["endpoint", "mosquitto"] = "endpoint"
    log: Literal["sqlite", "kafka"] = "sqlite"
    store: Literal["sqlite", "postgresql"] = "sqlite"
    series: Literal["delta", "delta+s3", "postgresql"] = "delta"
    live: Literal["memory", "redis"] = "memory"
    archive: Literal["file", "s3"] = "file"

    def tree(self, server: Callable[[str], Any], prefix: str) -> tuple[dict[str, Any], int]:
        """Return its settings, and the port of the loopback where devices publish.

        `server` gives a running server by the name of its fixture, or skips the test; `prefix`
        keeps what is in shared servers apart.
        """
        port = free_port()
        url = f"endpoint://127.0.0.1:{port}"
        if self.broker == "mosquitto":
            mosquitto: Mosquitto = server("mosquitto")
            port, url = mosquitto.port, f"mqtt://127.0.0.1:{mosquitto.port}"
        tree: dict[str, Any] = {
            "broker": {"url": url, "websocket_port": "off", "client_id": prefix},
            "archive": {"roll_s": ARCHIVE_ROLL_S},
            "series": {"seal_after_s": 1},
            "live": {},
            "log": {"partitions": PARTITIONS},
            "generic": [{"topic": "factory/{device_id}/data"}],
        }
        self._put_log(tree, server, prefix)
        self._put_store(tree, server)
        self._put_objects(tree, server, prefix)
        if self.live == "redis":
            redis: RedisServer = server("redis")
            tree["live"] |= {"url": redis.url, "key_prefix": f"{prefix}:"}
        return tree, port

    def start(self, cluster: Cluster) -> None:
        """Start its processes; copies have names of their own."""
        for role, copies in self.roles.items():
            for number in range(copies):
                name, own = f"{role}-{number}", dict[str, str]()
                if copies > 1:
                    own = {
                        "MILLRACE_KAFKA__INSTANCE": name,
                        "MILLRACE_BROKER__SHARE_GROUP": "millrace",
                        "MILLRACE_BROKER__CLIENT_ID": f"{cluster.folder.name}-{name}",
                    }
                cluster.start(role, name, **own)
        cluster.wait_until_ready()

    def _put_log(self, tree: dict[str, Any], server: Callable[[str], Any], prefix: str) -> None:
        if self.log == "kafka":
            kafka: Kafka = server("kafka")
            tree["log"] = {"url": f"kafka://{kafka.servers}/{prefix}"}
            tree["topics"] = {"partitions": PARTITIONS}
            tree["kafka"] = {"session_s": 3}

    def _put_store(self, tree: dict[str, Any], server: Callable[[str], Any]) -> None:
        if self.store == "postgresql":
            postgres: Postgres = server("postgres")
            url = postgres.url(postgres.make_database())
            tree["store"] = {"url": url}
            if self.series == "postgresql":
                tree["series"]["url"] = url

    def _put_objects(self, tree: dict[str, Any], server: Callable[[str], Any], prefix: str) -> None:
        if "s3" not in (self.archive, self.series.removeprefix("delta+")):
            return
        s3: S3Server = server("s3")
        tree["s3"] = {
            "endpoint": s3.endpoint, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY,
            "conditional_put": s3.honours_conditions,
        }  # fmt: skip
        if self.archive == "s3":
            tree["archive"]["url"] = f"s3://{BUCKET}/{prefix}/archive"
        if self.series == "delta+s3":
            tree["series"]["url"] = f"delta+s3://{BUCKET}/{prefix}/series"


EMBEDDED: Final = Combination("embedded", {"up": 1})
# One ingest: shared subscriptions spread the messages of one device, so order would be lost.
CLUSTER: Final = Combination(
    "cluster", {**ALONE, "process": 2},
    "mosquitto", "kafka", "postgresql", "postgresql", "redis", "s3",
)  # fmt: skip
MIXED: Final = (
    Combination("embedded, a process each", ALONE),
    Combination("mosquitto", ALONE, broker="mosquitto"),
    Combination("objects in s3", ALONE, series="delta+s3", archive="s3", live="redis"),
    Combination("kafka before sqlite", ALONE, log="kafka"),
    Combination(
        "endpoint and sqlite before the servers", ALONE,
        store="postgresql", series="postgresql", live="redis", archive="s3",
    ),
    Combination(
        "postgresql with a table in s3", ALONE, store="postgresql", series="delta+s3", archive="s3"
    ),
)  # fmt: skip


def matrix() -> list[Any]:
    """Return all combinations as parameters of a test."""
    outside = [pytest.mark.services]
    return [
        pytest.param(one, id=one.name, marks=[] if _is_inside(one) else outside)
        for one in (*MIXED, CLUSTER)
    ]


def _is_inside(one: Combination) -> bool:
    return one == Combination(one.name, one.roles)
