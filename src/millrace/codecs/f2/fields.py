"""Fields of a message: main field, legacy words, and the generic rule for everything else.

Source: f2.md sections 5 to 7, F2-082 to F2-085.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from millrace.codecs.f2.components import Legacy, Use
from millrace.codecs.f2.findings import Findings, Found, Kind, check_key
from millrace.codecs.f2.values import (
    add_any,
    compile_number,
    read_text,
    read_truth,
    reply_text,
)
from millrace.errors import RejectError
from millrace.model.numbers import read_quantity

READER: Final = "reader"
GENERIC: Final = "generic"
FRAME: Final = "frame"
BUTTON: Final = "button_pressed"
BUTTON_ID: Final = "button_id"

_DOOR = re.compile(r"door_([0-9]{1,9})")
_BUTTON_NUMBER = re.compile(r"[0-9]{1,9}")
_LARGEST_BUTTON: Final = 999_999_999

Main = Callable[[object, Mapping[str, Any]], Found]


class Fields(Protocol):
    """How the value of a payload becomes findings."""

    def collect(self, value: object, findings: Findings) -> None:
        """Add all that the payload says.

        Raises:
            RejectError: The message as a whole is bad.
        """
        ...


def is_reserved(key: str, value: object) -> bool:
    """Return whether a key of the payload is never a reading. Source: F2-021."""
    if key == "timestamp":
        return True
    return key == "seq" and type(value) is int and value >= 0


@dataclass(frozen=True, slots=True)
class Rule:
    """How a component is read: from the component table, or from a row of the registry.

    `is_row` is true for a row; only then a single free key may stand for the main field.
    """

    metric: str
    component_type: str
    encoding: str
    unit: str
    scale: float = 1.0
    is_row: bool = False
    legacy: Mapping[str, Legacy] = field(default_factory=dict)


def compile_fields(rule: Rule) -> Fields:
    """Return the reader of a component."""
    if rule.encoding == "boolean_map":
        return MapFields(rule)
    if rule.encoding == GENERIC and not rule.is_row:
        return GenericFields(rule)
    return MainFields(rule)


class GenericFields:
    """An unknown component: every key by the generic rule."""

    def __init__(self, rule: Rule) -> None:
        self._metric = rule.metric

    def collect(self, value: object, findings: Findings) -> None:
        """Add all members of an object, or the payload itself with an empty channel."""
        if type(value) is not dict:
            add_any(value, "", self._name, findings)
            return
        free = {key: item for key, item in value.items() if not is_reserved(key, item)}
        add_any(free, "", self._name, findings)

    def _name(self, path: str) -> tuple[str, str]:
        return self._metric, path


class MapFields:
    """A boolean map: one series per key."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def collect(self, value: object, findings: Findings) -> None:
        """Add a truth value for every key."""
        if type(value) is not dict:
            raise RejectError("bad_value", "a map of truth values must be an object")
        findings.is_map = True
        button = self._button(value)
        for key, item in value.items():
            if is_reserved(key, item) or (button and key == BUTTON_ID):
                continue
            try:
                self._add(key, item, button, findings)
            except RejectError as problem:
                findings.reject(key, problem)

    def _add(self, key: str, item: object, button: str, findings: Findings) -> None:
        check_key(key)
        rule = self._rule
        word = rule.legacy.get(key)
        if word is not None and word.use is not Use.MAIN:
            _add_word(word, key, item, rule.metric, findings)
            return
        channel = button if button and key == BUTTON else self._channel(key)
        truth = read_truth(item)
        findings.add(Found(Kind.TRUTH, truth, rule.metric, channel, rule.unit, channel, key))

    def _channel(self, key: str) -> str:
        if self._rule.component_type == "door-sensors":
            door = _DOOR.fullmatch(key)
            if door is not None:
                return f"door-sensor-{door[1]}"
        return key

    def _button(self, value: Mapping[str, Any]) -> str:
        if self._rule.component_type != "exit-buttons" or BUTTON not in value:
            return ""
        number = value.get(BUTTON_ID)
        if type(number) is int and 0 <= number <= _LARGEST_BUTTON:
            return f"exit-button-{number}"
        if type(number) is str and _BUTTON_NUMBER.fullmatch(number):
            return f"exit-button-{int(number)}"
        return ""


class MainFields:
    """A component with one main field."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.main_field = "status" if rule.encoding == "boolean" else "data"
        self._legacy_main = ""
        self._detail = ""
        for key, word in rule.legacy.items():
            if word.use is Use.MAIN:
                self._legacy_main = key
            elif word.use is Use.DETAIL:
                self._detail = key
        self._number: Callable[[object], float] | None = None
        self._read = self._compile()

    def collect(self, value: object, findings: Findings) -> None:
        """Add the main field and all other keys, in document order."""
        if type(value) is not dict:
            self._add_main(value, {}, findings)
            return
        main = self._main_key(value)
        for key, item in value.items():
            if is_reserved(key, item):
                continue
            try:
                check_key(key)
            except RejectError as problem:
                findings.reject(key, problem)
                continue
            if key == main:
                self._add_main(item, value, findings)
            else:
                self._add_other(key, item, findings)

    def _compile(self) -> Main:
        rule = self._rule
        if rule.encoding == "boolean":
            return self._truth
        if rule.encoding == "raw_string":
            return self._text
        if rule.encoding == FRAME and not rule.is_row:
            return _refusal(RejectError("unmapped", "nothing in the registry says how to decode"))
        try:
            self._number = compile_number(rule.encoding, rule.scale)
        except RejectError as problem:
            return _refusal(problem)
        return self._scaled

    def _main_key(self, value: Mapping[str, Any]) -> str | None:
        if self.main_field in value:
            return self.main_field
        if self._legacy_main and self._legacy_main in value:
            return self._legacy_main
        if self._rule.is_row:
            free = [key for key, item in value.items() if not is_reserved(key, item)]
            if len(free) == 1 and free[0] not in self._rule.legacy:
                return free[0]
        return None

    def _add_main(self, item: object, value: Mapping[str, Any], findings: Findings) -> None:
        try:
            findings.add(self._read(item, value))
        except RejectError as problem:
            findings.reject(self.main_field, problem)

    def _add_other(self, key: str, item: object, findings: Findings) -> None:
        word = self._rule.legacy.get(key)
        if word is None or word.use is Use.MAIN:
            add_any(item, key, self._name, findings)
            return
        try:
            _add_word(word, key, item, self._rule.metric, findings)
        except RejectError as problem:
            findings.reject(key, problem)

    def _name(self, path: str) -> tuple[str, str]:
        return self._rule.metric, path

    def _truth(self, item: object, _: Mapping[str, Any]) -> Found:
        return self._main(Kind.TRUTH, read_truth(item))

    def _scaled(self, item: object, _: Mapping[str, Any]) -> Found:
        read = self._number
        if read is None:
            raise RejectError("bad_encoding", "no numeric encoding")
        return self._main(Kind.NUMBER, read(item))

    def _text(self, item: object, value: Mapping[str, Any]) -> Found:
        text, raw, is_reply = read_text(item)
        if self._rule.component_type != READER:
            return self._main(Kind.TEXT, text, raw)
        if is_reply and raw is not None:
            return self._main(Kind.REPLY, reply_text(raw), raw)
        detail = {self._detail: value[self._detail]} if self._detail in value else None
        return self._main(Kind.SCAN, text, raw, detail)

    def _main(
        self,
        kind: Kind,
        value: bool | float | str,  # noqa: FBT001 - a value, not a switch
        raw: str | None = None,
        detail: dict[str, Any] | None = None,
    ) -> Found:
        name, rule = self.main_field, self._rule
        return Found(kind, value, rule.metric, "", rule.unit, name, name, 0, None, raw, detail)


def _add_word(word: Legacy, key: str, item: object, metric: str, findings: Findings) -> None:
    if word.use is Use.NUMBER:
        number, _ = read_quantity(item)
        findings.add(Found(Kind.NUMBER, number, metric, key, word.unit, key, key))


def _refusal(problem: RejectError) -> Main:
    def refuse(_: object, __: Mapping[str, Any]) -> Found:
        raise RejectError(problem.reason, problem.detail)

    return refuse
