"""All of vectors/meter.json that decoding, sequence and counting can answer.

What needs another stage is named in the tables below and nowhere else; a stage that is added takes
its names out of them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from millrace.codecs.meter import MeterCodec
from millrace.model.units import DERIVED_METRICS
from tests.codecs.outcome import compare, instant
from tests.codecs.stage import Seen, Stage, flags_of, payload_of

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "meter.json").read_text()
)["vectors"]

OTHER_KINDS = {
    "signature": "commands",
    "command_validation": "commands",
    "line_protocol": "InfluxDB sink",
    "archive_key": "archive",
}
OTHER_STEPS = {"command": "commands", "broker_back": "commands"}
OTHER_EVENTS = {
    "device_discovered": "registry",
    "device_online": "liveness",
    "device_offline": "liveness",
    "energy_gap": "derived metrics",
    "command_updated": "commands",
    "ack_unknown_command": "commands",
    "ack_wrong_device": "commands",
    "ack_conflict": "commands",
    "ota_progress": "OTA",
    "ota_finished": "OTA",
    "ota_unknown_command": "OTA",
}
OTHER_MEMBERS = {
    "alerts": "alerts",
    "commands": "commands",
    "ota": "OTA",
}
OTHER_STATE = {"connection_status": "liveness", "last_seen": "liveness"}

MESSAGES = [v for v in VECTORS if "kind" not in v]


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["id"])
def test_meter_vectors(vector: dict[str, Any]) -> None:
    stage = Stage([MeterCodec()])
    firmware: dict[str, str] = {}
    for step in vector.get("steps", [vector]):
        if OTHER_STEPS.keys() & step.keys():
            continue
        expect = step["expect"]
        at_ns = instant(step.get("at") or step.get("tick") or step.get("restart"))
        if "topic" in step:
            seen = stage.message(step["topic"], payload_of(step), at_ns, flags_of(step))
            check_message(expect, seen, step["topic"].split("/")[1])
            for report in seen.reports:
                if "fw_version" in report.data:
                    firmware[report.device_id] = report.data["fw_version"]
        elif "restart" in step:
            stage.restart()
        for device_id, state in expect.get("state", {}).items():
            check_state(state, stage, device_id, at_ns, firmware)


def test_every_vector_is_run_or_named() -> None:
    assert {v["kind"] for v in VECTORS if "kind" in v} == OTHER_KINDS.keys()
    known = {"topic", "payload", "payload_text", "payload_b64", "payload_gen", "at", "note", "dup"}
    known |= {"retained_replay", "tick", "restart", "expect", *OTHER_STEPS}
    for vector in MESSAGES:
        for step in vector.get("steps", []):
            assert step.keys() <= known, vector["id"]


def check_message(expect: Mapping[str, Any], seen: Seen, device_id: str) -> None:
    assert (seen.outcome, expect.get("duplicate_kind", seen.kind)) == (
        expect["outcome"],
        seen.kind,
    )
    wanted_events = [e for e in expect.get("events", []) if e["type"] not in OTHER_EVENTS]
    assert [
        {k: e[k] for k in e if k in w} for e, w in zip(seen.events, wanted_events, strict=True)
    ] == wanted_events
    letters = {"dead_letters": expect.get("dead_letter", [])}
    compare(letters, {"readings": [], "events": [], "dead_letters": seen.dead_letters})
    if "points" in expect:
        points = [p for p in expect["points"] if p["metric"] not in DERIVED_METRICS]
        points = [{"channel": "", "device_id": device_id, **p} for p in points]
        compare({"readings": points}, {"readings": seen.readings, "events": [], "dead_letters": []})
    check_many(expect, seen)
    known = {"outcome", "duplicate_kind", "points", "dead_letter", "events", "state", "overwritten"}
    known |= {"points_count", "points_first", "points_last", "quality_all", *OTHER_MEMBERS}
    assert expect.keys() <= known


def check_many(expect: Mapping[str, Any], seen: Seen) -> None:
    if "points_count" in expect:
        assert len(seen.readings) == expect["points_count"]
        for point, reading in ((expect["points_first"], 0), (expect["points_last"], -1)):
            compare(
                {"readings": [point]},
                {"readings": [seen.readings[reading]], "events": [], "dead_letters": []},
            )
    if "quality_all" in expect:
        assert {tuple(r["quality"]) for r in seen.readings} == {tuple(expect["quality_all"])}
    assert seen.overwritten == expect.get("overwritten", 0)


def check_state(
    state: Mapping[str, Any],
    stage: Stage,
    device_id: str,
    at_ns: int,
    firmware: Mapping[str, str],
) -> None:
    view = stage.view(device_id, at_ns)
    seq = dict(state["seq"])
    got: dict[str, Any] = {
        "last_seq": view.last_seq,
        "epoch": view.epoch,
        "gap_count": view.gap_count,
        "missing": list(view.missing),
        "missing_count": len(view.missing),
        "missing_first": min(view.missing, default=None),
        "missing_last": max(view.missing, default=None),
    }
    assert {name: got[name] for name in seq} == seq
    assert state.keys() <= {"seq", "fw_version", *OTHER_STATE}
    if "fw_version" in state:
        assert firmware[device_id] == state["fw_version"]
