"""What the core's metrics say of sequences: MON-143 to MON-146."""

import json

from millrace.adapters.ledger_memory import MemoryLedger
from millrace.flow.pump import Pump
from millrace.flow.pump_metrics import PumpMetrics
from millrace.observe import Metrics
from millrace.settings import Settings
from millrace.wiring.middle import build_middle
from tests.middle.rig import BookFleet, Rig, Sent


def numbered(seq: int, at_s: float, device: str = "m1", made_s: float | None = None) -> Sent:
    ts = 1_772_366_400 + (at_s if made_s is None else made_s)
    body = {"seq": seq, "ts": ts, "measurements": [{"type": "x", "val": seq}]}
    return Sent(f"iot/{device}/telemetry", json.dumps(body).encode(), at_s)


def test_mon_143_to_146_sequences_are_counted() -> None:
    rig, metrics = Rig(), Metrics(["core"], version="1")
    pump = Pump(
        log=rig.log,
        ledger=MemoryLedger(rig.books),
        fleet=BookFleet(rig.books),
        middle=build_middle(Settings(), partitions=1),
        clock=rig.clock,
        observed=PumpMetrics(metrics.core).committed,
    )
    pump.start()

    def after(*messages: Sent) -> str:
        rig.append(*messages)
        rig.clock.advance(3)
        pump.drain()
        return metrics.exposition()[0].decode()

    text = after(numbered(5000, 0), numbered(5004, 1), numbered(1, 0, "m2"), numbered(3, 1, "m2"))
    assert 'millrace_sequence_missing_total{family="meter"} 4.0' in text
    assert 'millrace_sequence_gaps_open{family="meter"} 2.0' in text
    text = after(numbered(2, 2, "m2", made_s=0.5), numbered(5001, 2, made_s=0.5))
    assert 'millrace_sequence_filled_total{family="meter"} 2.0' in text
    assert 'millrace_sequence_gaps_open{family="meter"} 1.0' in text
    text = after(numbered(0, 60), numbered(100_000, 61))
    assert 'millrace_sequence_resets_total{reason="reboot"} 1.0' in text
    assert 'millrace_sequence_resets_total{reason="jump"} 1.0' in text
    assert 'millrace_sequence_gaps_open{family="meter"} 0.0' in text
