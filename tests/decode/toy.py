"""A device family of a few lines, for tests of what is around the codecs."""

from millrace.errors import RejectError
from millrace.model.codec import Address
from millrace.model.decoded import Decoded
from millrace.model.device import DeviceProfile
from millrace.model.series import Slots


class ToyPlan:
    """`payload` is numbers separated by blanks; `boom` is a bug, `bad` a refusal after readings."""

    def __init__(self, device_id: str, slots: Slots) -> None:
        self._device_id = device_id
        self._slots = slots

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        for n, word in enumerate(payload.split()):
            if word == b"boom":
                raise ZeroDivisionError
            if word == b"bad":
                raise RejectError("bad_json", "as asked")
            if word == b"odd":
                out.reject("bad_value", f"word-{n}", n)
            elif word == b"hello":
                out.event("hello", self._device_id, received_at_ns)
            else:
                slot = self._slots.slot(self._device_id, "m", str(n), unit="V")
                out.reading(slot, received_at_ns, float(word))


class ToyCodec:
    """Topics `toy/<device>`; a longer one is `bad_topic`."""

    family = "toy"

    def address(self, topic: str) -> Address | None:
        levels = topic.split("/")
        if levels[0] != "toy":
            return None
        if len(levels) != 2:
            raise RejectError("bad_topic", "two levels")
        return Address("toy", "telemetry", levels[1])

    def compile(self, topic: str, profile: DeviceProfile, slots: Slots) -> ToyPlan:
        return ToyPlan(profile.device_id, slots)
