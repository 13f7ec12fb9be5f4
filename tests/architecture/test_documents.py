"""The documents tell the truth about the tree: paths, links, names, ids, targets; and are clean."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.documents import (
    DOCUMENTS,
    NAMES,
    ROOT,
    anchors,
    codes,
    links,
    name_of,
    prose,
)

TOP = {path.name for path in ROOT.iterdir()}
PACKAGE = ROOT / "src" / "millrace"


def is_text(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc" and path.name != "payload"


SOURCES = sorted((ROOT / "src").rglob("*.py"))
TEXTS = [
    *DOCUMENTS,
    *SOURCES,
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "bench").rglob("*.py")),
    *(path for path in sorted((ROOT / "scripts").rglob("*")) if is_text(path)),
    *(path for path in sorted((ROOT / "examples").rglob("*")) if is_text(path)),
    *(ROOT / name for name in ("Makefile", "pyproject.toml", ".importlinter.toml")),
]
DEVICE_RULES = {"F2": "f2.md", "MTR": "meter.md", "SNS": "sensors.md"}
# What is written by a person who follows a how-to, or by a running Millrace.
MADE = (
    "data", "docs/devices/weather.md", "millrace.toml", "src/millrace/codecs/weather.py",
    "src/millrace/adapters/archive_sqlite.py", "src/millrace/serve/routes/freshness.py",
    "tests/codecs/cases/weather",
)  # fmt: skip
_PATH = re.compile(r"[\w.\-]+(?:/[\w.\-]+)+/?|[A-Z]+\.md|[\w\-]+\.(?:py|md|toml)")
# Assembled, so that this file does not hold them.
FORBIDDEN = re.compile(
    "|".join(
        ("/work" + "/", "/" + "root/", "/" + "tmp/mr", r"\bTO" + "DO", r"\bFIX" + "ME", "XX" + "X")
    ),
)
UNWANTED_WORDS = re.compile(
    r"\b("
    + "|".join(("age" + "nts?", "pro" + "mpts?", "chat" + "bots?", "A" + "I", "LL" + "M"))
    + r")\b"
)


def paths_in(path: Path) -> list[str]:
    return [code for code in codes(path) if _PATH.fullmatch(code) and not code.startswith("_")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_path_exists(path: Path) -> None:
    for named in paths_in(path):
        if named.split("/")[0] not in TOP or named.startswith(MADE):
            continue
        assert (ROOT / named).exists(), named


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in links(path):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


def test_glossary_and_decisions_name_modules_that_exist() -> None:
    for name in ("glossary.md", "decisions.md"):
        for code in codes(ROOT / "docs" / name):
            if _PATH.fullmatch(code) and code.endswith((".py", "/")):
                assert (PACKAGE / code).exists(), code


def test_steps_of_the_architecture_name_functions_that_exist() -> None:
    rows = [line.split("|") for line in prose(ROOT / "ARCHITECTURE.md").splitlines()]
    steps = [row for row in rows if len(row) == 6 and row[1].strip().isdigit()]
    assert [row[1].strip() for row in steps] == [str(number) for number in range(1, 11)]
    for row in steps:
        names, files = re.findall(r"`([^`]+)`", row[3]), re.findall(r"`([^`]+)`", row[4])
        for name, file in zip(names, files, strict=True):
            assert name in methods(ROOT / file), name


def methods(path: Path) -> set[str]:
    return {
        f"{owner.name}.{member.name}"
        for owner in ast.parse(path.read_text()).body
        if isinstance(owner, ast.ClassDef)
        for member in owner.body
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_folder_of_the_package_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for path in sorted(PACKAGE.iterdir()):
        if not path.name.startswith("__") and (path.is_dir() or path.suffix == ".py"):
            assert f"`src/millrace/{path.name}`" in text, path.name


def test_architecture_has_the_layers_of_the_contracts() -> None:
    contracts = (ROOT / ".importlinter.toml").read_text()
    layers = re.findall(
        r'"([^"]+)"', re.findall(r"^layers = \[(.*?)^\]", contracts, re.MULTILINE | re.DOTALL)[0]
    )
    shown = re.findall(
        r"^```text\n(cli >.*?)^```",
        (ROOT / "ARCHITECTURE.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    wanted = [layer.replace(" | ", ", ") for layer in layers if layer != "__main__"]
    assert [sorted(one.split(", ")) for one in re.split(r"\s*>\s*", shown[0].strip())] == [
        sorted(one.split(", ")) for one in wanted
    ]


@pytest.mark.parametrize(("prefix", "guide"), DEVICE_RULES.items())
def test_every_device_rule_that_code_cites_is_in_its_guide(prefix: str, guide: str) -> None:
    text = (ROOT / "docs" / "devices" / guide).read_text()
    explained = set(re.findall(rf"\b{prefix}-\d\d\d\b", text))
    for path in SOURCES:
        cited = set(re.findall(rf"\b{prefix}-\d\d\d\b", path.read_text()))
        assert cited <= explained, f"{name_of(path)}: {cited - explained}"


def test_every_decision_that_code_cites_is_written_down() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text()
    for path in SOURCES:
        for cited in re.findall(r"\bD-\d\d\b", path.read_text()):
            assert f"| {cited} |" in text, f"{name_of(path)}: {cited}"


def test_every_section_that_code_cites_exists() -> None:
    named = {path.name.lower(): path for path in reversed(DOCUMENTS)}
    for path in SOURCES:
        for document, number in re.findall(
            r"\b([a-z0-9]+\.md),? (?:section )?(\d+)\b", path.read_text()
        ):
            if document in ("architecture.md", "f2.md", "meter.md", "sensors.md"):
                text = named[document].read_text()
                assert f"\n## {number}. " in text, f"{name_of(path)}: {document} {number}"


def test_adrs_are_numbered_and_have_three_parts() -> None:
    paths = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in paths] == list(range(1, len(paths) + 1))
    for number, path in enumerate(paths, 1):
        text = path.read_text()
        assert text.startswith(f"# {number}. "), path.name
        for part in ("Context", "Decision", "Consequence"):
            assert f"**{part}.**" in text, path.name
        assert len(text.splitlines()) < 40


def test_every_adr_that_is_cited_exists() -> None:
    known = {int(path.name[:4]) for path in (ROOT / "docs" / "adr").glob("*.md")}
    for path in DOCUMENTS:
        for number in re.findall(r"\bADR (\d+)\b", path.read_text()):
            assert int(number) in known, f"{name_of(path)}: ADR {number}"


def test_every_case_of_the_bench_is_described() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    described = set(re.findall(r"^\| (B\d+) \|", text, re.MULTILINE))
    there = {path.stem.upper() for path in (ROOT / "bench" / "cases").glob("b*.py")}
    assert described == there


def test_readme_says_which_schemes_exist() -> None:
    wiring = "".join(path.read_text() for path in (PACKAGE / "wiring").glob("*.py"))
    text = (ROOT / "README.md").read_text()
    known = re.findall(r'known\(\s*"?(\w+)\.url"?, [^,]+, ([^)]+)\)', wiring)
    assert len({setting for setting, _ in known}) == 6
    for setting, schemes in known:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{setting}.url`")]
        for scheme in re.findall(r'"([\w+]+)"', schemes):
            assert f"`{scheme}://" in row, (setting, scheme)


def test_readme_is_short_and_has_a_place_for_figures() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 140
    assert text.count("<!-- bench:begin -->") == text.count("<!-- bench:end -->") == 1


def test_every_document_is_found_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / name for name in NAMES]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        targets = [link.partition("#")[0] for link in links(path) if "://" not in link]
        waiting += [(path.parent / target).resolve() for target in targets if target]
    lists = ("adr", "changelog.d")
    assert not {path for path in DOCUMENTS if path not in reached and path.parent.name not in lists}


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_text_is_finished_and_names_no_place_of_one_machine(path: Path) -> None:
    found = FORBIDDEN.search(path.read_text())
    assert found is None, found


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_documents_speak_of_millrace_only(path: Path) -> None:
    found = UNWANTED_WORDS.search(path.read_text())
    assert found is None, found


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_hold_versions_and_no_addresses(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._\-]+==[A-Za-z0-9._+\-]+", line), line
