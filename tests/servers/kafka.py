"""A private Kafka of one or three nodes on free ports of the loopback, without containers.

The jars come from Maven Central into a folder under the user's cache, once. Every node is broker
and controller (KRaft, static voters), so three nodes survive one of them.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.servers.installed import program
from tests.servers.ports import free_port

VERSION = "4.1.1"
DOWNLOAD_PATIENCE_S = 600
START_PATIENCE_S = 60.0

POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millrace</groupId><artifactId>test-kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""

CONF = """\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=100
log.cleaner.dedupe.buffer.size=2097152
broker.session.timeout.ms=4000
controlled.shutdown.enable=false
num.network.threads=2
num.io.threads=2
{extra}
"""


def jars() -> Path:
    """Return the folder with the jars; download them when they are not there yet."""
    program("java")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millrace"
    folder = cache / f"kafka-{VERSION}-jars"
    if folder.is_dir():
        return folder
    maven = program("mvn")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        (Path(work) / "pom.xml").write_text(POM)
        command = [
            maven, "-q", "-B", "-f", f"{work}/pom.xml", "dependency:copy-dependencies",
            "-DincludeScope=runtime", f"-DoutputDirectory={work}/lib",
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_PATIENCE_S, check=False
        )
        if done.returncode:
            pytest.skip(f"Maven cannot download Kafka: {done.stdout[-300:]}")
        # Whole or not at all: another run may be at it as well.
        if not folder.exists():
            Path(work, "lib").rename(folder)
    return folder


class KafkaNode:
    """One process, which can be killed, stopped for a while, and started again."""

    def __init__(self, folder: Path, classes: Path, number: int) -> None:
        self.number = number
        self.port, self.controller_port = free_port(), free_port()
        self.folder = folder / f"node-{number}"
        self.folder.mkdir()
        self._classes = classes
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, **values: object) -> None:
        """Write the configuration of the next start."""
        names = {"number": self.number, "port": self.port, "folder": self.folder}
        conf = CONF.format(**names, controller_port=self.controller_port, **values)
        (self.folder / "node.properties").write_text(conf)

    def format(self, cluster_id: str) -> "subprocess.Popen[bytes]":
        """Begin to make the folder of a new node."""
        conf = str(self.folder / "node.properties")
        return self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", conf)

    def start(self) -> None:
        """Start, and return at once."""
        self._process = self._java("kafka.Kafka", str(self.folder / "node.properties"))

    def kill(self) -> None:
        """End it like a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop it where it stands; its connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def has_ended(self) -> bool:
        """Say whether the process ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _java(self, *words: str) -> "subprocess.Popen[bytes]":
        command = [
            "java", "-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self._classes}/*", *words,
        ]  # fmt: skip
        with (self.folder / "said").open("ab") as said:
            return subprocess.Popen(command, stdout=said, stderr=said)


class Kafka:
    """Some nodes that know each other."""

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 1,
        extra: str = "",
        access: Mapping[str, str] | None = None,
    ) -> None:
        self._access = access or {}
        self.nodes = [KafkaNode(folder, jars(), number + 1) for number in range(nodes)]
        voters = ",".join(f"{n.number}@127.0.0.1:{n.controller_port}" for n in self.nodes)
        for node in self.nodes:
            node.configure(
                voters=voters, replicas=nodes, in_sync=2 if nodes > 1 else 1, extra=extra
            )

    @property
    def servers(self) -> str:
        """The addresses, as `log.url` and clients want them."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Make the folders, start all nodes, and return when they take orders."""
        formatting = [node.format("mTn1LC3QQJ6r8o5v4yhlPQ") for node in self.nodes]
        for node, process in zip(self.nodes, formatting, strict=True):
            if process.wait(START_PATIENCE_S):
                raise RuntimeError(f"Kafka cannot be set up: {self._said(node)}")
        for node in self.nodes:
            node.start()
        self.wait()

    def wait(self) -> None:
        """Return when all nodes take orders."""
        deadline = time.monotonic() + START_PATIENCE_S
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0, **self._access})
        while time.monotonic() < deadline:
            for node in self.nodes:
                if node.has_ended():
                    raise RuntimeError(f"Kafka has ended: {self._said(node)}")
            try:
                if len(admin.list_topics(timeout=1.0).brokers) == len(self.nodes):
                    return
            except KafkaException:
                time.sleep(0.1)
        raise TimeoutError(f"Kafka does not start: {self._said(self.nodes[0])}")

    def leader_of(self, topic: str, partition: int) -> KafkaNode:
        """Return the node that leads a partition."""
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0, **self._access})
        number = admin.list_topics(topic, timeout=10.0).topics[topic].partitions[partition].leader
        return self.nodes[number - 1]

    def kill(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.kill()

    def _said(self, node: KafkaNode) -> str:
        return (node.folder / "said").read_text(errors="replace")[-2000:]


@contextmanager
def running_kafka(
    folder: Path, *, nodes: int = 1, extra: str = "", access: Mapping[str, str] | None = None
) -> Iterator[Kafka]:
    """Run a private cluster in a folder; skip the test where there is no Java or Maven.

    `extra` are further lines of its configuration, `access` what its clients need then.
    """
    cluster = Kafka(folder, nodes=nodes, extra=extra, access=access)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One node for all tests that do not stop it; each uses topics of its own."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster
