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
