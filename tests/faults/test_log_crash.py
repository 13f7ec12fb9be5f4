"""F1, F49, P1, P3: real processes that write the log and are killed."""

import random
import signal
from pathlib import Path

import pytest

from millrace.adapters.log_sqlite import SqliteLog
from millrace.errors import StopError
from tests.faults.log_writer import PARTITIONS, all_said, check, one_said, start

POINTS = ["log_before_append", "log_before_commit", "log_after_commit", "log_after_append"]
NONE = [0] * PARTITIONS


@pytest.mark.parametrize("point", POINTS)
def test_f1_p1_killed_at_each_step(tmp_path: Path, point: str) -> None:
    ends = NONE
    for number in (1, 2, 3, 5, 8, 13, 21):
        process = start(tmp_path, seed=number, crash_at=f"{point}:{number}")
        said = all_said(process)
        assert process.returncode == -signal.SIGKILL
        assert len(said) == number - 1
        acknowledged = said[-1] if said else ends
        ends = check(tmp_path, acknowledged)
        is_stored = point in {"log_after_commit", "log_after_append"}
        assert (ends != acknowledged) == is_stored


def test_f1_p1_killed_at_any_moment(tmp_path: Path) -> None:
    rng = random.Random(7)
    ends = NONE
    for seed in range(30):
        process = start(tmp_path, seed)
        acknowledged = ends
        for _ in range(rng.randint(1, 25)):
            acknowledged = one_said(process)
        for _ in range(rng.randint(0, 20_000)):
            pass  # the moment of the kill wanders through the append
        process.kill()
        said = all_said(process)
        ends = check(tmp_path, said[-1] if said else acknowledged)


def test_f49_a_second_process_is_refused(tmp_path: Path) -> None:
    process = start(tmp_path, seed=1)
    acknowledged = one_said(process)
    with pytest.raises(StopError) as caught:
        SqliteLog(tmp_path, partitions=PARTITIONS)
    text = str(caught.value)
    assert text.startswith(f"another millrace uses this folder: pid {process.pid} ")
    assert "\n" not in text
    assert caught.value.remedy
    process.kill()
    said = all_said(process)
    check(tmp_path, said[-1] if said else acknowledged)


def test_f49_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    process = start(tmp_path, seed=1)
    one_said(process)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(StopError, match="another millrace"):
        SqliteLog(tmp_path, partitions=PARTITIONS)
    process.kill()
    all_said(process)
    SqliteLog(tmp_path, partitions=PARTITIONS).close()
