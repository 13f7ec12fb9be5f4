"""The three layouts: how messages become objects, and how an object becomes messages again.

Keys and bytes depend on the messages and their receive times only, so that writing twice is
writing once. `Holder` says, from a key alone, what an object may hold.
Source: MTR-130 to MTR-134, MTR-136; D-28.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import orjson
import zstandard

from millrace.errors import StopError
from millrace.flow.archive import lake
from millrace.flow.archive.message import ArchivedMessage, numbered
from millrace.flow.archive.names import (
    date_and_hour,
    decode_id,
    encode_id,
    rfc3339,
    rfc3339_ns,
    short_stamp,
    short_stamp_ns,
    stamp_ns,
)

_MICROSECOND_NS = 1000
_ZSTD_LEVEL = 3
_MAX_OBJECT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Written:
    """One object to be written, and the messages in it, in log order."""

    key: str
    body: bytes
    messages: Sequence[ArchivedMessage]


@dataclass(frozen=True, slots=True)
class Holder:
    """An object that may hold messages received from `first_ns` to `last_ns`, both inclusive."""

    key: str
    category: str
    first_ns: int
    last_ns: int


class Layout(Protocol):
    """One way to arrange messages in objects."""

    name: str

    def pack(self, messages: Sequence[ArchivedMessage], roll_bytes: int) -> Iterator[Written]:
        """Yield the objects of messages that are given in log order, numbered."""
        ...

    def prefix(self, device_id: str, category: str) -> str:
        """Return what the keys of a device begin with; an empty category is any."""
        ...

    def holder(self, key: str) -> Holder | None:
        """Return what an object may hold; None when the key is not of this layout."""
        ...

    def renamed(self, key: str, number: int) -> str:
        """Return the key to take when `number` earlier choices are taken by other objects."""
        ...

    def unpack(self, key: str, body: bytes) -> list[ArchivedMessage]:
        """Return the messages of an object, in log order.

        Raises:
            StopError: The object is damaged.
        """
        ...


class DeviceLayout:
    """One object per device, category and stretch of time: lines of JSON, packed."""

    name = "device"

    def pack(self, messages: Sequence[ArchivedMessage], roll_bytes: int) -> Iterator[Written]:
        for (device_id, category, date), group in _grouped(messages):
            for part in _rolled(group, roll_bytes):
                first, last = part[0].received_at_ns, part[-1].received_at_ns
                first, last = min(first, last), max(first, last)
                name = f"{short_stamp(first)}-{short_stamp(last)}.jsonl.zst"
                key = f"{encode_id(device_id)}/{encode_id(category)}/{date}/{name}"
                lines = b"".join(_line(message) for message in part)
                yield Written(key, zstandard.compress(lines, _ZSTD_LEVEL), part)

    def prefix(self, device_id: str, category: str) -> str:
        return _folder(device_id, category)

    def holder(self, key: str) -> Holder | None:
        parts = key.split("/")
        if len(parts) != 4 or not key.endswith(".jsonl.zst"):  # noqa: PLR2004 (the parts above)
            return None
        try:
            first, last = map(short_stamp_ns, parts[3].split(".")[0].split("-")[:2])
        except ValueError:
            return None
        return Holder(key, decode_id(parts[1]), first, last + _MICROSECOND_NS - 1)

    def renamed(self, key: str, number: int) -> str:
        return f"{key.removesuffix('.jsonl.zst')}-{number}.jsonl.zst"

    def unpack(self, key: str, body: bytes) -> list[ArchivedMessage]:
        device_id, category = map(decode_id, key.split("/")[:2])
        try:
            lines = zstandard.decompress(body, max_output_size=_MAX_OBJECT_BYTES).splitlines()
            return numbered(
                _message(device_id, category, key, orjson.loads(line)) for line in lines
            )
        except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
            raise _damaged(key, error) from error


class MessageLayout:
    """One object per message: a JSON document for people."""

    name = "message"

    def pack(self, messages: Sequence[ArchivedMessage], roll_bytes: int) -> Iterator[Written]:
        del roll_bytes
        for message in messages:
            yield Written(message.filename, _document(message), (message,))

    def prefix(self, device_id: str, category: str) -> str:
        return _folder(device_id, category)

    def holder(self, key: str) -> Holder | None:
        parts = key.split("/")
        if len(parts) != 3 or not key.endswith(".json"):  # noqa: PLR2004 (the parts above)
            return None
        try:
            first = stamp_ns(_split_stamp(parts[2].removesuffix(".json"))[0])
        except ValueError:
            return None
        return Holder(key, decode_id(parts[1]), first, first + _MICROSECOND_NS - 1)

    def renamed(self, key: str, number: int) -> str:
        folder, _, name = key.rpartition("/")
        text, earlier = _split_stamp(name.removesuffix(".json"))
        return f"{folder}/{text}-{earlier + number}.json"

    def unpack(self, key: str, body: bytes) -> list[ArchivedMessage]:
        try:
            document = orjson.loads(body)
            number = _split_stamp(key.split("/")[2].removesuffix(".json"))[1]
            message = _message(
                document["device_id"], document["category"], key,
                {**document, "at": document["timestamp"], "payload_b64": document["raw_b64"]},
                number,
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise _damaged(key, error) from error
        return [message]


class LakeLayout:
    """One Parquet file per category, hour and stretch of the log, for large fleets."""

    name = "lake"

    def pack(self, messages: Sequence[ArchivedMessage], roll_bytes: int) -> Iterator[Written]:
        del roll_bytes
        groups: dict[tuple[str, str, str], list[ArchivedMessage]] = {}
        for message in messages:
            at = date_and_hour(message.received_at_ns)
            groups.setdefault((message.category, *at), []).append(message)
        for (category, date, hour), group in sorted(groups.items()):
            name = f"part-{group[0].partition}-{group[0].offset}-{group[-1].offset}.parquet"
            key = f"category={encode_id(category)}/date={date}/hour={hour}/{name}"
            yield Written(key, lake.encode(group), group)

    def prefix(self, device_id: str, category: str) -> str:
        del device_id
        return f"category={encode_id(category)}/" if category else "category="

    def holder(self, key: str) -> Holder | None:
        parts = key.split("/")
        if len(parts) != 4 or not key.endswith(".parquet"):  # noqa: PLR2004 (the parts above)
            return None
        category, date, hour = (part.partition("=")[2] for part in parts[:3])
        try:
            first = stamp_ns(f"{date}T{hour}-00-00.000000")
        except ValueError:
            return None
        return Holder(key, decode_id(category), first, first + 3_600_000_000_000 - 1)

    def renamed(self, key: str, number: int) -> str:
        return f"{key.removesuffix('.parquet')}-{number}.parquet"

    def unpack(self, key: str, body: bytes) -> list[ArchivedMessage]:
        return numbered(lake.decode(key, body))


LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (DeviceLayout(), MessageLayout(), LakeLayout())
}


def _folder(device_id: str, category: str) -> str:
    return (
        f"{encode_id(device_id)}/{encode_id(category)}/" if category else f"{encode_id(device_id)}/"
    )


def _grouped(
    messages: Iterable[ArchivedMessage],
) -> Iterator[tuple[tuple[str, str, str], list[ArchivedMessage]]]:
    groups: dict[tuple[str, str, str], list[ArchivedMessage]] = {}
    for message in messages:
        date = date_and_hour(message.received_at_ns)[0]
        groups.setdefault((message.device_id, message.category, date), []).append(message)
    return iter(sorted(groups.items()))


def _rolled(
    messages: Iterable[ArchivedMessage], roll_bytes: int
) -> Iterator[list[ArchivedMessage]]:
    """Yield parts that are closed at `roll_bytes`; messages of one microsecond stay together."""
    part: list[ArchivedMessage] = []
    size = 0
    for _, same in groupby(messages, lambda one: one.received_at_ns // _MICROSECOND_NS):
        if size >= roll_bytes:
            yield part
            part, size = [], 0
        for message in same:
            part.append(message)
            size += len(message.payload)
    yield part


def _line(message: ArchivedMessage) -> bytes:
    record: dict[str, Any] = {
        "at": rfc3339(message.received_at_ns), "topic": message.topic, "qos": message.qos,
        "retain": message.retain, "position": message.position,
    }  # fmt: skip
    try:
        record["payload"] = message.payload.decode()
    except UnicodeDecodeError:
        record["payload_b64"] = base64.b64encode(message.payload).decode()
    return orjson.dumps(record) + b"\n"


def _document(message: ArchivedMessage) -> bytes:
    record: dict[str, Any] = {
        "device_id": message.device_id, "timestamp": rfc3339(message.received_at_ns),
        "category": message.category, "data": None, "topic": message.topic, "qos": message.qos,
        "retain": message.retain, "position": message.position,
        "raw_b64": base64.b64encode(message.payload).decode(),
    }  # fmt: skip
    try:
        return orjson.dumps(
            {**record, "data": orjson.loads(message.payload)}, option=orjson.OPT_INDENT_2
        )
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return orjson.dumps(record, option=orjson.OPT_INDENT_2)


def _message(
    device_id: str, category: str, key: str, record: dict[str, Any], number: int = 0
) -> ArchivedMessage:
    partition, offset = map(int, record["position"].split("-"))
    if "payload_b64" in record:
        payload = base64.b64decode(record["payload_b64"])
    else:
        payload = record["payload"].encode()
    return ArchivedMessage(
        device_id, category, rfc3339_ns(record["at"]), record["topic"], record["qos"],
        record["retain"], partition, offset, payload, number, key,
    )  # fmt: skip


def _split_stamp(text: str) -> tuple[str, int]:
    """Return the stamp and the number of a name such as 2026-03-01T12-00-00.416368-1."""
    whole, _, fraction = text.partition(".")
    digits, _, number = fraction.partition("-")
    return f"{whole}.{digits}", int(number or 0)


def _damaged(key: str, error: Exception) -> StopError:
    return StopError(
        f"the archived object {key} is damaged: {error}", "restore it, or archive the log again"
    )
