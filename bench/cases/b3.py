"""B3: rail meters, 20 measurements a datagram, with sequence, units and ranges checked."""

from statistics import median

from bench.bench import Bench
from bench.checks import check_books, check_readings, require, rows
from bench.fleet import add_meters
from bench.measuring import Line
from bench.report import at_least
from bench.sources import INSTANTS, SECOND_NS, meter_expected
from bench.stack import Stack

DEVICES = 1000


def run(bench: Bench) -> None:
    """Measure rounds of datagrams."""
    stack = Stack(bench.folder("b3"))
    add_meters(stack.settings, DEVICES)
    with stack:
        line = Line(stack, "meter", DEVICES)
        port = ("--port", stack.mqtt_port)
        line.send(bench.size(10, 5), *port)
        passages = [line.send(bench.size(80, 20), *port) for _ in range(bench.size(3, 1))]
        check_books(stack.books(), {"meter": line.sent * DEVICES})
    expected = meter_expected(DEVICES, line.sent)
    check_readings(stack.settings, expected, every_ns=SECOND_NS)
    # The sequence was followed: numbers in order, so no gap and nothing twice.
    gaps = rows(stack.settings, "SELECT sum(gap_count), sum(duplicates) FROM device_seq_tracking")
    require(gaps in ([(0, 0)], [(None, None)]), f"gaps and duplicates: {gaps}")
    rate = median(passage.rate for passage in passages)
    bench.detail("rounds", [passage.figures() for passage in passages])
    bench.row("20 measurements each, to the ledger", rate, "msg/s", at_least(25_000))
    bench.row("  readings", rate * 2 * INSTANTS, "/s", at_least(500_000))
    cpu_us = median(passage.cpu_us for passage in passages)
    bench.row("  processor, edge + core", cpu_us, "µs/msg")
