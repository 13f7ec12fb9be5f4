"""What one message was found to say, before it becomes readings, events or a record.

Source: F2-025, F2-026, F2-042, F2-112.
"""

import re
from enum import Enum
from typing import Any, Final, NamedTuple

from millrace.errors import RejectError
from millrace.model.event import DeadLetter

MAX_VALUES: Final = 256
MAX_KEY_CHARS: Final = 64

_ELEMENT_CHARS: Final = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Kind(Enum):
    """What a finding is."""

    TRUTH = "truth"
    NUMBER = "number"
    TEXT = "text"
    SCAN = "scan"
    REPLY = "reader_reply"


class Found(NamedTuple):
    """One value of a message.

    `value` is a truth value, a number or a text, by `kind`. `flags` are the value's own quality,
    without those of the message. `label` names it in a decoded record, `element` in a dead letter.
    `point` is the id of its data point.
    """

    kind: Kind
    value: bool | float | str
    metric: str
    channel: str
    unit: str
    label: str
    element: str
    flags: int = 0
    point: int | None = None
    raw: str | None = None
    detail: dict[str, Any] | None = None


class Findings:
    """The values of one message in document order, at most 256 of them, and its dead letters."""

    __slots__ = ("found", "is_full", "is_map", "letters")

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.letters: list[DeadLetter] = []
        self.is_map = False
        self.is_full = False

    def add(self, found: Found) -> None:
        """Keep a value, or note once that there are too many."""
        if len(self.found) < MAX_VALUES:
            self.found.append(found)
        elif not self.is_full:
            self.is_full = True
            detail = f"more than {MAX_VALUES} values"
            self.letters.append(DeadLetter("limit", detail=detail))

    def reject(self, element: str, problem: RejectError) -> None:
        """Keep a dead letter for one element; behind the limit nothing is kept any more."""
        if not self.is_full:
            name = element.replace("\x00", "\ufffd")[:_ELEMENT_CHARS]
            self.letters.append(DeadLetter(problem.reason, name, detail=problem.detail))


def check_key(key: str) -> None:
    """Raise `bad_value` for a key that is too long or holds control characters.

    Source: F2-025.
    """
    if len(key) > MAX_KEY_CHARS or _CONTROL.search(key):
        raise RejectError("bad_value", "the key is too long or holds control characters")
