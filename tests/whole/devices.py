"""Devices of a foreign make (paho) that know what was acknowledged to them."""

import threading
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

START_S = 1_772_366_400


class CountingDevice:
    """Publishes numbered temperatures at QoS 1 and notes which numbers were acknowledged.

    Reading `n` has the value `n` and the time START_S + n, so whatever is stored can be told
    apart. After a lost connection paho connects again and sends what was not acknowledged again.
    """

    def __init__(self, name: str, port: int, *, rate: float) -> None:
        self.name = name
        self.acknowledged: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._pause_s = 1 / rate
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.on_publish = self._on_publish
        self._client.reconnect_delay_set(1, 1)
        self._client.max_inflight_messages_set(100)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._send)
        self.sent = 0

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def finish(self, timeout_s: float = 30.0) -> None:
        """Stop publishing, wait until everything is acknowledged, disconnect."""
        self._over.set()
        self._thread.join()
        deadline = time.monotonic() + timeout_s
        while len(self.acknowledged) < self.sent and time.monotonic() < deadline:
            time.sleep(0.05)
        self._client.disconnect()
        self._client.loop_stop()

    def _send(self) -> None:
        while not self._over.is_set():
            n = self.sent
            body = f'{{"timestamp":{START_S + n},"data":{{"temperature_celsius":{n}}}}}'
            with self._lock:
                info = self._client.publish(f"sensors/temperature/{self.name}", body, qos=1)
                self._numbers[info.mid] = n
                self.sent += 1
            self._over.wait(self._pause_s)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, props: Any) -> None:
        with self._lock:
            self.acknowledged.add(self._numbers.pop(mid))


def publish(
    port: int,
    *messages: tuple[str, bytes],
    qos: int = 1,
    version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
    retain: bool = False,
) -> None:
    """Publish messages in order, and return when all of them are acknowledged."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        sent = [client.publish(topic, body, qos=qos, retain=retain) for topic, body in messages]
        for info in sent:
            info.wait_for_publish(30)
    finally:
        client.disconnect()
        client.loop_stop()
