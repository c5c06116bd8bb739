"""The docs say what is: settings, commands, links, fields and faults are compared with the code; no file tells too much."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

import pytest

from admin_app import cli
from admin_app.api_routes import OFFERS
from admin_app.problems import Kind
from core.crypto import is_wellformed, new_access_key
from core.metrics import CATALOGUE, Metric
from core.record import RequestRecord
from core.settings import describe_settings
from proxy_app.faults import POLICY
from tests.test_architecture import DOORS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"python -m admin_app +([^`|<>#\n]+)")
_MAKE = re.compile(r"(?:`|^)make ([a-z]+)", re.MULTILINE)

# Patterns are written so that they do not match themselves.
REGISTRY = re.compile(
    r"\bpypi\.(?:org|python)|pythonhosted\.|\bnpmjs\.|\bcrates\.io\b|proxy\.golang\.|\brubygems\.org|"
    r"https?://[^\s\"'<>]*(?:/simple/|artifactory|nexus|devpi)"
)
MACHINE_PATH = re.compile(r"(?<![\w.~/$})-])/(?:tmp|work|root|home|Users)/\w")
SECRET = re.compile(
    r"sk-ant-[a-z]+\d\d-[\w-]{20,}|AKIA[0-9A-Z]{16}|ABSK[0-9A-Za-z+/=]{40,}|bedrock-api-key-[0-9A-Za-z+/=]{30,}|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bgh[pousr]_\w{30,}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"
)
ACCESS_KEY = re.compile(r"ak_[0-9A-Za-z]{44}(?![0-9A-Za-z])")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def slugs(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    for link in _LINK.findall(_FENCED.sub("", page.read_text())):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = (page.parent / target).resolve() if target else page
        if not found.exists() or (anchor and anchor not in slugs(found)):
            yield f"{relative(page)} -> {link}"


def section_of(text: str, heading: str) -> str:
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def repository_files() -> Iterator[tuple[str, str]]:
    """(path, text) of every text file but what git ignores."""
    ignored = {line.strip("/\n") for line in (ROOT / ".gitignore").read_text().splitlines()} | {".git"}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in ignored]
        for path in (Path(folder) / name for name in names if name not in ignored):
            content = path.read_bytes()
            if b"\0" not in content:
                yield relative(path), content.decode("utf-8", "replace")


def test_every_setting_has_a_heading_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    assert [name for name, default, *_ in describe_settings() if told_default(default) not in section_of(text, name)] == []


def told_default(default: str) -> str:
    """Whole seconds are written without their `.0`."""
    shown = re.sub(r"^(\d+)\.0$", r"\1", default)
    return f"Default: `{shown}`" if shown else "Default: empty."


def test_no_heading_names_a_setting_that_does_not_exist() -> None:
    headings = re.findall(r"^#+ (PROXY_\w+)", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(name for name, *_ in describe_settings())


def test_secret_settings_are_marked_as_such() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    marked = {name for name, *_ in describe_settings() if "*Secret.*" in section_of(text, name)}
    assert marked == {name for name, _, _, secret in describe_settings() if secret}


def test_settings_named_in_the_docs_exist() -> None:
    names = {name for name, *_ in describe_settings()}
    named = {(relative(page), name) for page in PAGES for name in re.findall(r"PROXY_[A-Z][A-Z_]*[A-Z]", page.read_text())}
    assert {(page, name) for page, name in named if name.removesuffix("_FILE") not in names} == set()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(_MAKE.findall(README.read_text()))
    assert {"run", "demo", "test"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_of_the_docs_is_understood(page: Path) -> None:
    parser = cli._parser()
    for command in _COMMAND.findall(page.read_text()):
        if command.strip() != "...":
            parser.parse_args(shlex.split(command))  # raises for what it does not know


def test_every_command_is_in_the_operators_page() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    named = {" ".join(command.split()[:length]) for command in _COMMAND.findall(text) for length in (1, 2)}
    assert {command for command in commands_of(cli._parser()) if command not in named} == set()


def commands_of(parser: ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[str]:
    nouns = [action for action in parser._actions if isinstance(action, _SubParsersAction)]
    for name, inner in (pair for noun in nouns for pair in noun.choices.items()):
        yield from commands_of(inner, (*words, name))
    if not nouns:
        yield " ".join(words)


def test_every_field_of_a_record_is_explained() -> None:
    text = section_of((ROOT / "docs" / "logs.md").read_text(), "The line of a request")
    assert [name for name in (*RequestRecord.__slots__, "circuit") if f"`{name}`" not in text] == []


def test_every_saved_query_is_explained() -> None:
    text = section_of((ROOT / "docs" / "logs.md").read_text(), "Queries")
    named = set(re.findall(r"^\| `([\w.-]+)` \|", text, re.MULTILINE))
    assert named == {path.name for path in (ROOT / "ecs" / "queries").iterdir()}


METRICS_PAGE = ROOT / "docs" / "metrics.md"


def test_every_metric_has_a_heading_and_no_heading_names_another() -> None:
    headings = re.findall(r"^## (.+)$", METRICS_PAGE.read_text(), re.MULTILINE)
    assert headings == ["CloudWatch", "Prometheus", *(metric.name for metric in CATALOGUE)]


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_the_page_of_metrics_says_what_the_catalogue_says(metric: Metric) -> None:
    said = " ".join(section_of(METRICS_PAGE.read_text(), metric.name).split())
    dimension = f"{{{metric.dimension.name}}}" if metric.dimension.name else ""
    assert said.startswith(f"`{metric.name}{dimension}`") and metric.sentence in said
    assert f"; {metric.unit}; " in said and f"`{metric.exposed}`." in said
    assert [value for value in metric.dimension.values if f"`{value}`" not in said] == []
    assert ("rolled up" in said) == (metric.dimension.rolled_up or metric.name == "CircuitBreakerState")


def test_the_faults_page_says_what_the_policy_table_says() -> None:
    lines = section_of((ROOT / "docs" / "errors.md").read_text(), "Faults").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    assert {name.strip("`"): (falls_back, effect, wire) for name, _, falls_back, effect, wire in rows} == {
        fault.value: ("yes" if policy.falls_back else "no", policy.effect.value, f"{policy.status} `{policy.error_type}`")
        for fault, policy in POLICY.items()
    }


def test_the_page_of_the_api_names_every_kind_of_problem_and_leads_to_the_reference() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in section_of(text, "Problems").splitlines() if line.startswith("| `")]
    assert [(name.strip("`"), status, meaning) for name, status, meaning in rows] == [
        (kind.slug, str(kind.status), kind.meaning) for kind in Kind
    ]
    assert "`/admin/api`" in section_of(text, "Operations")


def test_operations_that_the_docs_name_exist() -> None:
    operations = {(offer.method, offer.path) for offer in OFFERS} | {("POST", "/token"), ("DELETE", "/token")}
    named = re.findall(
        r"(GET|POST|PATCH|DELETE) \"?(?:\$PROXY)?/admin/api/v1(/[\w/{}-]+)", (ROOT / "docs" / "api.md").read_text()
    )
    assert len(named) > 2
    assert set(named) <= operations


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[~=<>\[]", dependency)[0] for dependency in project["dependencies"]}
    text = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()
    assert {name for name in names if f"| {name} |" not in text} == set()


def test_the_page_of_doors_has_every_door() -> None:
    text = (ROOT / "docs" / "decisions" / "0004-doors.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE)
    assert {library: set(re.findall(r"`([^`]+)`", doors)) for library, doors in rows} == {
        library: {door for door in doors if "/circuits/" not in door} for library, doors in DOORS.items()
    }


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_its_four_parts(page: Path) -> None:
    assert re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE) == ["Status", "Context", "Decision", "Consequences"]


def test_decisions_are_numbered_without_gaps() -> None:
    assert [page.stem[:4] for page in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


def test_every_test_that_proves_a_rule_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", (ROOT / "docs" / "security.md").read_text()))
    assert len(named) > 5
    assert {name for name in named if not (ROOT / name).is_file()} == set()


@pytest.mark.parametrize("pattern", [REGISTRY, MACHINE_PATH, SECRET], ids=["registry", "machine path", "secret"])
def test_no_file_tells_too_much(pattern: re.Pattern[str]) -> None:
    found = [f"{path}: {match[0][:12]}" for path, text in repository_files() for match in pattern.finditer(text)]
    assert found == []


def test_no_file_holds_an_access_key_that_could_be_real() -> None:
    found = [path for path, text in repository_files() for key in ACCESS_KEY.findall(text) if is_wellformed(key)]
    assert found == []


@pytest.mark.parametrize(
    ("pattern", "slip"),
    [
        (REGISTRY, "https://pypi" + ".org/project/x"),
        (REGISTRY, "index-url = http://mirror.example" + "/simple/"),
        (MACHINE_PATH, 'open("' + "/tmp" + '/x")'),
        (MACHINE_PATH, "cd " + "/work" + "/main"),
        (SECRET, "sk-ant-" + "api03-" + "x" * 40),
        (SECRET, "AKIA" + "A" * 16),
        (ACCESS_KEY, new_access_key()),
    ],
    ids=["registry", "mirror", "file", "folder", "api key", "aws key", "access key"],
)
def test_a_slip_would_be_seen(pattern: re.Pattern[str], slip: str) -> None:
    assert pattern.search(slip)
