"""D-27: registry rows come at a pace that only receive times decide; readings always come."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.codecs import built_in
from millrace.decode.redelivery import RedeliveryMemory
from millrace.decode.registration import Pace, Registration
from millrace.decode.router import Router
from millrace.decode.sequence import SequenceTracker
from millrace.middle import Middle
from millrace.model.series import SeriesBook
from tests.middle.rig import PARTITIONS, Rig, Sent, stored


def paced() -> Middle:
    """Two rows at once in each partition, then one every two seconds."""
    book = SeriesBook()
    registration = Registration(pace=Pace(PARTITIONS, burst=2 * PARTITIONS, per_s=1))
    tracker, redelivery = SequenceTracker(), RedeliveryMemory()
    return Middle(Router(built_in(), book), book, tracker, redelivery, registration)


def reading(device: int, at_s: float) -> Sent:
    return Sent(f"sensors/temperature/s{device}", b'{"data":{"temperature_celsius":1}}', at_s)


def run(*groups: list[Sent], restarts: bool = False) -> Rig:
    rig = Rig()
    pump = rig.pump(middle=paced())
    for group in groups:
        rig.append(*group)
        if restarts:
            pump = rig.pump(middle=paced())
        pump.drain()
        rig.clock.advance(0.01)
    return rig


def test_d27_a_device_that_had_to_wait_gets_its_row_with_a_later_message() -> None:
    rig = run([reading(n, 0) for n in range(12)])
    assert len(rig.books.devices) == 2 * PARTITIONS
    assert sum(rig.books.counts.values()) == 12
    assert not rig.books.letters
    for n in range(12):
        rig.append(reading(n, 100))
    rig.pump(middle=paced()).drain()
    assert len(rig.books.devices) > 2 * PARTITIONS
    found = [row.event.device_id for row in rig.books.events]
    assert sorted(found) == sorted(rig.books.devices)


times = st.lists(st.sampled_from([0.0, 0.001, 0.4, 1.0, 2.0, 9.0]), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(times, st.data())
def test_p9_d27_cuts_and_restarts_change_no_row(steps: list[float], data: st.DataObject) -> None:
    log, at_s = [], 0.0
    for step in steps:
        at_s += step
        log.append(reading(data.draw(st.integers(0, 15)), at_s))
    cuts = sorted({0, len(log), *data.draw(st.lists(st.integers(0, len(log)), max_size=5))})
    groups = [log[a:b] for a, b in pairwise(cuts)]
    whole = stored(run(log).books)
    assert stored(run(*groups).books) == whole
    assert stored(run(*groups, restarts=True).books) == whole
    assert stored(run(*([one] for one in log)).books) == whole
