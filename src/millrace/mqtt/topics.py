"""Topic names and topic filters: what is valid, what matches, who has subscribed.

Source: MQTT 5.0, 4.7 and 4.8.2; F2-001.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from millrace.mqtt.fields import TEXT_MAX
from millrace.mqtt.reasons import TOPIC_FILTER_INVALID, TOPIC_NAME_INVALID, ProtocolError

Subscriber = TypeVar("Subscriber", bound=Hashable)

SHARE: Final = "$share/"
MEMO_MAX: Final = 65_536
MEMO_TOPIC_CHARS: Final = 256  # a flood of longer topics must not fill the memory (F41)

# Five levels, whatever the device: what somebody meant who asks for `cmnd/f2-#`.
_FIVE_LEVELS: Final = ("stat", "tele", "cmnd")


def check_topic(topic: str) -> None:
    """Refuse a topic name that nothing may be published under.

    Raises:
        ProtocolError: It is empty, too long, or holds a wildcard or NUL; `TOPIC_NAME_INVALID`.
    """
    if not topic:
        raise ProtocolError(TOPIC_NAME_INVALID, "an empty topic")
    if "+" in topic or "#" in topic:
        raise ProtocolError(TOPIC_NAME_INVALID, "a topic with a wildcard")
    _check_text(topic, TOPIC_NAME_INVALID)


def check_filter(topic_filter: str) -> None:
    """Refuse a topic filter that MQTT forbids, and offer one that it allows.

    Raises:
        ProtocolError: `TOPIC_FILTER_INVALID`; the message names the bad level.
    Source: F2-001; MQTT 5.0, 4.7.1 and 4.8.2.
    """
    _, plain = parse_shared(topic_filter)
    if not plain:
        raise ProtocolError(TOPIC_FILTER_INVALID, "an empty topic filter")
    _check_text(topic_filter, TOPIC_FILTER_INVALID)
    levels = plain.split("/")
    for number, level in enumerate(levels, 1):
        is_whole = level in {"+", "#"} or not ("+" in level or "#" in level)
        if is_whole and (level != "#" or number == len(levels)):
            continue
        rule = "'#' must be the last level" if level == "#" else "a wildcard must stand alone"
        raise ProtocolError(
            TOPIC_FILTER_INVALID,
            f"level {number} ({level!r}) of the filter {plain!r}: {rule} in its level; "
            f"use {_offer(levels)}",
        )


def parse_shared(topic_filter: str) -> tuple[str | None, str]:
    """Return (group, filter) of a shared subscription, (None, filter) of any other.

    Raises:
        ProtocolError: It begins with `$share/`, but lacks group or filter.
    """
    if not topic_filter.startswith(SHARE):
        return None, topic_filter
    group, slash, plain = topic_filter[len(SHARE) :].partition("/")
    if not group or not slash or not plain or "+" in group or "#" in group:
        raise ProtocolError(
            TOPIC_FILTER_INVALID, f"{topic_filter!r} is not $share/<group>/<filter>"
        )
    return group, plain


def matches(topic_filter: str, topic: str) -> bool:
    """Return whether a topic is one that the filter asks for. Shape: both are valid."""
    if topic_filter == topic:
        return True
    if topic.startswith("$") and topic_filter[:1] in {"+", "#"}:
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        del wanted[-1]
        if len(levels) < len(wanted):
            return False
        del levels[len(wanted) :]
    return len(wanted) == len(levels) and all(
        one in {"+", level} for one, level in zip(wanted, levels, strict=True)
    )


def _check_text(text: str, reason_code: int) -> None:
    if "\0" in text:
        raise ProtocolError(reason_code, "NUL in a topic")
    if len(text) * 4 > TEXT_MAX and len(text.encode()) > TEXT_MAX:
        raise ProtocolError(reason_code, "a topic of more than 65,535 bytes")


def _offer(levels: list[str]) -> str:
    if levels[0] in _FIVE_LEVELS:
        return "/".join((levels[0], "+", "+", "+", "+"))
    bad = next(
        number
        for number, level in enumerate(levels)
        if level == "#" or (len(level) > 1 and ("+" in level or "#" in level))
    )
    tail = ["#"] if "#" in levels[bad] else ["+", *levels[bad + 1 :]]
    return "/".join(levels[:bad] + tail)


class _Node(Generic[Subscriber]):
    __slots__ = ("branches", "subscribers")

    def __init__(self) -> None:
        self.branches: dict[str, _Node[Subscriber]] = {}
        self.subscribers: dict[Subscriber, None] = {}


class TopicTree(Generic[Subscriber]):
    """Subscribers by filter, found by topic.

    A subscriber is any hashable value; under one filter it stands once, and in a match it comes
    once, however many of its filters match. Matches are remembered per topic until a
    subscription changes them.
    """

    __slots__ = ("_memo", "_root", "_size")

    def __init__(self) -> None:
        self._root: _Node[Subscriber] = _Node()
        self._memo: dict[str, tuple[Subscriber, ...]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, topic_filter: str, subscriber: Subscriber) -> bool:
        """Subscribe; return False when it was so already. Shape: a valid, unshared filter."""
        node = self._root
        for level in topic_filter.split("/"):
            branch = node.branches.get(level)
            if branch is None:
                branch = node.branches[level] = _Node()
            node = branch
        if subscriber in node.subscribers:
            return False
        node.subscribers[subscriber] = None
        self._size += 1
        self._forget(topic_filter)
        return True

    def remove(self, topic_filter: str, subscriber: Subscriber) -> bool:
        """End a subscription; return False when there was none."""
        path = [self._root]
        levels = topic_filter.split("/")
        for level in levels:
            branch = path[-1].branches.get(level)
            if branch is None:
                return False
            path.append(branch)
        if subscriber not in path[-1].subscribers:
            return False
        del path[-1].subscribers[subscriber]
        self._size -= 1
        for level in reversed(levels):
            node = path.pop()
            if node.branches or node.subscribers:
                break
            del path[-1].branches[level]
        self._forget(topic_filter)
        return True

    def match(self, topic: str) -> tuple[Subscriber, ...]:
        """Return the subscribers of a topic, each once."""
        found = self._memo.get(topic)
        if found is None:
            found = tuple(dict.fromkeys(self._search(topic)))
            if len(topic) <= MEMO_TOPIC_CHARS:
                if len(self._memo) >= MEMO_MAX:
                    self._memo.clear()
                self._memo[topic] = found
        return found

    def _forget(self, topic_filter: str) -> None:
        """Drop the matches that a change of this filter may concern."""
        if "+" in topic_filter or "#" in topic_filter:
            self._memo.clear()
        else:
            self._memo.pop(topic_filter, None)

    def _search(self, topic: str) -> list[Subscriber]:
        found: list[Subscriber] = []
        nodes = [self._root]
        for depth, level in enumerate(topic.split("/")):
            # A leading wildcard does not match `$SYS` and its kin.
            is_wild = depth > 0 or not topic.startswith("$")
            following: list[_Node[Subscriber]] = []
            for node in nodes:
                if is_wild and "#" in node.branches:
                    found += node.branches["#"].subscribers
                if is_wild and "+" in node.branches:
                    following.append(node.branches["+"])
                if level in node.branches:
                    following.append(node.branches[level])
            nodes = following
        for node in nodes:
            found += node.subscribers
            # `a/#` matches `a` too.
            if "#" in node.branches:
                found += node.branches["#"].subscribers
        return found
