"""Retained messages: the last one of each topic, found by topic or by filter.

The tree is nested dicts by topic level; the entry of a node stands under the key None, which no
level can be. So a filter visits what it matches, not everything (A4, A6).
Source: MQTT 5.0, 3.3.1.3 and 4.7.
"""

from collections.abc import Iterator
from typing import Any

from millrace.adapters.broker_endpoint.limits import EndpointLimits
from millrace.adapters.broker_endpoint.session import Message

Node = dict[str | None, Any]


class RetainedMessages:
    """The retained store, bounded in number and bytes."""

    def __init__(self, limits: EndpointLimits) -> None:
        self._limits = limits
        self._root: Node = {}
        self.count = 0
        self.size_bytes = 0

    def has_room(self, message: Message) -> bool:
        """Return whether a message may be retained within the bounds."""
        old = self.get(message.topic)
        grown = len(message.payload) - (len(old.payload) if old else 0)
        if grown > 0 and self.size_bytes + grown > self._limits.max_retained_bytes:
            return False
        return old is not None or self.count < self._limits.max_retained

    def put(self, message: Message) -> None:
        """Retain a message in place of the earlier one."""
        self.remove(message.topic)
        node = self._root
        for level in message.topic.split("/"):
            node = node.setdefault(level, {})
        node[None] = message
        self.size_bytes += len(message.payload)
        self.count += 1

    def get(self, topic: str) -> Message | None:
        """Return the message retained on a topic."""
        node: Node | None = self._root
        for level in topic.split("/"):
            node = node.get(level) if node else None
        message: Message | None = node.get(None) if node else None
        return message

    def remove(self, topic: str) -> bool:
        """Forget what is retained on a topic; return whether there was anything."""
        path: list[tuple[Node, str]] = []
        node = self._root
        for level in topic.split("/"):
            if level not in node:
                return False
            path.append((node, level))
            node = node[level]
        message = node.pop(None, None)
        if message is None:
            return False
        self.count -= 1
        self.size_bytes -= len(message.payload)
        while path and not node:
            node, level = path.pop()
            del node[level]
        return True

    def find(self, topic_filter: str) -> Iterator[Message]:
        """Yield the messages whose topic a filter matches; wildcards skip topics with `$`."""
        levels = topic_filter.split("/")
        pending: list[tuple[Node, int]] = [(self._root, 0)]
        while pending:
            node, depth = pending.pop()
            if depth == len(levels):
                if None in node:
                    yield node[None]
                continue
            level = levels[depth]
            if level == "#":
                yield from _below(node, is_root=depth == 0)
            elif level == "+":
                pending += [(child, depth + 1) for child in _children(node, is_root=depth == 0)]
            elif level in node:
                pending.append((node[level], depth + 1))


def _children(node: Node, *, is_root: bool) -> list[Node]:
    return [
        child
        for level, child in node.items()
        if level is not None and not (is_root and level.startswith("$"))
    ]


def _below(node: Node, *, is_root: bool) -> Iterator[Message]:
    if None in node:
        yield node[None]
    pending = _children(node, is_root=is_root)
    while pending:
        child = pending.pop()
        if None in child:
            yield child[None]
        pending += _children(child, is_root=False)
