"""The outbox of one socket: what waits to be sent, with a bound and an honest gap behind it.

A full outbox drops its oldest frame and remembers from where to where; the reader of the socket
gets the gap before anything newer, so it can resume. Nobody ever waits for a slow socket.
Source: API-132, API-134; faults F43, attack A47.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import orjson

MAX_FRAMES = 1000
MAX_CHARS = 8 * 1024 * 1024
_ROOM_FRAMES = MAX_FRAMES // 2


class Frame(NamedTuple):
    """One frame: its type, the subscription it is for, where that stands after it, its text.

    `through` is the position that the frame is part of, when others must follow to reach it.
    """

    type: str
    subscription: str
    position: str
    text: str
    through: str = ""


@dataclass(slots=True)
class _Loss:
    start: str
    stop: str
    frames: int


class Outbox:
    """A bounded queue of frames for one socket."""

    def __init__(self) -> None:
        self.dropped = 0
        self._frames: deque[Frame] = deque()
        self._chars = 0
        self._sent: dict[str, str] = {}
        self._losses: dict[str, _Loss] = {}
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def put(self, frame: Frame) -> None:
        """Queue a frame; the oldest one falls out when there are too many."""
        self._frames.append(frame)
        self._chars += len(frame.text)
        while len(self._frames) > MAX_FRAMES or (self._chars > MAX_CHARS and len(self._frames) > 1):
            self._drop_oldest()
        if len(self._frames) > _ROOM_FRAMES:
            self._has_room.clear()
        self._filled.set()

    def begin(self, subscription: str, position: str) -> None:
        """Note where a subscription stands before its first frame."""
        self._sent[subscription] = position

    def end(self, subscription: str) -> None:
        """Forget a subscription."""
        self._sent.pop(subscription, None)
        self._losses.pop(subscription, None)

    async def take(self) -> Frame:
        """Return the next frame; wait for one."""
        while not self._losses and not self._frames:
            self._filled.clear()
            await self._filled.wait()
        if self._losses:
            subscription, loss = self._losses.popitem()
            self._sent[subscription] = loss.stop
            return gap(subscription, loss.start, loss.stop, loss.frames, "slow")
        frame = self._frames.popleft()
        self._chars -= len(frame.text)
        if frame.subscription in self._sent and frame.position:
            self._sent[frame.subscription] = frame.position
        if len(self._frames) <= _ROOM_FRAMES:
            self._has_room.set()
        return frame

    async def wait_for_room(self) -> None:
        """Wait until at most half of the places are taken; for those who can wait, like replays."""
        await self._has_room.wait()

    def _drop_oldest(self) -> None:
        frame = self._frames.popleft()
        self._chars -= len(frame.text)
        self.dropped += 1
        if not frame.subscription:
            return
        stop = frame.through or frame.position
        loss = self._losses.get(frame.subscription)
        if loss is None:
            start = self._sent.get(frame.subscription, frame.position)
            self._losses[frame.subscription] = _Loss(start, stop, 1)
        else:
            loss.stop = stop
            loss.frames += 1


def gap(subscription: str, start: str, stop: str, dropped: int, reason: str) -> Frame:
    """Return the frame that says what is missing: everything after `start` up to `stop`."""
    body = {
        "type": "gap", "id": subscription, "from": start, "to": stop, "dropped": dropped,
        "reason": reason,
    }  # fmt: skip
    return Frame("gap", subscription, stop, orjson.dumps(body).decode())
