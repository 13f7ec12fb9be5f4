"""A thermometer that publishes with QoS 1 and waits until each message is durable.

    python -m examples.device.thermometer --host 127.0.0.1 --port 1883 --count 10

It needs `paho-mqtt`. `publish` returns at once; `wait_for_publish` returns when the PUBACK is
there, and a PUBACK from Millrace means that the message is on the disk.
"""

import argparse
import json
import math
import sys
import time
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

TOPIC = "sensors/temperature/{device_id}"
TIMEOUT_S = 10


def message(number: int, at: datetime) -> str:
    """Return the payload of one measurement."""
    celsius = round(21 + 2 * math.sin(number / 10), 2)
    return json.dumps(
        {
            "device_type": "temperature_sensor",
            "location": "Attic",
            "timestamp": at.isoformat(timespec="milliseconds"),
            "data": {"temperature_celsius": celsius},
            "metadata": {"battery_level": 87, "signal_strength": -61},
        }
    )


def main(arguments: list[str]) -> int:
    """Publish until done; return 1 when a message was not acknowledged in time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--device", default="attic-1")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds")
    options = parser.parse_args(arguments)
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=options.device, protocol=mqtt.MQTTv5
    )
    client.connect(options.host, options.port)
    client.loop_start()
    try:
        for number in range(options.count):
            payload = message(number, datetime.now(UTC))
            sent = client.publish(TOPIC.format(device_id=options.device), payload, qos=1)
            sent.wait_for_publish(TIMEOUT_S)
            if not sent.is_published():
                sys.stderr.write(f"message {number} was not acknowledged\n")
                return 1
            sys.stdout.write(f"{number}: {payload}\n")
            if number + 1 < options.count:
                time.sleep(options.interval)
    finally:
        client.disconnect()
        client.loop_stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
