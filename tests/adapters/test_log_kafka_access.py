"""The log on a Kafka that wants TLS and a password. Source: F2-123, A56."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.certificate import Certificate, make_certificate
from millrace.errors import MillraceError, StopError, UsageError
from millrace.model.message import RawBatch
from millrace.settings import KafkaSettings, LogSettings, Settings, TopicsSettings
from millrace.wiring import kafka as wiring
from tests.servers.kafka import Kafka, running_kafka

pytestmark = [pytest.mark.services, pytest.mark.slow]

PASSWORD = "only for this test"  # noqa: S105 - it is
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
CONF = """\
listener.security.protocol.map=PLAINTEXT:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.plaintext.plain.sasl.jaas.config={login} username="admin" password="{password}" \
user_admin="{password}" user_millrace="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={folder}/store.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/certificate.pem
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    made = make_certificate(tmp_path_factory.mktemp("certificate"))
    store = made.path.parent / "store.pem"
    store.write_bytes(made.key_path.read_bytes() + made.path.read_bytes())
    return made


@pytest.fixture(scope="module")
def guarded(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    extra = CONF.format(login=LOGIN, password=PASSWORD, folder=certificate.path.parent)
    access = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "admin",
        "sasl.password": PASSWORD,
        "ssl.ca.location": str(certificate.path),
    }
    with running_kafka(tmp_path_factory.mktemp("guarded"), extra=extra, access=access) as cluster:
        yield cluster


def settings_of(guarded: Kafka, certificate: Certificate, folder: Path, password: str) -> Settings:
    secret = folder / "password"
    secret.write_text(password + "\n")
    return Settings(
        data=folder,
        log=LogSettings(url=f"kafka://{guarded.servers}"),
        topics=TopicsSettings(partitions=2),
        kafka=KafkaSettings(
            tls=True,
            tls_ca=certificate.path,
            sasl="PLAIN",
            username="millrace",
            password_file=secret,
        ),
    )


def test_with_the_right_password(guarded: Kafka, certificate: Certificate, tmp_path: Path) -> None:
    settings = settings_of(guarded, certificate, tmp_path, PASSWORD)
    assert "will be made" in wiring.examine(settings)
    log = wiring.open_log(settings)
    batch = RawBatch(0)
    batch.add("iot/m1/telemetry", b"{}", 1_772_366_400_000_000_000)
    assert log.append([batch]) == [0]
    log.close()


def test_a56_with_a_wrong_password_a_person_is_told_and_the_password_is_not(
    guarded: Kafka, certificate: Certificate, tmp_path: Path
) -> None:
    settings = settings_of(guarded, certificate, tmp_path, "a wrong one")
    with pytest.raises(StopError, match="uthentication") as caught:
        wiring.examine(settings)
    assert "a wrong one" not in str(caught.value)
    assert "[kafka]" in caught.value.remedy


def test_without_tls_nobody_answers(guarded: Kafka, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, log=LogSettings(url=f"kafka://{guarded.servers}"))
    with pytest.raises(MillraceError):
        wiring.examine(settings)


def test_f48_half_a_login_is_refused(tmp_path: Path) -> None:
    half = KafkaSettings(sasl="PLAIN", username="millrace")
    settings = Settings(data=tmp_path, log=LogSettings(url="kafka://127.0.0.1:1"), kafka=half)
    with pytest.raises(UsageError, match=r"kafka\.password"):
        wiring.check(settings)
