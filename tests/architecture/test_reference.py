"""The reference documents say what the code says: settings, metrics, commands, routes, reasons."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millrace import codecs, decode, model, store
from millrace.observe import metrics
from millrace.settings import GenericReading, GenericSettings, Settings
from scripts.reference import __main__ as reference
from scripts.reference import commands, promises, settings, tables
from scripts.reference import metrics as metric_names
from scripts.reference.document import insert
from tests.architecture.documents import DOCUMENTS, ROOT, all_blocks, name_of

FOLDER = ROOT / "docs" / "reference"
LETTERS = FOLDER / "dead-letters.md"
# Modules of the packages below that refuse something else than a message of a device.
NO_MESSAGES = {"commands.py", "measurements.py"}
UNSET = "Unset by default"


@pytest.mark.parametrize("path", reference.PARTS, ids=str)
def test_document_is_what_the_script_writes(path: str) -> None:
    should_be = reference.documents()[ROOT / path]
    assert (ROOT / path).read_text() == should_be, "run: python -m scripts.reference"


def test_a_region_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="region"):
        insert("no region\n", "settings", "text")


def sections() -> dict[str, type[Any]]:
    """Return every table of the settings by its name."""
    found = {
        name: field.annotation
        for name, field in Settings.model_fields.items()
        if hasattr(field.annotation, "model_fields")
    }
    lists = {"generic": GenericSettings, "generic.readings": GenericReading}
    return {**found, **lists}  # type: ignore[dict-item]  # the annotations are classes


def test_example_has_every_setting_and_no_other() -> None:
    example = settings.example()
    for name, section in sections().items():
        assert list(example[name]) == list(section.model_fields), name
    assert set(example[""]) == Settings.model_fields.keys() - sections().keys()
    assert example.keys() == {"", *sections()}


def test_every_setting_of_the_example_is_explained() -> None:
    for section, members in settings.example().items():
        for name, (_, words) in members.items():
            assert words.endswith("."), f"{section}.{name}: {words!r}"


def test_example_shows_the_defaults() -> None:
    example = settings.example()
    for section, members in example.items():
        if section in settings.LISTS:
            continue
        shape: Any = Settings if not section else sections()[section]
        for name, (value, words) in members.items():
            shown = tomllib.loads(f"x = {value}")["x"]
            default = json.loads(json.dumps(shape.model_fields[name].get_default(), default=str))
            if default is None:
                assert UNSET in words, f"{section}.{name}"
            else:
                assert shown == default, f"{section}.{name}"
                assert UNSET not in words, f"{section}.{name}"


def test_example_is_valid_when_everything_is_taken() -> None:
    tree: dict[str, Any] = {}
    for section, members in settings.example().items():
        values = {name: tomllib.loads(f"x = {value}")["x"] for name, (value, _) in members.items()}
        if section == "generic.readings":
            tree["generic"].append({"topic": "plc/{device_id}", "readings": [values]})
        elif section == "generic":
            tree["generic"] = [values]
        elif section:
            tree[section] = values
        else:
            tree.update(values)
    Settings(**tree)


def test_environment_name_that_a_document_mentions_is_a_setting() -> None:
    known = {f"MILLRACE_{name}".upper() for name in Settings.model_fields}
    for name, section in sections().items():
        known |= {f"MILLRACE_{name}__{key}".upper() for key in section.model_fields}
    for path in DOCUMENTS:
        for found in re.findall(r"\bMILLRACE_[A-Z0-9_]+", path.read_text()):
            assert found in {*known, "MILLRACE_SECTION__KEY"}, f"{name_of(path)}: {found}"


def test_every_metric_is_found_and_shown() -> None:
    text = (FOLDER / "metrics.md").read_text()
    exposed = set()
    for family in metrics.Metrics().registry.collect():
        if family.name.startswith("millrace_"):
            exposed.add(family.name + ("_total" if family.type == "counter" else ""))
    named = {one.name for one in metric_names.found()}
    assert exposed <= named
    assert len(named) > 40
    for name in named:
        assert f"`{name}`" in text, name


def test_every_metric_that_a_document_mentions_exists() -> None:
    named = {one.name for one in metric_names.found()}
    endings = {f"{name}_{part}" for name in named for part in ("bucket", "sum", "count")}
    for path in DOCUMENTS:
        for found in re.findall(r"\bmillrace_[a-z_]+\b", path.read_text()):
            assert found in named | endings, f"{name_of(path)}: {found}"


def test_every_command_is_found() -> None:
    paths = [one.path for one in commands.found()]
    assert "millrace up" in paths
    assert "millrace simulate f2" in paths
    assert all(one.words for one in commands.found())


def test_every_table_is_shown_with_its_id() -> None:
    text = (FOLDER / "tables.md").read_text()
    assert len(tables.ids()) > 20
    for name, number in tables.ids().items():
        assert f"### `{name}` ({number})" in text


def test_every_promise_that_a_test_names_is_explained() -> None:
    words = tomllib.loads(promises.WORDS.read_text())
    known = {number for section in words.values() for number in section}
    assert not promises.found().keys() - known


def test_every_promise_that_the_code_cites_is_explained() -> None:
    words = tomllib.loads(promises.WORDS.read_text())
    known = {number for section in words.values() for number in section}
    cited = re.compile(r"(?<![\w-])([PFA][1-9]\d?)(?![\w-])")
    for path in sorted((ROOT / "src").rglob("*.py")):
        sources = re.findall(r"Source:(.*?)\"\"\"", path.read_text(), re.DOTALL)
        for number in cited.findall(" ".join(sources)):
            assert number in known, f"{name_of(path)}: {number}"


def reasons() -> Iterator[tuple[str, str]]:
    """Yield every reason that codecs, decoding, the model and the store can give, with its file."""
    for package in (codecs, decode, model, store):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            if path.name not in NO_MESSAGES:
                for call in ast.walk(ast.parse(path.read_text())):
                    if isinstance(call, ast.Call) and (reason := reason_of(call)):
                        yield reason, path.name


def reason_of(call: ast.Call) -> str:
    """Return the reason that a call gives, '' when it gives none."""
    name = ast.unparse(call.func).rpartition(".")[2]
    first = call.args[0] if call.args else None
    if name not in {"RejectError", "DeadLetter", "reject"} or not isinstance(first, ast.Constant):
        return ""
    is_reason = name != "reject" or "out" in ast.unparse(call.func)
    return str(first.value) if is_reason else ""


def remedies() -> dict[str, str]:
    """Return the remedy of each reason in the document: the last column of its table."""
    rows = [
        line.strip("|").split("|")
        for line in LETTERS.read_text().splitlines()
        if line.startswith("| `")
    ]
    return {cells[0].strip(" `"): cells[-1].strip() for cells in rows}


def test_every_reason_has_a_remedy() -> None:
    found = dict(reasons())
    assert len(found) > 25
    missing = {f"{reason} ({where})" for reason, where in found.items() if reason not in remedies()}
    assert not missing
    assert all(len(remedy) > 10 for remedy in remedies().values())


def test_every_remedy_is_for_a_reason_that_exists() -> None:
    assert not remedies().keys() - dict(reasons()).keys()


def test_every_reason_is_a_documented_label_value() -> None:
    labels = {*metrics.LETTER_REASONS, *metrics.ELEMENT_REASONS}
    assert not dict(reasons()).keys() - labels


def test_every_reason_that_a_document_shows_exists() -> None:
    known = dict(reasons()).keys()
    for block in all_blocks("json"):
        for reason in re.findall(r'"reason": "([a-z_]+)"', block.text):
            assert reason in {*known, "reboot", "jump", "expired", "slow"}, block.name
