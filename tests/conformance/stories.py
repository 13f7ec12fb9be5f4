"""The stories: what devices say, and what must become of it, wherever it is kept.

Times are those of the devices, fixed and in the past, so that all answers are known beforehand.
Messages of one story are published in order over one connection.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

START_S: Final = 1_772_366_400  # 2026-03-01T12:00:00Z
CLIMATE: Final = ("temperature_celsius", "humidity_percent")
Message = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Story:
    """What is published, and what is expected of all devices of the story.

    `readings` names the values of a device and metric in order of time; `letters` counts by device
    and reason; `events` counts by device and type; `missing` are numbers that never came;
    `duplicates` are the messages that must be found to be copies. `status` says more of a device
    than that it is online.
    """

    name: str
    messages: Sequence[Message]
    readings: Mapping[tuple[str, str], Sequence[float]]
    events: Mapping[tuple[str, str], int] = field(default_factory=dict)
    letters: Mapping[tuple[str | None, str], int] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    status: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def devices(self) -> set[str]:
        """The devices of the story."""
        return {device for device, _ in self.readings}


def stamp(second: float) -> str:
    """Return a moment of the stories, as devices write it."""
    return datetime.fromtimestamp(START_S + second, UTC).isoformat()


def _json(topic: str, body: Any) -> Message:
    return topic, json.dumps(body).encode()


def _datagram(device: str, seq: int, second: float, **values: float) -> Message:
    elements = [{"type": name, "val": v, "ts": stamp(second)} for name, v in values.items()]
    body = {"v": 2, "seq": seq, "msg_type": "telemetry", "measurements": elements}
    return _json(f"iot/{device}/telemetry", body)


def _f2_current() -> Story:
    door = "stat/E4:FD:45:00:00:01/access-control-mode/J2"
    unlocks = [
        _json(f"{door}/strike-1", {"timestamp": stamp(n), "status": n % 2 == 0}) for n in range(6)
    ]
    scans = [
        _json(
            "tele/f2-e4fd45000001/access-control-mode/J2/reader-1",
            {"timestamp": stamp(10 + n), "data": f"b'CARD {n}'"},
        )
        for n in range(3)
    ]
    broken = _json(f"{door}/strike-1", {"timestamp": stamp(30), "status": "perhaps"})
    return Story(
        "f2 as it speaks today",
        [*unlocks, *scans, broken],
        {
            ("f2-e4fd45000001", "strike-1.J2"): (1, 0, 1, 0, 1, 0),
            ("f2-e4fd45000001", "reader-1.J2"): (1, 1, 1),
        },
        events={("f2-e4fd45000001", "device_discovered"): 1, ("f2-e4fd45000001", "scan"): 3},
        letters={("f2-e4fd45000001", "bad_value"): 1},
    )


def _f2_legacy() -> Story:
    topic = "cmnd/dev-house/access-control-mode/J2"
    return Story(
        "f2 as it spoke before",
        [
            _json(f"{topic}/door-sensors", {"timestamp": "2026-03-01 12:00:01", "door-1": "open"}),
            _json(
                f"{topic}/door-sensors", {"timestamp": "2026-03-01 12:00:02", "door-1": "closed"}
            ),
            _json(f"{topic}/strike-1", {"power-flag": 2, "period": 5}),
        ],
        {("dev-house", "door-sensors.J2"): (1, 0)},
        events={("dev-house", "device_discovered"): 1, ("dev-house", "command"): 1},
    )


def _meter_in_order() -> Story:
    hello = {"v": 2, "seq": 0, "msg_type": "hello", "fw_version": "2.1.0", "ts": stamp(0)}
    return Story(
        "a meter in order",
        [
            _json("iot/meter-1/hello", {**hello, "uptime_s": 5}),
            *(
                _datagram("meter-1", n, n, voltage_dc=700 + n, current_dc=n / 8)
                for n in range(1, 40)
            ),
            _json("iot/meter-1/status", {"v": 2, "seq": 40, "status": "offline"}),
        ],
        {
            ("meter-1", "meta_uptime_s"): (5,),
            ("meter-1", "voltage_dc"): [700 + n for n in range(1, 40)],
            ("meter-1", "current_dc"): [n / 8 for n in range(1, 40)],
        },
        events={("meter-1", "device_discovered"): 1},
        missing={"meter-1": 0},
        status={"meter-1": {"connection_status": "offline", "fw_version": "2.1.0"}},
    )


def _meter_with_gaps() -> Story:
    order = (0, 1, 4, 4, 9, 3, 1)
    return Story(
        "a meter that loses, repeats and delays",
        [_datagram("meter-2", n, n, x=n) for n in order],
        {("meter-2", "x"): (0, 1, 3, 4, 9)},
        events={
            ("meter-2", "device_discovered"): 1,
            ("meter-2", "sequence_gap_opened"): 2,
            ("meter-2", "sequence_gap_filled"): 1,
        },
        missing={"meter-2": 5},
        duplicates=2,
    )


def _meter_restarts() -> Story:
    before = [_datagram("meter-3", n, n, x=n) for n in range(500, 504)]
    hello = {"v": 2, "seq": 0, "msg_type": "hello", "fw_version": "2.2.0", "ts": stamp(600)}
    after = [_datagram("meter-3", n, 600 + n, x=n) for n in range(1, 4)]
    return Story(
        "a meter that begins again",
        [*before, _json("iot/meter-3/hello", hello), *after],
        {("meter-3", "x"): (500, 501, 502, 503, 1, 2, 3)},
        events={("meter-3", "device_discovered"): 1},
        missing={"meter-3": 0},
        status={"meter-3": {"fw_version": "2.2.0"}},
    )


def _meter_late() -> Story:
    ages = (5, 3, 86_400 + 7, 1, 2, 30 * 86_400, 4)
    return Story(
        "a meter whose samples come late",
        [
            _json(
                "iot/meter-4/telemetry",
                {"measurements": [{"type": "x", "val": n, "ts": stamp(-a)}]},
            )
            for n, a in enumerate(ages)
        ],
        {("meter-4", "x"): (5, 2, 0, 6, 1, 4, 3)},
        events={("meter-4", "device_discovered"): 1},
    )


def _sensors() -> Story:
    bodies = [
        {
            "timestamp": stamp(n * 60),
            "location": "Depot",
            "data": dict(zip(CLIMATE, (20 + n / 4, 50 - n), strict=True)),
            "metadata": {"battery_level": 85, "signal_strength": -58},
        }
        for n in range(10)
    ]
    return Story(
        "sensors of a depot",
        [_json("sensors/temperature/depot-1", body) for body in bodies],
        {
            ("depot-1", "temperature_celsius"): [20 + n / 4 for n in range(10)],
            ("depot-1", "humidity_percent"): [50 - n for n in range(10)],
            ("depot-1", "meta_battery_level"): [85] * 10,
            ("depot-1", "meta_signal_strength"): [-58] * 10,
        },
        events={("depot-1", "device_discovered"): 1},
    )


def _corrected() -> Story:
    """The last that came counts where a device says two values of one moment."""
    say = {"timestamp": stamp(1), "data": {"temperature_celsius": 1}}
    correct = {"timestamp": stamp(1), "data": {"temperature_celsius": 2}}
    return Story(
        "a sensor that corrects itself",
        [_json("sensors/temperature/twice-1", say), _json("sensors/temperature/twice-1", correct)],
        {("twice-1", "temperature_celsius"): (2,)},
        events={("twice-1", "device_discovered"): 1},
    )


def _generic() -> Story:
    return Story(
        "a press of any make",
        [
            _json("factory/press-1/data", {"ts": stamp(n), "motor": {"speed": n, "on": True}})
            for n in range(4)
        ],
        {("press-1", "motor.speed"): (0, 1, 2, 3), ("press-1", "motor.on"): (1, 1, 1, 1)},
        events={("press-1", "device_discovered"): 1},
    )


def _hostile() -> Story:
    good = {"measurements": [{"type": "x", "val": 1, "ts": stamp(0)}]}
    mixed = [
        {"type": "x", "val": 2, "ts": stamp(1)},
        {"type": "x", "val": "NaN", "ts": stamp(2)},
        {"type": "x", "ts": stamp(3)},
        7,
    ]
    deep = b"[" * 5_000 + b"]" * 5_000
    return Story(
        "whoever means harm",
        [
            _json("iot/harm-1/telemetry", good),
            ("iot/harm-1/telemetry", b""),
            ("iot/harm-1/telemetry", b"\xff\xfe\x00"),
            ("iot/harm-1/telemetry", b'{"measurements": [{"type": "x", "val": 1e'),
            ("iot/harm-1/telemetry", b"[]"),
            ("iot/harm-1/telemetry", deep),
            ("iot/harm-1/telemetry", b'{"measurements": [{"type": "x", "val": 1e999}]}'),
            _json("iot/harm-1/telemetry", {"measurements": mixed}),
            _json(
                "iot/harm-1/telemetry",
                {"measurements": [{"type": "'; DROP TABLE--", "val": 3, "ts": stamp(4)}]},
            ),
        ],
        {("harm-1", "x"): (1, 2), ("harm-1", "'; DROP TABLE--"): (3,)},
        events={("harm-1", "device_discovered"): 1},
        letters={
            ("harm-1", "empty_payload"): 1,
            ("harm-1", "not_utf8"): 1,
            ("harm-1", "bad_json"): 2,
            ("harm-1", "bad_root"): 1,
            ("harm-1", "not_finite"): 1,
            ("harm-1", "bad_value"): 1,
            ("harm-1", "missing_value"): 1,
            ("harm-1", "not_object"): 1,
        },
    )


def _hostile_name() -> Story:
    body = {"timestamp": stamp(0), "data": {"a\u0000b\U0001f600": 5, "temperature_celsius": 1}}
    return Story(
        "a sensor with a hostile name of a value",
        [_json("sensors/temperature/harm-2", body)],
        {("harm-2", "temperature_celsius"): (1,)},
        events={("harm-2", "device_discovered"): 1},
        letters={("harm-2", "bad_type"): 1},
    )


STORIES: Final[tuple[Story, ...]] = (
    _f2_current(), _f2_legacy(), _meter_in_order(), _meter_with_gaps(), _meter_restarts(),
    _meter_late(), _sensors(), _corrected(), _generic(), _hostile(), _hostile_name(),
)  # fmt: skip
