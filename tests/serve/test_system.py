"""Health, version, counts, description, preview: API-044, API-100, API-102, MON-001 to MON-003."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from millrace.errors import RetryError
from millrace.serve.routes import ALL
from tests.serve.conftest import client_of
from tests.serve.memory import Town


def fails() -> None:
    raise RetryError("at db.internal:5432")


def works() -> None:
    return


async def test_mon_002_alive_asks_nobody(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"service": "millrace", "status": "alive"}


async def test_mon_003_ready_when_every_probe_answers(make_app: Callable[..., FastAPI]) -> None:
    app = make_app(probes={"log": works, "points": works})
    async with client_of(app) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]) == (
            503, {"log": False, "points": False}
        )  # fmt: skip
        await app.state.room.health.probe_all()
        app.state.room.hub.is_ready.set()
        answer = await client.get("/readyz")
        assert answer.status_code == 200
        assert answer.json() == {
            "service": "millrace", "status": "ready", "checks": {"log": True, "points": True}
        }  # fmt: skip


@pytest.mark.parametrize(
    ("probes", "status", "verdict"),
    [
        ({"log": works, "metadata": works, "archive": works}, 200, "healthy"),
        ({"log": works, "metadata": works, "archive": fails}, 200, "degraded"),
        ({"log": fails, "metadata": works}, 503, "unhealthy"),
    ],
)
async def test_mon_001_mon_012_verdict(
    make_app: Callable[..., FastAPI], town: Town, probes: Any, status: int, verdict: str
) -> None:
    town.counts = {("stored", "f2", "tele"): 3, ("stored", "meter", ""): 4}
    app = make_app(probes=probes)
    await app.state.room.health.probe_all()
    async with client_of(app) as client:
        answer = await client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"], body["overall_status"]) == (
        status, verdict, verdict
    )  # fmt: skip
    assert body["timestamp"] == "2026-03-01T12:00:00Z"
    assert body["services"]["total"] == len(probes)
    assert body["durability"]["fsync"] == "every_commit"
    assert body["details"]["messages"] == {
        "stored": 7, "duplicate": 0, "dead_letter": 0
    }  # fmt: skip
    assert "db.internal" not in answer.text


async def test_mon_001_short_form_without_a_principal(make_app: Callable[..., FastAPI]) -> None:
    async with client_of(make_app(auth="required")) as client:
        assert set((await client.get("/health")).json()) == {"service", "status", "timestamp"}


async def test_api_100_stats(client: httpx.AsyncClient, town: Town) -> None:
    town.add_device("a")
    town.add_device("b", status="discovered")
    town.add_device("c")
    assert (await client.get("/api/stats")).json() == {
        "total_devices": 3,
        "device_by_status": [
            {"status": "active", "count": 2}, {"status": "discovered", "count": 1}
        ],
        "unacknowledged_alerts": 0,
    }  # fmt: skip


async def test_api_102_version_and_the_two_faces_of_the_root(client: httpx.AsyncClient) -> None:
    version = (await client.get("/api/version")).json()
    assert version == {"name": "millrace", "version": "1.2.3", "mode": "embedded", "auth": "open"}
    root = await client.get("/", headers={"Accept": "application/json"})
    assert {key: root.json()[key] for key in version} == version
    assert root.json()["message"]
    page = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    again = await client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304


async def test_the_description_names_every_route(client: httpx.AsyncClient) -> None:
    described = (await client.get("/api/openapi.json")).json()
    for route in ALL:
        if route.is_documented:
            operation = described["paths"][route.path][route.method.lower()]
            assert operation["tags"] == [route.promise]
            assert operation["summary"]
    assert "422" not in str(described["paths"]["/api/devices"]["get"]["responses"])


async def test_api_044_preview_takes_one_payload(client: httpx.AsyncClient) -> None:
    url, topic = "/api/decode/preview", "iot/car-1/telemetry"
    forms: list[dict[str, Any]] = [
        {"payload": {"a": 1}},
        {"payload_text": '{"a":1}'},
        {"payload_b64": base64.b64encode(b'{"a":1}').decode()},
    ]
    for form in forms:
        answer = await client.post(url, json={"topic": topic, **form, "at": "-1s"})
        point = answer.json()["points"][0]
        assert point == {"size": 7, "at": 1_772_366_399_000_000_000, "retain": False}
    bad: list[tuple[dict[str, Any], str]] = [
        ({}, "missing_field"),
        ({"payload": 1, "payload_text": "1"}, "invalid_field"),
        ({"payload_b64": "###"}, "invalid_field"),
        ({"payload": 1, "at": "soon"}, "invalid_field"),
        ({"payload": 1, "use_state": True}, "invalid_field"),
        ({"payload": 1, "role": "admin"}, "unknown_field"),
    ]
    for form, code in bad:
        answer = await client.post(url, json={"topic": topic, **form})
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await client.post(url, json={"payload": 1})).json()["detail"] == (
        "Missing required field: topic"
    )
