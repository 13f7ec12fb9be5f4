"""What holds for every request: API-001, API-004, API-007, API-018; A22, A25, A36, A38, A42."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from millrace.errors import RetryError, StopError
from tests.serve.conftest import client_of
from tests.serve.memory import Town


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:millrace:problem:{body['code']}"
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return str(body["code"])


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/devices/", 404, "not_found"),
        ("GET", "/healthz/", 404, "not_found"),
        ("POST", "/api/devices/x", 405, "method_not_allowed"),
        ("DELETE", "/api/latest", 405, "method_not_allowed"),
        ("BREW", "/api/devices", 405, "method_not_allowed"),
        ("GET", "/API/DEVICES", 404, "not_found"),
    ],
)
async def test_api_004_a36_unknown_paths_and_methods(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path, headers={"X-HTTP-Method-Override": "GET"})
    assert answer.status_code == status
    assert code_of(answer) == code
    assert ("allow" in answer.headers) == (status == 405)


async def test_a36_a_method_override_changes_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/devices", headers={"X-HTTP-Method-Override": "DELETE"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/readyz", "/health", "/api/stats", "/api/version", "/api/openapi.json", "/"],
)
async def test_api_001_unknown_parameters_are_refused_everywhere(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(f"{path}?surprise=1")
    assert answer.status_code == 400
    assert code_of(answer) == "unknown_parameter"
    assert answer.json()["errors"][0]["field"] == "surprise"


async def test_api_007_request_ids(client: httpx.AsyncClient) -> None:
    for given, is_kept in (("abc-1.2_X", True), ("x" * 65, False), ("a b", False), ("", False)):
        answer = await client.get("/healthz", headers={"X-Request-Id": given})
        assert (answer.headers["x-request-id"] == given) == is_kept
        assert answer.headers["x-request-id"]


async def test_api_007_head_and_options(client: httpx.AsyncClient) -> None:
    whole, head = await client.get("/api/version"), await client.head("/api/version")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert head.headers["etag"] == whole.headers["etag"]
    options = await client.options("/api/latest")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert code_of(await client.options("/nowhere")) == "not_found"


async def test_api_018_sizes(client: httpx.AsyncClient) -> None:
    assert code_of(await client.get("/api/devices/" + "x" * 2100)) == "uri_too_long"
    assert code_of(await client.get("/api/devices?q=" + "x" * 8200)) == "uri_too_long"
    answer = await client.get("/healthz", headers={"X-Long": "x" * 17_000})
    assert code_of(answer) == "body_too_large"


async def test_a25_bodies_that_are_too_large_or_have_no_end(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 65_536

    json = {"Content-Type": "application/json"}
    declared = await client.post("/api/latest", content=b" " * (1024 * 1024 + 1), headers=json)
    assert (declared.status_code, code_of(declared)) == (413, "body_too_large")
    streamed = await client.post("/api/latest", content=endless(), headers=json)
    assert (streamed.status_code, code_of(streamed)) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{", "application/json", "malformed_json"),
        (b"", "application/json", "malformed_json"),
        (b"[]", "application/json", "malformed_json"),
        (b'{"device_ids": [NaN]}', "application/json", "malformed_json"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "application/json", "malformed_json"),
        (b"[" * 100_000, "application/json", "malformed_json"),
        (b'{"devices": []}', "application/json", "unknown_field"),
        (b'{"device_ids": "x"}', "application/json", "invalid_field"),
        (b"{}", "text/plain", "unsupported_media_type"),
        (b"{}", "", "unsupported_media_type"),
    ],
)
async def test_a42_bodies_are_read_strictly(
    client: httpx.AsyncClient, body: bytes, kind: str, code: str
) -> None:
    answer = await client.post("/api/latest", content=body, headers={"Content-Type": kind})
    assert code_of(answer) == code


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../index.html", "/assets/%2e%2e/%2e%2e/app.py", "/assets//etc/passwd",
        "/assets/vendor", "/assets/..%2f..%2fapp.py", "/assets/%00", "/assets/vendor\\htm.mjs",
        "/api/devices/..%2f..%2fhealth", "/api/devices/%00", "/api/devices/%0d%0aX:1",
        "/api/devices/" + "x" * 300, "/api/devices/%ff%fe",
    ],
)  # fmt: skip
async def test_a22_paths_lead_nowhere_else(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert code_of(answer) in ("not_found", "device_not_found")


class _Broken:
    """A registry that fails in the way it is told to."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, _name: str) -> Any:
        def fail(*_args: Any) -> Any:
            raise self._error

        return fail


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RetryError("SELECT * FROM devices at db.internal"), 503, "store_unavailable"),
        (StopError("/var/lib/secret"), 500, "internal"),
        (KeyError("password"), 500, "internal"),
    ],
)
async def test_a38_nothing_of_the_inside_is_told(
    make_app: Callable[..., FastAPI], error: Exception, status: int, code: str
) -> None:
    async with client_of(make_app(registry=_Broken(error))) as client:
        answer = await client.get("/api/devices/x")
    assert (answer.status_code, code_of(answer)) == (status, code)
    for word in ("SELECT", "db.internal", "secret", "password", "Traceback", "KeyError"):
        assert word not in answer.text
    assert "server" not in answer.headers


async def test_security_headers_on_every_answer(client: httpx.AsyncClient) -> None:
    for path in ("/", "/healthz", "/nowhere", "/assets/index.html"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]


async def test_api_008_cross_origin_is_off_until_an_origin_is_listed(
    make_app: Callable[..., FastAPI],
) -> None:
    origin = {"Origin": "https://board.example"}
    async with client_of(make_app()) as client:
        assert (
            "access-control-allow-origin"
            not in (await client.get("/api/version", headers=origin)).headers
        )
    async with client_of(make_app(cors_origins=("https://board.example",))) as client:
        answer = await client.get("/api/version", headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://board.example"
        assert "access-control-allow-credentials" not in answer.headers
        other = await client.get("/api/version", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_mon_160_requests_are_counted_by_template(
    client: httpx.AsyncClient, town: Town
) -> None:
    town.add_device("car-1")
    for path in ("/api/devices/car-1", "/api/devices/other", "/x/1", "/x/2", "/metrics"):
        await client.get(path)
    text = (await client.get("/metrics")).text
    route = 'route="/api/devices/{device_id}"'
    assert f'millrace_http_requests_total{{method="GET",{route},status="200"}} 1.0' in text
    assert f'millrace_http_requests_total{{method="GET",{route},status="404"}} 1.0' in text
    assert 'route="unmatched",status="404"} 2.0' in text
    assert "car-1" not in text
    assert 'route="/metrics"' not in text
    assert "millrace_http_in_flight 1.0" in text
