"""What simulated devices of the load say, and what must come of it.

Messages are numbered per device from 0; number `n` says the same in every run, so counts and sums
of what is stored are known beforehand.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice

from bench.checks import Expected
from bench.fleet import mac

# The first message tells of an instant two hours ago: of today, because what happens to readings
# of a date that is over (they are merged again and again) is not what a live system does. The
# processes of one run share it.
START_S = int(os.environ.setdefault("BENCH_START_S", str(int(time.time()) - 7_200)))
SECOND_NS = 1_000_000_000
INSTANTS = 10
DAY_S = 86_400
MIXED_GROUP = 7

Message = tuple[bytes, bytes]


def f2_messages(device: int, first: int = 0) -> Iterator[Message]:
    """Yield RS-485 messages of one F2 controller: three readings each, one message a second."""
    topic = b"tele/f2-%s/sensor-mode/J1/sensor-1" % mac(device).encode()
    n = first
    while True:
        frame = b"01 03 06 09 %02X 11 94 01 %02X 0D 3B" % (n % 256, (device + n) % 256)
        yield topic, b'{"timestamp": "%s.%06d", "data": "%s"}' % (_blank(n), device, frame)
        n += 1


def f2_stamped(device: int) -> tuple[bytes, Callable[[int, float], bytes]]:
    """Return the topic of a controller, and what makes message `n` of an instant (Unix, s)."""
    topic = b"tele/f2-%s/sensor-mode/J1/sensor-1" % mac(device).encode()
    frames = [
        b'", "data": "01 03 06 09 %02X 11 94 01 %02X 0D 3B"}' % (n, (device + n) % 256)
        for n in range(256)
    ]

    def payload(n: int, at_s: float) -> bytes:
        second, micros = divmod(round(at_s * 1_000_000), 1_000_000)
        return b'{"timestamp": "%s.%06d%s' % (_blank(second - START_S), micros, frames[n % 256])

    return topic, payload


def f2_expected(devices: int, messages: int) -> dict[str, Expected]:
    """Return what the readings of so many messages of each controller must be."""
    celsius = sum(9 * 256 + n % 256 for n in range(messages)) * devices / 100
    ppm = sum(256 + (d + n) % 256 for d in range(devices) for n in range(messages))
    return {
        "Temperature": Expected(devices, messages, celsius),
        "Humidity": Expected(devices, messages, 45.0 * devices * messages),
        "CO2": Expected(devices, messages, float(ppm)),
    }


def meter_messages(
    device: int, first: int = 0, *, late: Callable[[int], bool] = lambda _n: False
) -> Iterator[Message]:
    """Yield datagrams of one rail meter: ten instants of voltage and current, numbered.

    Those for which `late` is true tell of instants a day earlier.
    """
    name = b"bench-meter-%05d" % device
    topic = b"iot/%s/telemetry" % name
    n = first
    while True:
        begin = n * INSTANTS - (DAY_S if late(n) else 0)
        stamps = [_zulu(begin + k) for k in range(INSTANTS)]
        items = b",".join(
            b'{"ts":"%s","type":"voltage_dc","val":%d.5,"unit":"V"},'
            b'{"ts":"%s","type":"current_dc","val":%d.5,"unit":"A"}'
            % (at, 700 + (n + k) % 100, at, 200 + (device + k) % 200)
            for k, at in enumerate(stamps)
        )
        yield (
            topic,
            b'{"v":2,"device_id":"%s","ts":"%s","seq":%d,"msg_type":"telemetry","measurements":[%s]}'
            % (name, stamps[-1], n, items),
        )
        n += 1


def late_meter_messages(device: int, first: int = 0) -> Iterator[Message]:
    """Yield datagrams of which one in a hundred is a day late."""
    return meter_messages(device, first, late=lambda n: (device + n) % 100 == 0)


def meter_expected(devices: int, messages: int) -> dict[str, Expected]:
    """Return what the readings of so many datagrams of each meter must be."""
    volts = sum(700.5 + (n + k) % 100 for n in range(messages) for k in range(INSTANTS))
    amperes = sum(200.5 + (d + k) % 200 for d in range(devices) for k in range(INSTANTS))
    return {
        "voltage_dc": Expected(devices, messages * INSTANTS, volts * devices),
        "current_dc": Expected(devices, messages * INSTANTS, amperes * messages),
    }


def mixed_messages(device: int, first: int = 0) -> Iterator[Message]:
    """Yield messages of one device of a fleet with six controllers for each meter."""
    group, place = divmod(device, MIXED_GROUP)
    if place == MIXED_GROUP - 1:
        return meter_messages(group, first)
    return f2_messages(group * (MIXED_GROUP - 1) + place, first)


SOURCES: dict[str, Callable[[int, int], Iterator[Message]]] = {
    "f2": f2_messages,
    "meter": meter_messages,
    "mixed": mixed_messages,
}


def messages_of(source: str, device: int, first: int, count: int) -> Iterator[Message]:
    """Yield messages `first` to `first + count` of one device."""
    return islice(SOURCES[source](device, first), count)


@cache
def _blank(n: int) -> bytes:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(START_S + n)).encode()


@cache
def _zulu(n: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START_S + n)).encode()
