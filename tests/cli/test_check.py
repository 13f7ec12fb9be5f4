"""`millrace check` asks the systems outside that the settings name."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.servers.redis import running_redis


@pytest.mark.services
def test_f29_check_asks_redis_and_names_the_remedy(tmp_path: Path, millrace: Command) -> None:
    with running_redis(tmp_path) as server:
        env = {"MILLRACE_LIVE__URL": server.url}
        well = millrace("check", env=env)
        assert well.returncode == 0, well
        assert b"ok   live" in well.stdout
        server.kill()
        away = millrace("check", env=env)
        assert away.returncode == 3
        assert b"FAIL live" in away.stdout
        assert b"start Redis" in away.stdout
        told = json.loads(millrace("check", "--json", env=env).stdout)
        assert [finding["is_well"] for finding in told["outside"]] == [False]


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_check_prints_no_password(how: list[str], millrace: Command) -> None:
    env = {
        "MILLRACE_BROKER__URL": "mqtt://me:hush@127.0.0.1:1883",
        "MILLRACE_STORE__URL": "postgresql://me@h/d?password=hush",
        "MILLRACE_LIVE__URL": "redis://me:hush@h",
        "MILLRACE_INFLUX__TOKEN": "hush",
    }
    told = millrace("check", *how, env=env)
    assert told.returncode == 2
    assert b"broker.password_file" in told.stdout + told.stderr
    assert b"me:********@" in told.stdout
    assert b"hush" not in told.stdout + told.stderr
