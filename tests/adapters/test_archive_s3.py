"""The archive on S3 services."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from millrace.adapters.archive_object import PART_BYTES, ObjectArchive
from millrace.errors import RetryError
from millrace.objects import open_bucket
from millrace.ports.archive import Archive
from tests.contracts.archive import ArchiveContract
from tests.servers.fault_proxy import AWAY, Asked, Fault, FaultProxy, Plan, running_proxy
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.services


class TestS3Archive(ArchiveContract):
    @pytest.fixture(autouse=True)
    def _place(self, s3: S3Server, prefix: str) -> None:
        self.options = s3.options(prefix)

    def make_archive(self) -> Archive:
        return ObjectArchive(open_bucket(self.options))


@pytest.fixture
def faulty(s3: S3Server, prefix: str) -> Iterator[tuple[FaultProxy, ObjectArchive]]:
    with running_proxy(s3.endpoint) as (proxy, endpoint):
        yield proxy, ObjectArchive(open_bucket(s3.options(prefix, endpoint=endpoint, timeout_s=1)))


def once(method: str, fault: Fault) -> Plan:
    """Return a plan in which the first request of a method fails."""
    left = [fault]
    return lambda asked: left.pop() if asked.method == method and left else None


@pytest.mark.parametrize("fault", AWAY)
@pytest.mark.parametrize("method", ["PUT", "HEAD"])
def test_f30_what_fails_once_is_asked_again(
    faulty: tuple[FaultProxy, ObjectArchive], method: str, fault: Fault
) -> None:
    proxy, archive = faulty
    proxy.plan = once(method, fault)
    archive.put("a/b", b"whole")
    assert proxy.faults == 1
    proxy.plan = once("GET", fault)
    assert archive.get("a/b") == b"whole"
    proxy.plan = once("GET", fault)
    assert [one.key for one in archive.list("a/")] == ["a/b"]
    assert proxy.faults == 3


LARGE = b"".join(n.to_bytes(4, "big") for n in range(5 * PART_BYTES // 8))


@pytest.mark.parametrize("fault", AWAY)
@pytest.mark.parametrize("at", ["uploads", "partNumber=2", "uploadId"])
def test_f30_a_large_object_survives_a_fault_in_each_step(
    faulty: tuple[FaultProxy, ObjectArchive], at: str, fault: Fault
) -> None:
    proxy, archive = faulty
    left = [fault]

    def plan(asked: Asked) -> Fault | None:
        is_step = at in asked.path and (at != "uploadId" or asked.method == "POST")
        return left.pop() if is_step and left else None

    proxy.plan = plan
    if at == "uploadId" and fault is Fault.CUT_ANSWER:
        # The parts are joined, and some services do not know the upload any more: put it again.
        with suppress(RetryError):
            archive.put("large", LARGE)
    archive.put("large", LARGE)
    assert proxy.faults == 1
    assert archive.get("large") == LARGE


def test_f30_a_large_object_that_cannot_be_finished_is_not_there(
    faulty: tuple[FaultProxy, ObjectArchive],
) -> None:
    proxy, archive = faulty
    proxy.plan = lambda asked: Fault.CUT_REQUEST if "partNumber=3" in asked.path else None
    with pytest.raises(RetryError):
        archive.put("large", LARGE)
    proxy.plan = lambda _asked: None
    assert list(archive.list("")) == []
    assert [one for one in proxy.asked if one.method == "DELETE"], "parts are given up"
    archive.put("large", LARGE)
    assert archive.get("large") == LARGE


def test_f30_a_store_that_is_away_is_a_reason_to_retry(
    faulty: tuple[FaultProxy, ObjectArchive],
) -> None:
    proxy, archive = faulty
    proxy.plan = lambda _asked: Fault.SLOW_DOWN_503
    with pytest.raises(RetryError, match="503"):
        archive.put("a/b", b"x")
    assert 2 <= len(proxy.asked) <= 10, "a few times, not for ever"


def test_a56_an_error_shows_no_secret(s3: S3Server, prefix: str) -> None:
    if s3.name != "rclone":
        pytest.skip("moto takes any signature")
    wrong = replace(s3.options(prefix), secret_key="another-secret")  # noqa: S106 - not a real one
    archive = ObjectArchive(open_bucket(wrong))
    with pytest.raises(RetryError, match="403") as raised:
        archive.put("a/b", b"x")
    assert "another-secret" not in str(raised.value) + repr(wrong)
    nowhere = ObjectArchive(open_bucket(replace(s3.options(prefix), bucket="no-such-bucket")))
    with pytest.raises(RetryError):
        nowhere.put("a/b", b"x")
    with pytest.raises(RetryError):
        list(nowhere.list(""))
