"""How a controller says things: the current form, the legacy form, and older words.

Source: F2-050, F2-054, F2-060, F2-171.
"""

import json
from enum import Enum
from random import Random
from typing import Final, NamedTuple

from millrace.simulate.stamps import Form


class Speech(Enum):
    """The three forms of F2-171."""

    CURRENT = "current"
    LEGACY = "legacy"
    WORDS = "words"


STAMP_FORMS: Final = {
    Speech.CURRENT: Form.BLANK_US,
    Speech.LEGACY: Form.T_US,
    Speech.WORDS: Form.EPOCH,
}
SCANS: Final = ("b'\"Hello World\"'", "b'USER12345'", "b'ACCESS_CARD_789'", "b'QR_CODE_ABC123'")

# The reply of a reader's indicator: STX, its number, what it shows, ETX.
_REPLY: Final = "b'\\x02\\x02\\x01\\x00\\x00\\x00\\x{code:02x}\\x03'"

_STATES: Final = {
    "strike": ("locked", "unlocked"),
    "siren": ("inactive", "active"),
}


class Part(NamedTuple):
    """Where a component is: `name` holds its number (`strike-1`), `type` does not."""

    mode: str
    connector: str
    type: str
    name: str

    def topic(self, device_id: str, speech: Speech) -> str:
        """Return the topic under which it publishes."""
        kind = "tele" if self.type in ("reader", "sensor") else "stat"
        connector = self.connector
        if speech is Speech.LEGACY:
            kind = "cmnd"
        elif speech is Speech.WORDS:
            connector = connector.removeprefix("J")
        return f"{kind}/{device_id}/{self.mode}/{connector}/{self.name}"


def switch(part: Part, speech: Speech, *, is_on: bool) -> str:
    """Return the members of a strike, a siren or a motion sensor."""
    if speech is not Speech.WORDS:
        return f'"status": {_json(is_on)}'
    if part.type == "motion-sensor":
        return f'"motion_detected": {_json(is_on)}, "sensitivity": 80, "zone": "hall"'
    word = _STATES.get(part.type)
    if word is None:
        return f'"status": "{"on" if is_on else "off"}"'
    members = f'"state": "{word[is_on]}"'
    if part.type == "strike":
        volts, amperes = (12.1, 0.48) if is_on else (0.0, 0.0)
        return f'{members}, "voltage": {volts}, "current": {amperes}'
    return f'{members}, "volume": {95 if is_on else 0}, "pattern": "continuous"'


def contacts(part: Part, speech: Speech, states: list[bool], changed: int) -> str:
    """Return the members of door contacts or exit buttons; `changed` is the one that moved."""
    if speech is Speech.WORDS and part.type == "door-sensors":
        words = ((n, "open" if one else "closed") for n, one in enumerate(states, 1))
        return ", ".join(f'"door_{n}": "{word}"' for n, word in words)
    if speech is Speech.WORDS and part.type == "exit-buttons":
        return f'"button_pressed": {_json(states[changed])}, "button_id": {changed + 1}'
    stem = part.type.removesuffix("s")
    return ", ".join(f'"{stem}-{n}": {_json(one)}' for n, one in enumerate(states, 1))


def scan(speech: Speech, rng: Random) -> str:
    """Return the members of a scan."""
    text = SCANS[int(rng.random() * len(SCANS))]
    if speech is not Speech.WORDS:
        return f'"data": {json.dumps(text)}'
    signal = 60 + int(40 * rng.random())
    card = json.dumps(text[2:-1].strip('"'))
    return f'"card_id": {card}, "read_type": "qr", "signal_strength": {signal}'


def reply(code: int) -> str:
    """Return the members of a reader's answer to an indicator command."""
    return f'"data": {json.dumps(_REPLY.format(code=code))}'


def _json(value: bool) -> str:  # noqa: FBT001 - the value itself, not a switch
    return "true" if value else "false"
