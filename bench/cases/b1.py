"""B1: 1,000 F2 controllers at the own endpoint, QoS 1, three readings a message, all the way.

A message counts when its three readings are committed in the ledger, not when it is acknowledged.
"""

from bench.bench import Bench
from bench.certificate import make_certificate
from bench.checks import check_books, check_readings
from bench.fleet import add_f2
from bench.measuring import Line, MemorySampler
from bench.report import at_least, at_most
from bench.sources import SECOND_NS, f2_expected
from bench.stack import Stack

DEVICES = 1000


def run(bench: Bench) -> None:
    """Measure rounds of 10 in flight, then 1 in flight, then TLS, all on one stack."""
    folder = bench.folder("b1")
    stack = Stack(folder, certificate=make_certificate(folder))
    add_f2(stack.settings, DEVICES)
    with stack:
        line = Line(stack, "f2", DEVICES)
        plain, tls = ("--port", stack.mqtt_port), ("--port", stack.tls_port, "--tls")
        line.send(bench.size(100, 10), *plain)
        with MemorySampler(stack) as memory:
            tens = [line.send(bench.size(600, 50), *plain) for _ in range(bench.size(5, 1))]
        one = line.send(bench.size(200, 20), *plain, "--in-flight", 1)
        over_tls = line.send(bench.size(200, 20), *tls)
        check_books(stack.books(), {"f2": line.sent * DEVICES})
    expected = f2_expected(DEVICES, line.sent)
    bench.detail("readings", check_readings(stack.settings, expected, every_ns=SECOND_NS))
    tens.sort(key=lambda passage: passage.rate)
    ten = tens[len(tens) // 2]
    bench.detail("10 in flight, each round", [passage.figures() for passage in tens])
    bench.detail("1 in flight", one.figures())
    bench.detail("TLS", over_tls.figures())
    bench.detail("resident_mib", memory.most_by_process())
    bench.row("10 in flight each, plain", ten.rate, "msg/s", at_least(120_000))
    bench.row("  processor, edge + core", ten.cpu_us, "µs/msg", at_most(9))
    bench.row("1 in flight each, plain", one.rate, "msg/s", at_least(45_000))
    bench.row("10 in flight each, TLS", over_tls.rate, "msg/s")
    bench.row("memory, all processes, shared once", memory.most_mib, "MiB", at_most(600))
    bench.row("  plain sum of resident sizes", memory.most_resident_mib, "MiB")
    bench.row("  last third over middle third", memory.growth, "times", at_most(1.1))
