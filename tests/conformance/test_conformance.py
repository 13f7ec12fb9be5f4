"""The same stories over every combination of the matrix: the same answers, byte for byte.

What was said and what must come of it: `stories`. Where it is kept: `combinations`.
Source: issue 3, item 9; P4, P8, D-11, D-26.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

import orjson
import pytest

from millrace.flow.balance import Balance
from millrace.wiring import stores
from tests.conformance.answers import SPAN, answers, lines
from tests.conformance.cluster import Cluster, running_cluster
from tests.conformance.combinations import ARCHIVE_ROLL_S, EMBEDDED, Combination, matrix
from tests.conformance.kept import archived, letters
from tests.conformance.stories import STORIES, Story
from tests.whole.devices import publish

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

# Objects are closed by the next message of their partition: these reach all of them.
CLOSING = tuple((f"factory/closing-{n}/data", b'{"x": 1}') for n in range(24))
STATUS = {"connection_status": "online"}
SENT = sum(len(story.messages) for story in STORIES)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the stories in one combination."""

    name: str
    books: Balance
    answers: dict[str, bytes]
    letters: Counter[tuple[str, str]]
    archived: dict[str, list[tuple[str, bytes]]]


def tell(combination: Combination, folder: Path, server: Any) -> Told:
    """Publish all stories, one after the other, and ask what became of them."""
    tree, port = combination.tree(server, f"{folder.name}")
    with running_cluster(folder, tree) as cluster:
        stores.migrate(cluster.settings)
        combination.start(cluster)
        sent = 0
        for story in STORIES:
            publish(port, *story.messages)
            sent += len(story.messages)
            cluster.wait_until_stored(sent)
        cluster.wait_until(lambda: shows(cluster))
        books = cluster.wait_until_stored(sent)
        found = answers(cluster.fetch)
        counted = letters(cluster.settings)
        time.sleep(ARCHIVE_ROLL_S)
        publish(port, *CLOSING)
        kept = wait_until_archived(cluster, books.stored.total())
        for one in cluster.roles.values():
            assert one.stop() == 0, cluster.story()
    return Told(combination.name, books, found, counted, kept)


def shows(cluster: Cluster) -> bool:
    """Whether serve has followed the ledger so far that it shows what devices are."""
    listed = orjson.loads(cluster.fetch("/api/devices?limit=1000"))["devices"]
    latest = orjson.loads(cluster.fetch("/api/latest?limit=1000"))["latest"]
    seen = {row["device_id"]: row for row in listed}
    wanted = {
        device: {**STATUS, **story.status.get(device, {})}
        for story in STORIES
        for device in story.devices
    }
    return wanted.keys() <= {row["device_id"] for row in latest} and all(
        row.items() <= seen.get(device, {}).items() for device, row in wanted.items()
    )


def wait_until_archived(cluster: Cluster, stored: int) -> dict[str, list[tuple[str, bytes]]]:
    """Return the archived messages of each device, once all that was stored is there."""
    devices = sorted({device for story in STORIES for device in story.devices})
    settings = cluster.settings
    found: dict[str, list[tuple[str, bytes]]] = {}

    def is_archived() -> bool:
        found.update((device, archived(settings, device)) for device in devices)
        return sum(map(len, found.values())) == stored

    cluster.wait_until(is_archived, every_s=0.3)
    return found


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The stories as `millrace up` tells them, without any server."""
    return tell(EMBEDDED, tmp_path_factory.mktemp("embedded"), lambda _name: None)


@pytest.fixture(scope="module", params=[pytest.param(EMBEDDED, id="embedded"), *matrix()])
def told(
    request: pytest.FixtureRequest, embedded: Told, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    if request.param is EMBEDDED:
        yield embedded
        return
    yield tell(request.param, tmp_path_factory.mktemp("combination"), request.getfixturevalue)


def rows_of(told: Told, device: str, noun: str) -> list[dict[str, Any]]:
    found = next(
        answer
        for path, answer in told.answers.items()
        if path.startswith(f"/api/devices/{device}/{noun}?")
    )
    rows: list[dict[str, Any]] = orjson.loads(found)[noun]
    return rows


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_p4_every_story_comes_out_as_it_was_told(told: Told, story: Story) -> None:
    for (device, metric), values in story.readings.items():
        rows = [row["value"] for row in rows_of(told, device, "metrics") if row["metric"] == metric]
        assert rows == list(values), (device, metric)
    events = Counter(
        (device, row["type"]) for device in story.devices for row in rows_of(told, device, "events")
    )
    assert events == Counter(story.events)
    devices = {*story.devices, *(device for device, _ in story.letters)}
    assert {key: n for key, n in told.letters.items() if key[0] in devices} == story.letters
    for device, missing in story.missing.items():
        assert missing_of(rows_of(told, device, "events")) == missing


def missing_of(events: list[dict[str, Any]]) -> int:
    """Return how many numbers never came, from the events."""
    opened = sum(row["missing"] for row in events if row["type"] == "sequence_gap_opened")
    return int(opened) - [row["type"] for row in events].count("sequence_gap_filled")


def test_p8_the_books_balance(told: Told) -> None:
    books = told.books
    assert (books.lag, books.difference) == (0, 0)
    assert books.received.total() == SENT
    assert books.duplicate.total() == sum(story.duplicates for story in STORIES)
    assert books.shed.total() == 0


def test_every_answer_is_the_same_byte_for_byte(told: Told, embedded: Told) -> None:
    differences = [
        line
        for path, answer in told.answers.items()
        if answer != embedded.answers[path]
        for line in (
            path,
            *unified_diff(
                lines(path, embedded.answers[path]), lines(path, answer), "embedded", told.name, n=1
            ),
        )
    ]
    assert not differences, "\n".join(differences[:100])


def test_raw_messages_are_archived_alike(told: Told, embedded: Told) -> None:
    assert told.archived == embedded.archived
    assert told.letters == embedded.letters


def test_an_export_has_every_reading_of_the_stories(told: Told) -> None:
    path = next(
        path
        for path in told.answers
        if path.startswith("/api/export") and SPAN["stop"][:10] in path
    )
    rows = told.answers[path].decode().splitlines()[1:]
    assert len(rows) == sum(len(values) for story in STORIES for values in story.readings.values())
