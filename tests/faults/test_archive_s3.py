"""F30, F31: an archive on an S3 service that keeps failing ends up as the one without faults."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from millrace.adapters.archive_file import FileArchive
from millrace.adapters.archive_object import ObjectArchive
from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader
from millrace.errors import RetryError
from millrace.flow.archive import ArchiveReader
from millrace.flow.archive.manifest import decode, manifest_prefix
from millrace.model.message import RawBatch
from millrace.objects import open_bucket
from millrace.ports.archive import Archive
from millrace.tend.archive import ArchiveOptions, Archiver, ArchiveSources
from tests.contracts.hot_memory import SECOND_NS, START_NS
from tests.faults.seal_child import FilePositions, LogOutcomes
from tests.servers.fault_proxy import AWAY, Asked, Fault, Plan, running_proxy
from tests.servers.s3 import S3Server, running_moto, running_rclone

pytestmark = pytest.mark.services
MESSAGES = 24

Running = Callable[[Path], AbstractContextManager[S3Server]]


def archiver(folder: Path, archive: Archive, layout: str) -> Archiver:
    """Return an archiver that goes on where the one before it in this folder stopped."""
    log = SqliteLogReader(folder / "log")
    positions = FilePositions(folder / "positions.json")
    sources = ArchiveSources(
        log, positions, LogOutcomes(log), lambda topic: (topic[:2], "telemetry")
    )
    options = ArchiveOptions(layout, roll_bytes=100, roll_s=60, segment_bytes=300)
    return Archiver(sources, archive, options)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    batch = RawBatch(0)
    for number in range(MESSAGES):
        topic = f"m{number % 3}/telemetry"
        batch.add(topic, f"{number} ".encode() * 9, START_NS + number // 2 * SECOND_NS)
    written = SqliteLog(tmp_path / "log", partitions=1)
    written.append([batch])
    written.close()
    return tmp_path


def failing(seed: int) -> Plan:
    """Return a plan in which three of ten requests fail, in any way but by silence."""
    random = Random(seed)
    kinds = [fault for fault in AWAY if fault is not Fault.HANG]
    return lambda _asked: random.choice(kinds) if random.random() < 0.3 else None


def contents(archive: Archive) -> dict[str, bytes]:
    return {one.key: archive.get(one.key) for one in archive.list("", limit=10_000)}


def check_manifests(archive: Archive) -> None:
    """What a manifest names is there, at any time."""
    there = {one.key: one.size for one in archive.list("", limit=10_000)}
    for key in there:
        if key.startswith(manifest_prefix()):
            for named in decode(key, archive.get(key)).objects:
                assert there[named.key] == named.size_bytes


@pytest.mark.parametrize("layout", ["device", "message", "lake"])
@pytest.mark.parametrize("running", [running_rclone, running_moto])
def test_f30_f31_a_store_that_keeps_failing_ends_up_the_same(
    log: Path, layout: str, running: Running
) -> None:
    whole = FileArchive(log / "whole")
    archiver(log, whole, layout).run_once(0, flush=True)
    (log / "positions.json").unlink()
    with running(log / "s3") as server, running_proxy(server.endpoint) as (proxy, endpoint):
        options = replace(server.options("raw", endpoint=endpoint), retries=1)
        direct = ObjectArchive(open_bucket(server.options("raw")))
        interrupted, proxy.plan = 0, failing(len(layout))
        for _ in range(200):
            working = archiver(log, ObjectArchive(open_bucket(options)), layout)
            try:
                working.run_once(0, flush=True)
            except RetryError:
                interrupted += 1
                check_manifests(direct)
            else:
                break
        assert interrupted
        assert contents(direct) == contents(whole)
        reader = ArchiveReader(direct, layout)
        found = {n: reader.at(0, n).payload for n in range(MESSAGES) if n % 7 != 3}
    assert found == {n: f"{n} ".encode() * 9 for n in found}


def test_f30_nothing_moves_while_the_store_is_away(log: Path) -> None:
    with running_rclone(log / "s3") as server, running_proxy(server.endpoint) as (proxy, endpoint):
        archive = ObjectArchive(open_bucket(server.options(endpoint=endpoint)))
        proxy.plan = lambda asked: Fault.SLOW_DOWN_503 if _is_manifest(asked) else None
        working = archiver(log, archive, "device")
        for _ in range(3):
            with pytest.raises(RetryError):
                working.run_once(0, flush=True)
        assert FilePositions(log / "positions.json").position(0) == 0
        assert not list(archive.list(manifest_prefix()))
        proxy.plan = lambda _asked: None
        assert working.run_once(0, flush=True) > 1
        assert FilePositions(log / "positions.json").position(0) == MESSAGES


def _is_manifest(asked: Asked) -> bool:
    return "manifest" in asked.path and asked.method == "PUT"
