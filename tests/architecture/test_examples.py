"""What the documents show works: messages decode as shown, commands parse, statements run."""

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import typer

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.fleet_sql import SqlFleet
from millrace.cli.main import command
from millrace.model.instants import parse_instant
from millrace.preview import Previewer
from millrace.serve.routes import ALL
from millrace.settings import Settings
from millrace.store.seeding import seed
from millrace.store.sqlite import migrate, open_store
from millrace.store.tables import SqliteTables, open_tables
from millrace.wiring.families import codecs
from scripts.reference.routes import query_of
from tests.architecture.documents import ROOT, Block, all_blocks, blocks

DEVICES = ROOT / "docs" / "devices"
GUIDES = sorted(DEVICES.glob("*.md"))
RECEIVED_NS = parse_instant("2026-03-01T12:00:00Z") or 0
MEANT: dict[str, dict[str, Any]] = {
    "readings": {"channel": "", "quality": []},
    "events": {"quality": []},
    "dead_letters": {},
}
NAMES = {"readings": "points", "events": "events", "dead_letters": "dead_letter"}

Preview = Callable[[str, bytes, Settings], dict[str, Any]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "millrace.db"
    migrate(path)
    with closing(open_store(path)) as db:
        seed(SqliteTables(db), "demo", at_ns=0)
    return path


@pytest.fixture
def preview(store: Path) -> Iterator[Preview]:
    with closing(SqlFleet(open_tables(store))) as fleet:

        def ask(topic: str, payload: bytes, settings: Settings) -> dict[str, Any]:
            previewer = Previewer(codecs(settings), fleet, ManualClock())
            return previewer.preview(topic, payload, at_ns=RECEIVED_NS)

        yield ask


def shown(path: Path) -> Iterator[tuple[Block, Block, Settings]]:
    """Yield each message of a guide with what is shown of it and the settings above it."""
    settings, message = Settings(), None
    for block in blocks(path, "toml", "mqtt", "json"):
        if block.language == "toml":
            settings = Settings(**tomllib.loads(block.text))
        elif block.language == "mqtt":
            assert message is None, f"{message}: nothing is shown of this message"
            message = block
        else:
            assert message is not None, f"{block.name}: no message stands above it"
            yield message, block, settings
            message = None
    assert message is None, f"{message}: nothing is shown of this message"


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_message_of_a_guide_becomes_what_is_shown(path: Path, preview: Preview) -> None:
    examples = list(shown(path))
    assert examples
    for message, outcome, settings in examples:
        topic, _, payload = message.text.partition("\n")
        found = preview(topic, payload.rstrip("\n").encode(), settings)
        expected = json.loads(outcome.text)
        assert expected.keys() <= NAMES.keys(), outcome.name
        for name, theirs in NAMES.items():
            compare(expected.get(name, []), found[theirs], MEANT[name], f"{outcome.name} {name}")


def compare(
    expected: list[dict[str, Any]], found: list[dict[str, Any]], meant: dict[str, Any], where: str
) -> None:
    assert len(expected) == len(found), f"{where}: {found}"
    for wanted, got in zip(expected, found, strict=True):
        for key, value in {**meant, **wanted}.items():
            assert got[key] == value, f"{where}: {key} of {got}"


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_only_the_dead_letters_that_a_guide_shows_on_purpose_are_there(
    path: Path, preview: Preview
) -> None:
    """A payload that is shown as good must be good as a whole."""
    for message, outcome, settings in shown(path):
        if "dead_letters" not in json.loads(outcome.text):
            topic, _, payload = message.text.partition("\n")
            found = preview(topic, payload.rstrip("\n").encode(), settings)
            assert found["outcome"] == "stored", message.name


@pytest.mark.parametrize("block", all_blocks("json"), ids=lambda block: block.name)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", all_blocks("toml"), ids=lambda block: block.name)
def test_settings_that_are_shown_are_valid(block: Block) -> None:
    Settings(**tomllib.loads(block.text))


def test_generic_example_is_valid_and_fits_its_comments(preview: Preview) -> None:
    text = (ROOT / "examples" / "generic" / "millrace.toml").read_text()
    settings = Settings(**tomllib.loads(text))
    messages = [line[2:].split("  ", 1) for line in text.splitlines() if line.endswith("}")]
    assert len(messages) == len(settings.generic)
    for topic, payload in messages:
        found = preview(topic, payload.encode(), settings)
        assert found["outcome"] == "stored"
        assert len(found["points"]) == 2
        assert not found["dead_letter"]


def lines_of(*programs: str) -> list[Any]:
    """Return every command line of these programs in the documents, without comments."""
    found = []
    for block in all_blocks("sh"):
        text = block.text.replace("\\\n", " ")
        for number, line in enumerate(text.splitlines(), 1):
            words = shlex.split(line, comments=True)
            while words and "=" in words[0]:
                del words[0]  # variables in front of a command
            if words and words[0].rpartition("/")[2] in programs:
                found.append(pytest.param(words[1:], id=f"{block.name}:{number}"))
    return found


@pytest.mark.parametrize("words", lines_of("millrace"))
def test_command_line_is_understood(words: list[str]) -> None:
    words = words[: next((i for i, word in enumerate(words) if word in "|><&&"), len(words))]
    current = typer.main.get_command(command())
    while getattr(current, "commands", None):
        current = current.commands[words.pop(0)]  # type: ignore[attr-defined]  # a group
    if words == ["--help"]:
        return
    current.make_context("millrace", words)


@pytest.mark.parametrize("words", lines_of("make"))
def test_make_target_exists(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        assert "=" in word or f"\n{word}:" in makefile, word


def test_statements_of_the_f2_guide_describe_the_instrument(tmp_path: Path) -> None:
    path = tmp_path / "millrace.db"
    migrate(path)
    with closing(open_store(path)) as db:
        seed(SqliteTables(db), "demo", at_ns=0)
        with closing(SqlFleet(open_tables(path))) as fleet:
            before = fleet.version()
            (statements,) = blocks(DEVICES / "f2.md", "sql")
            for _ in db.execute(statements.text):
                pass
            assert fleet.version() == before + 1
            assert fleet.changes(before).devices in (None, {"f2-e4fd45f654be"})
            previewer = Previewer(codecs(Settings()), fleet, ManualClock())
            found = previewer.preview(
                "tele/f2-e4fd45f654be/sensor-mode/J3/sensor-5",
                b'{"timestamp": "2026-03-01 11:59:58", "data": "01 03 02 00 DC B9 DD"}',
                at_ns=RECEIVED_NS,
            )
    (point,) = found["points"]
    assert (point["metric"], point["value"], point["unit"]) == ("sensor-5.J3", 0x0103, "raw")


@pytest.mark.parametrize("words", lines_of("sqlite3"))
def test_question_to_the_database_is_answered(words: list[str], store: Path) -> None:
    flag, path, query = words
    assert (flag, path) == ("-readonly", "data/millrace.db")
    with closing(open_store(store, read_only=True)) as db:
        db.execute(query).fetchall()


@pytest.mark.parametrize("words", lines_of("curl"))
def test_address_leads_to_a_route_that_takes_the_parameters(words: list[str]) -> None:
    (address,) = [urlsplit(word) for word in words if word.startswith("http://127.0.0.1:")]
    if address.port != 8080:
        assert address.path in ("/healthz", "/readyz", "/metrics")
        return
    fitting = [route for route in ALL if fits(route.path, address.path)]
    assert fitting, address.path
    asked = parse_qs(address.query, strict_parsing=bool(address.query))
    model = query_of(fitting[0])
    values = {
        name: found if "list" in str(model.model_fields[name].annotation) else found[0]
        for name, found in asked.items()
    }
    model.model_validate(values)


def fits(template: str, path: str) -> bool:
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
    return re.fullmatch(pattern, path) is not None
