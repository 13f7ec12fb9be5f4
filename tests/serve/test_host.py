"""In open mode only requests that name this machine are answered."""

import httpx
import pytest

from millrace.serve.gate import check_host
from millrace.serve.problems import Problem


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "LOCALHOST:1"])
def test_loopback_names_pass(host: str) -> None:
    check_host(host)


@pytest.mark.parametrize("host", ["", "evil.example", "evil.example:8080", "127.0.0.1.evil", "["])
def test_a34_dns_rebinding_is_refused(host: str) -> None:
    with pytest.raises(Problem):
        check_host(host)


async def test_a34_rebound_page_reads_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/devices", headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"
