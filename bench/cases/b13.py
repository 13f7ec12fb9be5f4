"""B13: how soon everything is ready, with a month of history, and after a kill at full load."""

from statistics import median

from bench.bench import Bench
from bench.checks import require
from bench.history import stack_with_history
from bench.process import Worker
from bench.report import at_most
from bench.stack import Stack, wait_until

DEVICES = 1000
# Beyond the numbers that the devices of an earlier case have used, and not in the future yet.
FIRST = 300


def run(bench: Bench) -> None:
    """Start and stop in order a few times, then kill everything while messages pour in."""
    stack = stack_with_history(bench, "B13")
    try:
        ordered = []
        for _ in range(bench.size(3, 1)):
            ordered.append(stack.start())
            stack.stop()
        stack.start()
        acknowledged = _killed(stack, bench.size(80_000, 10_000))
        after_kill = stack.start()
        received = stack.books().received["meter"]
        require(received >= acknowledged, f"{acknowledged - received:,} messages are lost")
        stack.wait_until_stored(received)
        books = stack.books()
    finally:
        stack.kill()
    require(not books.difference, f"the books do not balance by {books.difference:,}")
    bench.detail("starts_s", ordered)
    bench.detail("acknowledged_before_the_kill", acknowledged)
    bench.row("start, ready after", median(ordered), "s", at_most(3))
    bench.row("  slowest", max(ordered), "s", at_most(3))
    bench.row("start after a kill at full load, ready after", after_kill, "s", at_most(5))


def _killed(stack: Stack, messages: int) -> int:
    """Kill everything when so many messages have come, of three times as many.

    Returns how many had been acknowledged until then.
    """
    before = stack.books().received["meter"]

    def has_come() -> bool:
        return stack.books().received["meter"] >= before + messages

    with Worker(
        "bench.load", "meter", "--port", stack.mqtt_port, "--devices", DEVICES,
        "--messages", 3 * messages // DEVICES, "--first", FIRST,
    ) as load:  # fmt: skip
        load.wait_ready()
        load.go()
        wait_until(has_come, timeout_s=60, what="full load")
        stack.kill()
        sent = load.result()
    require(bool(sent["lost"]), "the load was over before the kill: not at full load")
    return before + int(sent["messages"])
