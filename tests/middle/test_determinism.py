"""P9: the same log gives the same results, however it is cut into batches or interrupted."""

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.adapters.ledger_memory import MemoryLedger
from millrace.errors import RejectError
from millrace.flow.pump import PumpLimits
from millrace.model.message import DUP, REPLAYED, RETAIN
from millrace.model.work import Committed, Effects
from tests.middle.rig import Rig, Sent, stored

QOS1 = 1
F2 = "stat/f2-e4fd45f654be/access-control-mode/J2/"


def meter(device: str, seq: int | None, value: float, **more: object) -> tuple[str, bytes]:
    body = {"v": 2, "msg_type": "telemetry", "ts": f"2026-03-01T11:{seq or 0:02}:00Z", **more}
    if seq is not None:
        body["seq"] = seq
    body["measurements"] = [{"type": "voltage_dc", "val": value, "unit": "V"}, {"type": "x"}]
    return f"iot/{device}/telemetry", json.dumps(body).encode()


numbers = st.integers(0, 59)
values = st.sampled_from([1.5, 700.0, -3.0, 1e9])
devices = st.sampled_from(["m1", "m2"])
meters = st.builds(meter, devices, st.one_of(numbers, st.none()), values)
hellos = st.builds(
    lambda device, seq, uptime, fw_version: (
        f"iot/{device}/hello",
        json.dumps({"seq": seq, "msg_type": "hello", "uptime_s": uptime,
                    "ts": 1772366300 + (seq or 0), "fw_version": fw_version}).encode(),
    ),
    devices, st.one_of(numbers, st.none()), st.integers(0, 5000),
    st.sampled_from(["2.1.0", "2.2.0", None]),
)  # fmt: skip
states = st.builds(
    lambda device, word: (f"iot/{device}/status", b'{"status":"%s"}' % word.encode()),
    devices,
    st.sampled_from(["online", "offline", "asleep"]),
)
rooms = st.builds(
    lambda n, value: (
        f"sensors/temperature/s{n}",
        b'{"location":"L%d","data":{"temperature_celsius":%s},"metadata":{"battery_level":50}}'
        % (n, value),
    ),
    st.integers(0, 3),
    st.sampled_from([b"1", b"20.5", b"NaN", b'"warm"']),
)
doors = st.sampled_from(
    [
        (F2 + "strike-1", b'{"status": true}'),
        (F2 + "door-sensors", b'{"timestamp":"2026-03-01 12:00:00","door-sensor-1":true}'),
        (F2 + "reader-1", b'{"data":"b\'CARD\'"}'),
        (F2 + "strike-1", b'{"status": "perhaps"}'),
    ]
)
noise = st.sampled_from([("iot/m1/telemetry", b"\xff"), ("nobody/m1", b"1"), ("iot/m1/x", b"{}")])
flags = st.sampled_from([QOS1, QOS1, QOS1, QOS1 | DUP, QOS1 | RETAIN | REPLAYED])
messages = st.one_of(meters, meters, hellos, states, rooms, doors, noise)


@st.composite
def logs(draw: st.DrawFn) -> list[Sent]:
    """A log with duplicates, gaps, reboots and whatever the families disagree about."""
    made: list[Sent] = []
    at_s = 0.0
    for _ in range(draw(st.integers(1, 25))):
        at_s += draw(st.sampled_from([0.0, 0.001, 1.0, 9.0, 11.0, 700.0]))
        if made and draw(st.integers(0, 3)) == 0:
            again = draw(st.sampled_from(made))
            made.append(Sent(again.topic, again.payload, at_s, QOS1 | DUP))
        else:
            topic, payload = draw(messages)
            made.append(Sent(topic, payload, at_s, draw(flags)))
    return made


@st.composite
def cut_logs(draw: st.DrawFn) -> tuple[list[Sent], list[list[Sent]]]:
    log = draw(logs())
    cuts = draw(st.lists(st.integers(0, len(log)), max_size=6))
    places = sorted({0, *cuts, len(log)})
    return log, [log[start:end] for start, end in pairwise(places)]


@settings(max_examples=120, deadline=None)
@given(cut_logs())
def test_p9_cuts_change_nothing(made: tuple[list[Sent], list[list[Sent]]]) -> None:
    log, groups = made
    one_by_one = Rig().run(*([message] for message in log))
    cut = Rig(limits=PumpLimits(max_messages=4)).run(*groups)
    assert stored(cut.books) == stored(one_by_one.books)
    assert sum(one_by_one.books.counts.values()) == len(log), "P8"


@settings(max_examples=120, deadline=None)
@given(cut_logs(), st.booleans())
def test_p9_restarts_change_nothing(
    made: tuple[list[Sent], list[list[Sent]]],
    is_snapshot_due: bool,  # noqa: FBT001 - drawn
) -> None:
    log, groups = made
    without = Rig().run(log)
    rig = Rig()
    for group in groups:
        rig.append(*group)
        rig.clock.advance(100.0 if is_snapshot_due else 0.01)
        rig.pump().drain()
    assert stored(rig.books) == stored(without.books)


class Refusing(MemoryLedger):
    """A ledger that cannot hold one of the values."""

    def commit(self, effects: Effects) -> Committed:
        if (effects.readings.value == 1e9).any():
            raise RejectError("store_rejected", "too large a value")
        return super().commit(effects)


@settings(max_examples=120, deadline=None)
@given(cut_logs())
def test_p9_p7_cuts_change_nothing_when_the_ledger_refuses_some(
    made: tuple[list[Sent], list[list[Sent]]],
) -> None:
    log, groups = made
    one_by_one, cut = Rig(), Rig()
    one_by_one.run(*([message] for message in log), ledger=Refusing(one_by_one.books))
    cut.run(*groups, ledger=Refusing(cut.books))
    assert stored(cut.books) == stored(one_by_one.books)
    assert sum(cut.books.counts.values()) == len(log), "P8"
