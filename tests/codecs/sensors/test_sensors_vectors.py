"""All of vectors/sensors.json that decoding and counting can answer.

What needs another stage is named in the tables below and nowhere else.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from millrace.codecs.sensors import SensorsCodec
from millrace.model.instants import SECOND_NS
from millrace.model.units import DERIVED_METRICS
from tests.codecs.outcome import compare, instant
from tests.codecs.stage import Seen, Stage, flags_of, payload_of

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "sensors.json").read_text()
)["vectors"]

OTHER_KINDS = {
    "dashboard_stats": "cache",
    "line_protocol": "InfluxDB sink",
    "stream_record": "Kafka mirror",
}
OTHER_STEPS = {"read": "cache", "tick": "liveness"}
OTHER_MEMBERS = {
    "alerts": "alert rules",
    "cache": "cache",
    "windows": "windows",
    "windows_after": "windows",
    "connection_status": "liveness",
}

MESSAGES = [v for v in VECTORS if "kind" not in v]


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["id"])
def test_sensors_vectors(vector: dict[str, Any]) -> None:
    stage = Stage([SensorsCodec()])
    for step in vector.get("steps", [vector]):
        if OTHER_STEPS.keys() & step.keys():
            continue
        if "payload_series" in step:
            run_series(stage, step)
            continue
        at_ns = instant(step["at"])
        seen = stage.message(step["topic"], payload_of(step), at_ns, flags_of(step))
        check(step["expect"], seen, step["topic"].split("/")[2])


def test_every_vector_is_run_or_named() -> None:
    assert {v["kind"] for v in VECTORS if "kind" in v} == OTHER_KINDS.keys()


def run_series(stage: Stage, step: dict[str, Any]) -> None:
    recipe = step["payload_series"]
    first_ns = instant(recipe["first_at"])
    for k, value in enumerate(recipe["values"]):
        at_ns = first_ns + k * recipe["step_s"] * SECOND_NS
        body = recipe["envelope"] | {"timestamp": at_ns, "data": {recipe["field"]: value}}
        seen = stage.message(step["topic"], json.dumps(body).encode(), at_ns)
        assert [(r["value"], r["time"]) for r in seen.readings] == [(value, at_ns)]
    assert step["expect"].keys() <= OTHER_MEMBERS.keys()


def check(expect: dict[str, Any], seen: Seen, device_id: str) -> None:
    assert seen.outcome == expect.get("outcome", "stored")
    if "events" in expect:
        assert [
            {k: e[k] for k in e if k in w}
            for e, w in zip(seen.events, expect["events"], strict=True)
        ] == expect["events"]
    letters = {"dead_letters": expect.get("dead_letter", [])}
    compare(letters, {"readings": [], "events": [], "dead_letters": seen.dead_letters})
    if "points" in expect:
        points = [p for p in expect["points"] if p["metric"] not in DERIVED_METRICS]
        points = [{"channel": "", "device_id": device_id, **p} for p in points]
        compare({"readings": points}, {"readings": seen.readings, "events": [], "dead_letters": []})
    if "device_type" in expect:
        said = {"device_type": expect["device_type"]}
        if expect["location"] is not None:
            said["location"] = expect["location"]
        assert [(r.kind, r.device_id, r.data) for r in seen.reports] == [
            ("device", device_id, said)
        ]
        for reading in seen.readings:
            assert said.items() <= reading["attributes"].items()
    known = {"outcome", "points", "dead_letter", "events", "device_type", "location"}
    assert expect.keys() <= known | OTHER_MEMBERS.keys()
