"""Devices of a foreign make (paho) that know what was acknowledged to them."""

import threading
import time

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
        self._sent: list[paho.MQTTMessageInfo] = []
        self._pause_s = 1 / rate
        self._over = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.max_inflight_messages_set(100)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._send, daemon=True)

    @property
    def sent(self) -> int:
        """How many messages were published."""
        return len(self._sent)

    @property
    def acknowledged(self) -> set[int]:
        """The numbers of the messages that were acknowledged."""
        # What was published without a connection is queued; asking it politely would raise.
        return {n for n, info in enumerate(self._sent) if info._published}

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
            topic, body = self._message(self.sent)
            self._sent.append(self._client.publish(topic, body, qos=1))
            self._over.wait(self._pause_s)

    def _message(self, n: int) -> tuple[str, str]:
        body = f'{{"timestamp":{START_S + n},"data":{{"temperature_celsius":{n}}}}}'
        return f"sensors/temperature/{self.name}", body


class CountingMeter(CountingDevice):
    """The same as a rail meter, which numbers its messages."""

    def _message(self, n: int) -> tuple[str, str]:
        body = (
            f'{{"v":2,"seq":{n},"msg_type":"telemetry","ts":{START_S + n},'
            f'"measurements":[{{"type":"temperature_celsius","val":{n}}}]}}'
        )
        return f"iot/{self.name}/telemetry", body


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
