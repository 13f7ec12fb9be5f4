"""Devices over HTTP: API-060, API-062, API-066, API-069, API-072, API-003, API-006."""

import httpx
import pytest

from millrace.adapters.clock_manual import ManualClock
from millrace.ports.live import SequenceSummary
from tests.serve.memory import Town

NOW_NS = 1_772_366_400_000_000_000


@pytest.fixture(autouse=True)
def _fleet(town: Town) -> None:
    for number in range(5):
        town.add_device(
            f"dev:{number}",
            family="meter" if number % 2 else "f2",
            device_name=f"Train {number}",
            created_at=f"2026-02-1{number}T10:00:00.000000Z",
            last_seen="2026-03-01T11:59:59.500000Z",
        )


async def test_api_060_newest_first_and_filtered(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/devices")).json()
    assert [row["device_id"] for row in body["devices"]] == [f"dev:{n}" for n in (4, 3, 2, 1, 0)]
    assert body["next"] is None
    body = (await client.get("/api/devices?family=f2&q=train")).json()
    assert [row["device_id"] for row in body["devices"]] == ["dev:4", "dev:2", "dev:0"]


async def test_api_003_pages_follow_a_signed_cursor_and_never_shift(
    client: httpx.AsyncClient, town: Town
) -> None:
    seen, cursor = [], ""
    for _ in range(4):
        body = (await client.get(f"/api/devices?limit=2{cursor}")).json()
        seen += [row["device_id"] for row in body["devices"]]
        town.add_device(f"late:{len(seen)}", created_at="2026-03-01T00:00:00.000000Z")
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert seen == [f"dev:{n}" for n in (4, 3, 2, 1, 0)]


async def test_a41_a_cursor_that_was_tampered_with_or_moved_is_refused(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    cursor = (await client.get("/api/devices?limit=2")).json()["next"]
    other = ("A" if cursor[-3] != "A" else "B").join((cursor[:-3], cursor[-2:]))
    urls = [
        f"/api/devices?cursor={other}",
        "/api/devices?cursor=x",
        "/api/devices?cursor=%00%ff",
        "/api/devices?cursor=",
        f"/api/devices?family=f2&cursor={cursor}",
        f"/api/devices/dev:1/events?cursor={cursor}",
    ]
    for url in urls:
        answer = await client.get(url)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor"), url
    assert (await client.get(f"/api/devices?cursor={cursor}")).status_code == 200
    clock.advance(25 * 3600)
    assert (await client.get(f"/api/devices?cursor={cursor}")).json()["code"] == "invalid_cursor"


async def test_api_062_one_device_has_the_documented_members(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/devices/dev:1")).json()
    assert list(body)[:18] == [
        "id", "device_id", "family", "role", "device_name", "device_type", "location", "status",
        "connection_status", "last_seen", "fw_version", "registered", "health_score",
        "installation_date", "last_maintenance", "metadata", "created_at", "updated_at",
    ]  # fmt: skip
    assert body["last_seen"] == "2026-03-01T11:59:59.500Z"
    assert body["created_at"] == "2026-02-11T10:00:00Z"
    assert "claiming_code" not in body
    assert "credential_ref" not in body


async def test_api_006_a_single_resource_has_a_tag(client: httpx.AsyncClient, town: Town) -> None:
    first = await client.get("/api/devices/dev:1")
    tag = first.headers["etag"]
    again = await client.get("/api/devices/dev:1", headers={"If-None-Match": f'"x", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    town.rows["dev:1"]["location"] = "Depot"
    changed = await client.get("/api/devices/dev:1", headers={"If-None-Match": tag})
    assert changed.status_code == 200


@pytest.mark.parametrize("path", ["", "/status", "/sequence", "/events", "/series"])
async def test_unknown_devices_are_404(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/api/devices/nobody{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "device_not_found")
    assert answer.json()["detail"] == "Device not found"


async def test_api_066_status(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/devices/dev:1/status")).json() == {
        "connection_status": "unknown",
        "device_id": "dev:1",
        "fw_version": None,
        "last_seen": "2026-03-01T11:59:59.500Z",
    }


async def test_api_069_sequence(client: httpx.AsyncClient, town: Town) -> None:
    assert (await client.get("/api/devices/dev:1/sequence")).json()["last_seq"] is None
    town.sequences["dev:1"] = SequenceSummary(
        41, 2, 3, 1, 0, "2026-03-01T12:00:00.250000Z", (7, 9, 12)
    )
    assert (await client.get("/api/devices/dev:1/sequence")).json() == {
        "device_id": "dev:1", "epoch": 2, "last_seq": 41, "gap_count": 3, "missing": [7, 9, 12],
        "duplicates": 1, "resets": 0, "updated_at": "2026-03-01T12:00:00.250Z",
    }  # fmt: skip


async def test_api_072_events_newest_first_with_their_members(
    client: httpx.AsyncClient, town: Town
) -> None:
    for number in range(5):
        town.say("dev:1", "bad_seq" if number % 2 else "hello", NOW_NS + number, seq=str(number))
    town.say("dev:2", "hello", NOW_NS, time="not the time")
    body = (await client.get("/api/devices/dev:1/events?limit=3")).json()
    assert [event["seq"] for event in body["events"]] == ["4", "3", "2"]
    assert body["events"][0]["position"] == "1-5"
    rest = (await client.get(f"/api/devices/dev:1/events?limit=3&cursor={body['next']}")).json()
    assert [event["seq"] for event in rest["events"]] == ["1", "0"]
    body = (await client.get("/api/devices/dev:1/events?type=bad_seq")).json()
    assert [event["seq"] for event in body["events"]] == ["3", "1"]
    assert (await client.get("/api/devices/dev:2/events")).json()["events"][0]["time"].endswith("Z")


async def test_a30_a_name_full_of_markup_is_only_text(
    client: httpx.AsyncClient, town: Town
) -> None:
    town.add_device("evil", device_name="<script>alert(1)</script>")
    answer = await client.get("/api/devices/evil")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
