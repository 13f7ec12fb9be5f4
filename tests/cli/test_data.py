"""`millrace audit`, `export`, `check` and `doctor`: MON-030, API-033, A29, F9, F48."""

import csv
import io
import json
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Command, Done

COLUMNS = ["time", "device_id", "metric", "channel", "value", "unit", "quality"]


def test_mon030_the_books_balance(millrace: Command, data: Path) -> None:
    done = millrace("audit", "--json", "--data", str(data))
    assert done.returncode == 0, done.stderr
    books = json.loads(done.stdout)
    assert books["difference"] == books["lag"] == 0
    assert books["families"] == [
        {
            "family": "meter", "received": 301, "stored": 300, "duplicate": 0, "dead_letter": 1,
            "shed": 0, "in_flight": 0,
        }
    ]  # fmt: skip
    shown = millrace("audit", "--data", str(data))
    assert b"balanced: nothing is unaccounted for" in shown.stdout


def test_mon030_books_that_do_not_balance_are_exit_code_1(millrace: Command, data: Path) -> None:
    with sqlite3.connect(data / "millrace.db") as db:
        db.execute("UPDATE counters SET count = count - 1 WHERE outcome = 'stored'")
    done = millrace("audit", "--data", str(data))
    assert done.returncode == 1
    assert b"1 messages are unaccounted for" in done.stderr
    assert millrace("audit", "--json", "--data", str(data)).returncode == 1


@pytest.mark.parametrize("words", [("audit",), ("export", "x.csv"), ("doctor",)])
def test_without_data_there_is_one_line_and_a_remedy(
    millrace: Command, words: tuple[str, ...], tmp_path: Path
) -> None:
    done = millrace(*words, "--data", "nothing")
    assert done.returncode == 1
    assert b"millrace up" in done.stderr + done.stdout
    assert list(tmp_path.iterdir()) == []


def test_api033_csv(millrace: Command, data: Path) -> None:
    done = millrace("export", "-", "--data", str(data))
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert list(rows[0]) == COLUMNS
    assert [float(row["value"]) for row in rows] == [float(n) for n in range(300)]
    assert rows[0] == {
        "time": "2026-03-01T12:00:00Z", "device_id": "m1", "metric": "'=v", "channel": "V",
        "value": rows[0]["value"], "unit": "V", "quality": "",
    }  # fmt: skip
    assert b"300 readings written" in done.stderr


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_api033_forms_hold_the_same(
    millrace: Command, data: Path, tmp_path: Path, form: str
) -> None:
    out = tmp_path / "out"
    words = ("export", str(out), "--format", form, "--start", "2026-03-01T12:01:00Z")
    done = millrace(*words, "--stop", "2026-03-01T12:02:00Z", "--data", str(data))
    assert done.returncode == 0, done.stderr
    assert values(out, form) == [float(n) for n in range(60, 120)]


def values(path: Path, form: str) -> list[float]:
    if form == "csv":
        return [float(row["value"]) for row in csv.DictReader(io.StringIO(path.read_text()))]
    with path.open("rb") as source:
        is_arrow = form == "arrow"
        table = pa.ipc.open_stream(source).read_all() if is_arrow else pq.read_table(source)
    assert table.column_names == COLUMNS
    assert set(table["metric"].to_pylist()) == {"=v"}
    return list(table["value"].to_pylist())


@pytest.mark.parametrize(
    "words",
    [
        ("--format", "xlsx"),
        ("--start", "yesterday"),
        ("--start", "2026-03-02T00:00:00Z", "--stop", "2026-03-01T00:00:00Z"),
    ],
)
def test_d57_wrong_use_of_export(
    millrace: Command, data: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = millrace("export", "out", *words, "--data", str(data))
    assert done.returncode == 2, done.stderr
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written(millrace: Command, data: Path) -> None:
    done = millrace("export", "/nowhere/at/all", "--data", str(data))
    assert done.returncode == 1
    assert b"/nowhere/at/all" in done.stderr


def test_export_of_nothing_is_a_header(millrace: Command, data: Path) -> None:
    done = millrace("export", "-", "--device", "nobody", "--data", str(data))
    assert done.returncode == 0
    assert done.stdout.decode().strip() == ",".join(COLUMNS)


def test_doctor_of_a_sound_folder(millrace: Command, data: Path) -> None:
    done = millrace("doctor", "--json", "--data", str(data))
    assert done.returncode == 0, done.stdout
    findings = {one["name"]: one["is_well"] for one in json.loads(done.stdout)}
    assert findings.keys() >= {"disk", "database", "log", "books"}
    assert all(findings.values())
    assert millrace("doctor", "--quiet", "--data", str(data)).stdout == b""


def unwell(done: Done, name: str) -> str:
    findings = {one["name"]: one for one in json.loads(done.stdout)}
    assert not findings[name]["is_well"], findings
    return str(findings[name]["text"])


def test_f9_doctor_finds_a_flipped_byte_in_the_log(millrace: Command, data: Path) -> None:
    file = data / "log" / "log.db"
    content = bytearray(file.read_bytes())
    at = content.rindex(b"iot/m2/telemetry") if b"iot/m2" in content else content.rindex(b"MRFR")
    content[at + 5] ^= 1
    file.write_bytes(content)
    done = millrace("doctor", "--json", "--data", str(data))
    assert done.returncode == 1
    assert "partition" in unwell(done, "log")


@pytest.mark.parametrize("place", ["head", "page", "tail"])
def test_f9_doctor_finds_a_damaged_database(millrace: Command, data: Path, place: str) -> None:
    file = data / "millrace.db"
    content = bytearray(file.read_bytes())
    if place == "head":
        content[:16] = bytes(16)
    elif place == "page":
        for at in range(4096, len(content), 4096):
            content[at : at + 64] = b"\xff" * 64
    else:
        del content[len(content) // 2 :]
    file.write_bytes(content)
    done = millrace("doctor", "--json", "--data", str(data))
    assert done.returncode == 1, done.stdout
    unwell(done, "database")


def test_doctor_finds_books_that_do_not_balance(millrace: Command, data: Path) -> None:
    with sqlite3.connect(data / "millrace.db") as db:
        db.execute("UPDATE counters SET count = count + 2 WHERE outcome = 'stored'")
    done = millrace("doctor", "--json", "--data", str(data))
    assert done.returncode == 1
    assert "2 messages" in unwell(done, "books")


def test_f48_check_prints_the_effective_settings(millrace: Command, tmp_path: Path) -> None:
    (tmp_path / "millrace.toml").write_text("[log]\npartitions = 7\nretention_s = 99\n")
    secret = {"MILLRACE_BROKER__USERNAME": "me", "MILLRACE_LOG__RETENTION_S": "77"}
    done = millrace("check", "--json", "--data", "elsewhere", env=secret)
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)["settings"]
    assert (settings["log"]["partitions"], settings["log"]["retention_s"]) == (7, 77)
    assert settings["data"] == "elsewhere"
    assert b"the configuration is right" in millrace("check").stdout


def test_f48_check_lists_every_fault(millrace: Command) -> None:
    wrong = {"MILLRACE_LOG__URL": "amqp://x", "MILLRACE_LIVE__URL": "amqp://x"}
    done = millrace("check", "--json", env=wrong)
    assert done.returncode == 2
    assert len(json.loads(done.stdout)["faults"]) == 2
    assert b"log.url" in done.stderr
    assert b"live.url" in done.stderr
