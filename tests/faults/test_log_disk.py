"""F10, F11: disks that fail and disks that are full, with real processes and real file systems."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.faults.log_writer import SOURCE, check

PRELUDE = """
import random, sys
from pathlib import Path
from millrace.adapters.log_sqlite import SqliteLog
from millrace.errors import RetryError, StopError
from log_writer import PARTITIONS, append_some, check
folder = Path(sys.argv[1])
rng = random.Random(5)
"""


def run(script: str, folder: Path, *before: str) -> "subprocess.CompletedProcess[str]":
    code = PRELUDE + textwrap.dedent(script)
    environment = {
        "PYTHONPATH": f"{SOURCE}:{Path(__file__).parent}",
        "PATH": os.defpath,
    }
    command = [*before, sys.executable, "-c", code, str(folder)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(not shutil.which("fiu-run"), reason="fiu-utils is not installed")
def test_f10_a_failed_sync_ends_the_process(tmp_path: Path) -> None:
    script = """
    import ctypes
    once = ctypes.c_uint(1)
    log = SqliteLog(folder, partitions=PARTITIONS)
    for _ in range(5):
        print(append_some(log, rng), flush=True)
    fiu = ctypes.CDLL("libfiu.so.0")
    for call in (b"fsync", b"fdatasync"):
        assert fiu.fiu_enable(b"posix/io/sync/" + call, 1, None, once) == 0
    try:
        append_some(log, rng)
    except StopError as error:
        print(error, flush=True)
        for _ in range(3):  # the disk would take it again, and must not be believed
            try:
                append_some(log, rng)
            except StopError:
                continue
            sys.exit("acknowledged behind a failed sync")
        raise
    """
    done = run(script, tmp_path, "fiu-run", "-x")
    lines = done.stdout.splitlines()
    assert len(lines) == 6, done.stderr
    assert lines[5].startswith("the disk failed while appending")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("millrace.errors.StopError: ")
    check(tmp_path, [int(number) for number in lines[4].strip("[]").split(",")])


@pytest.mark.skipif(not shutil.which("fiu-run"), reason="fiu-utils is not installed")
def test_f10_a_failed_sync_of_a_checkpoint_counts_too(tmp_path: Path) -> None:
    script = """
    import ctypes
    log = SqliteLog(folder, partitions=PARTITIONS, wal_limit_bytes=1 << 30)
    ends = append_some(log, rng)
    print(ends, flush=True)
    fiu = ctypes.CDLL("libfiu.so.0")
    for call in (b"fsync", b"fdatasync"):
        assert fiu.fiu_enable(b"posix/io/sync/" + call, 1, None, ctypes.c_uint(1)) == 0
    log._checkpointer.run_once()
    for call in (b"fsync", b"fdatasync"):
        fiu.fiu_disable(b"posix/io/sync/" + call)
    append_some(log, rng)
    """
    done = run(script, tmp_path, "fiu-run", "-x")
    assert done.returncode == 1
    assert "StopError: the disk failed while copying its write-ahead log" in done.stderr
    check(tmp_path, [int(number) for number in done.stdout.strip("[]\n").split(",")])


def test_f11_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    script = """
    import subprocess
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "test", str(folder)], check=True
    )
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(4 << 20))
    reserve = folder / "reserve"
    reserve.write_bytes(bytes(1 << 18))
    log = SqliteLog(folder / "log", partitions=PARTITIONS, wal_limit_bytes=1 << 18)
    def fill():
        for number in range(100_000):
            try:
                append_some(log, rng)
            except RetryError as error:
                return number, str(error)
    stored, text = fill()
    assert stored > 10, stored
    assert "no space" in text, text
    for _ in range(5):
        full = log.extents()
        try:
            append_some(log, rng)
        except RetryError:
            assert log.extents() == full
    ballast.unlink()
    more, _ = fill()
    assert more > stored, (stored, more)
    ends = [extent.end for extent in log.extents()]
    log.close()
    reserve.unlink()
    assert check(folder / "log", ends) == ends
    print("recovered")
    """
    probe = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "test", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip("mounting a tmpfs of our own is not allowed here")
    done = run(script, tmp_path, "unshare", "-rm")
    assert done.stdout == "recovered\n", done.stderr
