"""B8: what a message costs as series grow: F2 controllers and meters, six to one, all the way.

Each size has a stack of its own. A first round makes series and plans known; what is measured
comes after it, from the same devices, over a hundred connections.
"""

from typing import Any

from bench.bench import Bench
from bench.checks import check_books, check_readings
from bench.fleet import add_f2, add_meters
from bench.measuring import Line, MemorySampler
from bench.report import at_least, at_most
from bench.sources import MIXED_GROUP, SECOND_NS, f2_expected, meter_expected
from bench.stack import Stack

CONNECTIONS = 100
IN_FLIGHT = 50
# A group of seven devices has twenty series. Size -> groups, messages of each device.
SIZES = {"1 k": (50, 700), "10 k": (500, 100), "100 k": (5_000, 10), "1 M": (50_000, 1)}
QUICK = {"1 k": (50, 20), "10 k": (500, 2)}
MOST_MIB = 3 * 1024
# A third of a million devices are looked up and compiled, and their series made, once.
FIRST_CONTACT_S = 360.0


def run(bench: Bench) -> None:
    """Measure one size after the other, each on a fresh stack."""
    sizes = QUICK if bench.is_quick else SIZES
    found = {name: _measure(bench, name, *size) for name, size in sizes.items()}
    first, (last, largest) = next(iter(found.values())), list(found.items())[-1]
    for name, figures in found.items():
        bench.row(f"{name} series", figures["rate"], "msg/s")
    bench.row(f"  {last} over 1 k", largest["rate"] / first["rate"], "times", at_least(0.5))
    bench.row(f"  {last}, first message of each device", largest["first_rate"], "msg/s")
    bench.row(f"  {last}, resident, all processes", largest["rss_mib"], "MiB", at_most(MOST_MIB))


def _measure(bench: Bench, name: str, groups: int, each: int) -> dict[str, Any]:
    stack = Stack(bench.folder(f"b8-{groups}"), patience_s=FIRST_CONTACT_S)
    controllers = groups * (MIXED_GROUP - 1)
    add_f2(stack.settings, controllers)
    add_meters(stack.settings, groups)
    with stack, MemorySampler(stack) as memory:
        line = Line(stack, "mixed", groups * MIXED_GROUP)
        words = (
            "--port", stack.mqtt_port, "--connections", CONNECTIONS, "--in-flight", IN_FLIGHT,
        )  # fmt: skip
        first = line.send(1, *words)
        passage = line.send(each, *words)
        check_books(stack.books(), {"f2": line.sent * controllers, "meter": line.sent * groups})
    expected = f2_expected(controllers, line.sent) | meter_expected(groups, line.sent)
    check_readings(stack.settings, expected, every_ns=SECOND_NS)
    bench.detail(name, passage.figures())
    bench.detail(f"{name}, first messages", first.figures())
    bench.detail(f"{name}, memory", memory.most_by_process())
    return {
        "rate": passage.rate,
        "first_rate": first.rate,
        "rss_mib": memory.most_resident_mib,
    }
