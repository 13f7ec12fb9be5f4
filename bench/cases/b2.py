"""B2: the same devices through Mosquitto, beside a null subscriber on the same machine.

Rounds alternate, so that what else the machine does meets both alike. Each has a Mosquitto of its
own: a broker with two subscribers would deliver everything twice.
"""

from statistics import median

from bench.bench import Bench
from bench.checks import check_books, check_readings, require
from bench.fleet import add_f2
from bench.measuring import Line, Passage
from bench.mosquitto import Mosquitto, is_installed
from bench.process import Worker
from bench.report import at_least
from bench.sources import SECOND_NS, f2_expected
from bench.stack import Stack

DEVICES = 1000


def run(bench: Bench) -> None:
    """Measure rounds of the null subscriber and of Millrace in turn."""
    if not is_installed():
        bench.row("through Mosquitto", None, note="Mosquitto is not installed")
        return
    messages, rounds = bench.size(400, 30), bench.size(3, 1)
    with (
        Mosquitto(bench.folder("null")) as bare,
        Mosquitto(bench.folder("broker")) as broker,
    ):
        url = f"mqtt://127.0.0.1:{broker.port}"
        stack = Stack(bench.folder("b2"), environment={"MILLRACE_BROKER__URL": url})
        add_f2(stack.settings, DEVICES)
        with stack:
            line = Line(stack, "f2", DEVICES)
            line.send(bench.size(50, 5), "--port", broker.port)
            nulls, ours, broker_cpu_s = [], [], []
            for _ in range(rounds):
                nulls.append(_null(bare.port, messages))
                before = broker.cpu_s
                ours.append(line.send(messages, "--port", broker.port))
                broker_cpu_s.append(broker.cpu_s - before)
            check_books(stack.books(), {"f2": line.sent * DEVICES})
        expected = f2_expected(DEVICES, line.sent)
        check_readings(stack.settings, expected, every_ns=SECOND_NS)
    bench.detail("null subscriber", nulls)
    bench.detail("millrace", [passage.figures() for passage in ours])
    bench.detail("mosquitto_cpu_s", broker_cpu_s)
    _rows(bench, nulls, ours)


def _null(port: int, messages: int) -> dict[str, float]:
    """Return how fast the null subscriber drained a load, and what it cost."""
    wanted = messages * DEVICES
    with (
        Worker("bench.load", "f2", "--port", port, "--messages", messages) as load,
        Worker("bench.null_subscriber", "--port", port, "--messages", wanted) as subscriber,
    ):
        load.wait_ready()
        subscriber.wait_ready()
        load.go()
        sent, found = load.result(), subscriber.result()
    require(found["messages"] == wanted, f"the null subscriber got {found['messages']:,}")
    seconds = found["ended"] - sent["started"]
    return {"per_s": wanted / seconds, "cpu_us_per_message": 1e6 * found["cpu_s"] / wanted}


def _rows(bench: Bench, nulls: list[dict[str, float]], ours: list[Passage]) -> None:
    null, rate = median(one["per_s"] for one in nulls), median(one.rate for one in ours)
    bench.row("null subscriber behind Mosquitto", null, "msg/s")
    bench.row("Millrace behind Mosquitto, to the ledger", rate, "msg/s")
    bench.row("  over the null subscriber", rate / null, "times", at_least(0.75))
    cpu_us = median(one.cpu_us for one in ours)
    bench.row("  processor, edge + core", cpu_us, "µs/msg")
