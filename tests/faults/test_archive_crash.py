"""F3: kill -9 of the archiver at each step; the objects are those of a run without a crash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from millrace.adapters.archive_file import FileArchive
from millrace.adapters.log_sqlite import SqliteLog
from millrace.flow.archive import ArchiveReader
from millrace.model.message import RawBatch
from tests.contracts.hot_memory import SECOND_NS, START_NS

CHILD = Path(__file__).with_name("seal_child.py")
ROOT = Path(__file__).parents[2]
MESSAGES = 100


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    batch = RawBatch(0)
    for number in range(MESSAGES):
        topic = f"m{number % 3}/telemetry"
        batch.add(topic, f"{number} ".encode() * 9, START_NS + number // 2 * SECOND_NS)
    written = SqliteLog(folder, partitions=1)
    written.append([batch])
    written.close()
    return folder


def run(log: Path, folder: Path, layout: str, crash_at: str = "") -> int:
    """Run the archiver once; return its exit code."""
    return subprocess.run(
        [sys.executable, str(CHILD), "archive", str(log), str(folder / "objects"),
         str(folder / "positions.json"), layout],
        env={**os.environ, "CRASH_AT": crash_at, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        check=False, timeout=60,
    ).returncode  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    archive = FileArchive(folder / "objects")
    return {one.key: archive.get(one.key) for one in archive.list("", limit=10_000)}


@pytest.mark.parametrize("layout", ["device", "message", "lake"])
def test_f3_killed_at_each_step_the_objects_are_the_same(
    log: Path, tmp_path: Path, layout: str
) -> None:
    whole, crashed = tmp_path / "whole", tmp_path / "crashed"
    whole.mkdir()
    crashed.mkdir()
    assert run(log, whole, layout) == 0
    for step in ("archive_after_intent", "archive_after_object:2", "archive_before_position"):
        assert run(log, crashed, layout, step) == -9
    assert run(log, crashed, layout) == 0
    assert contents(crashed) == contents(whole)
    reader = ArchiveReader(FileArchive(crashed / "objects"), layout)
    for offset in range(MESSAGES):
        if offset % 7 != 3:
            assert reader.at(0, offset).payload == f"{offset} ".encode() * 9
