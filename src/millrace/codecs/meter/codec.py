"""The meter codec: topics of rail power meters and the plans that read them.

The topic decides everything: whose message it is (level 2) and what it is (the rest).
Source: meter.md section 1.
"""

from collections.abc import Callable

from millrace.codecs.meter.notices import AckPlan, HelloPlan, OtaPlan, StatusPlan
from millrace.codecs.meter.options import MeterOptions
from millrace.codecs.meter.telemetry import TelemetryPlan
from millrace.codecs.meter.together import CATEGORY, DatagramColumns
from millrace.errors import RejectError
from millrace.model.codec import Address, Plan
from millrace.model.device import DeviceProfile
from millrace.model.payload import device_id_of
from millrace.model.series import Slots

FAMILY = "meter"

CATEGORIES = {
    "telemetry": "telemetry",
    "hello": "hello",
    "status": "status",
    "command/ack": "command_ack",
    "ota/status": "ota_status",
}

_NOTICES: dict[str, Callable[[str, Slots, MeterOptions], Plan]] = {
    "status": StatusPlan,
    "command_ack": AckPlan,
    "ota_status": OtaPlan,
}


class MeterCodec:
    """The device family `meter`."""

    family = FAMILY

    def __init__(self, options: MeterOptions | None = None) -> None:
        self._options = options or MeterOptions()
        self._together = DatagramColumns(self._options)

    def address(self, topic: str) -> Address | None:
        """Return whose message `iot/...` carries; None for other topics.

        Raises:
            RejectError: `bad_topic` for an unknown suffix, `command` included (MTR-003), or
                `bad_device_id` (MTR-004).
        """
        root, _, rest = topic.partition("/")
        if root != "iot":
            return None
        level, _, suffix = rest.partition("/")
        category = CATEGORIES.get(suffix)
        if category is None:
            raise RejectError("bad_topic", "no category of the meter family ends like this topic")
        return Address(FAMILY, category, device_id_of(level))

    def compile(self, topic: str, profile: DeviceProfile, slots: Slots) -> Plan:
        """Return the plan for a topic that `address` has accepted."""
        address = self.address(topic)
        if address is None:
            raise RejectError("bad_topic", "not a topic of the meter family")
        device_id, options = address.device_id, self._options
        if address.category == CATEGORY:
            return TelemetryPlan(device_id, slots, options, self._together)
        if address.category == "hello":
            return HelloPlan(device_id, slots, options, profile.fw_version)
        return _NOTICES[address.category](device_id, slots, options)
