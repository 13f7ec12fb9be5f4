"""`archive.url` and `[s3]`: what is opened, what is refused, what is never shown."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from millrace.adapters.archive_file import FileArchive
from millrace.adapters.archive_object import ObjectArchive
from millrace.cli.main import command
from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.wiring.archives import check, open_archive

KEYS = {"access_key": "reader", "secret_key": "a-secret-of-s3"}


def settings(url: str, **s3: Any) -> Settings:
    return Settings(archive={"url": url}, s3=s3)  # type: ignore[arg-type]  # pydantic reads dicts


def test_the_scheme_chooses(tmp_path: Path) -> None:
    assert isinstance(open_archive(settings(f"file:///{tmp_path}/a")), FileArchive)
    assert isinstance(open_archive(settings("s3://bucket/prefix", **KEYS)), ObjectArchive)
    assert isinstance(open_archive(settings("s3://bucket")), ObjectArchive)


@pytest.mark.parametrize(
    ("url", "s3", "said"),
    [
        ("gs://bucket", {}, "archive.url"),
        ("s3://", {}, "names no bucket"),
        ("s3:///prefix", {}, "names no bucket"),
        ("s3://b", {"endpoint": "minio:9000"}, "s3.endpoint"),
        ("s3://b", {"access_key": "reader"}, "one is given without the other"),
        ("s3://b", {"secret_key": "x"}, "one is given without the other"),
        ("s3://b", {**KEYS, "secret_key_file": "/nowhere"}, "both are given"),
        ("s3://b", {"access_key": "a", "secret_key_file": "/nowhere"}, "cannot be read"),
    ],
)
def test_what_cannot_work_is_refused(url: str, s3: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        check(settings(url, **s3))
    assert KEYS["secret_key"] not in str(raised.value)


def test_the_secret_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("a-secret-of-s3\n")
    check(settings("s3://b", access_key="reader", secret_key_file=path))


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a56_check_shows_no_secret(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MILLRACE_ARCHIVE__URL", "s3://bucket/raw")
    monkeypatch.setenv("MILLRACE_S3__ACCESS_KEY", "reader")
    monkeypatch.setenv("MILLRACE_S3__SECRET_KEY", KEYS["secret_key"])
    shown = CliRunner().invoke(command(), ["check", *arguments])
    assert shown.exit_code == 0, shown.output
    assert "s3://bucket/raw" in shown.output
    assert KEYS["secret_key"] not in shown.output
