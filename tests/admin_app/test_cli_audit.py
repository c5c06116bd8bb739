"""Every changing command of the command line is in the audit log, under the name of who ran it. Generated from the verbs."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admin_app.cli import _parser
from admin_app.cli_work import NOBODY_KNOWN, os_username
from core.audit import Entry, Filter, entries
from core.db import open_database
from core.repairs import Change, RepairRow, Room, write_repairs
from tests.admin_app.test_cli import NOW, Terminal

READING = {
    "user list", "user show", "key list", "bedrock-key list", "admin list", "model list", "price list", "repairs list",
    "repairs export", "ledger verify", "ledger reconcile", "usage export", "usage sessions", "doctor",
}  # fmt: skip
NO_ADMINS_DEED = {"migrate": "the schema's own table keeps its version", "serve": "what it serves is audited itself"}

# verb -> the arguments of a call that changes something, and what the entry's action is
CHANGING = {
    "admin create": ("boss --role owner", "admin.create"),
    "admin set-role": ("ann editor", "admin.set_role"),
    "admin disable": ("ann", "admin.disable"),
    "admin enable": ("ann", "admin.enable"),
    "admin delete": ("ann", "admin.delete"),
    "admin reset-password": ("ann", "admin.reset_password"),
    "admin reset-totp": ("ann", "admin.reset_second_factor"),
    "user add": ("ben", "user.create"),
    "user set": ("ada --note hello", "user.update"),
    "user activate": ("ada", "user.activate"),
    "user deactivate": ("ada", "user.deactivate"),
    "user delete": ("ada", "user.delete"),
    "key issue": ("--user ada", "access_key.issue"),
    "key link": ("--user ada", "link.create"),
    "key set": ("{key} --name laptop", "access_key.update"),
    "key rotate": ("{key}", "access_key.rotate"),
    "key revoke": ("{key}", "access_key.revoke"),
    "bedrock-key add": ("--user ada --key-stdin", "bedrock_key.attach"),
    "bedrock-key test": ("{bedrock_key}", "bedrock_key.test"),
    "bedrock-key remove": ("{bedrock_key}", "bedrock_key.remove"),
    "bedrock-key reseal": ("", "bedrock_key.reseal"),
    "model add": ("claude-new --bedrock anthropic.claude-new-v1:0 --like claude-opus-5-5", "model.create"),
    "model remove": ("{model}", "model.remove"),
    "price set": ("claude-opus-5-5 --input 1 --output 2", "price.set"),
    "price remove": ("{price}", "price.remove"),
    "repairs clear": ("--all", "repair.clear_all"),
    "ledger import": ("", "ledger.import_begin"),
    "purge": ("", "ledger.purge_begin"),
    "secrets accept": ("", "secrets.accept"),
}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A data folder with one of everything, and the ids."""
    made = Terminal(tmp_path_factory.mktemp("office") / "var")
    made("migrate")
    return made.settings.data_dir, furnished(made)


@pytest.fixture
def ids(office: tuple[Path, dict[str, str]]) -> dict[str, str]:
    return office[1]


@pytest.fixture
def terminal(tmp_path: Path, office: tuple[Path, dict[str, str]]) -> Terminal:
    return Terminal(Path(shutil.copytree(office[0], tmp_path / "var")))


def verbs(parser: ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that the parser takes."""
    below = [action.choices for action in parser._actions if hasattr(action.choices, "items")]
    if not below:
        yield " ".join(words)
    for choices in below:
        for word, child in choices.items():
            yield from verbs(child, (*words, word))


def furnished(terminal: Terminal) -> dict[str, str]:
    """One of everything; the ids."""
    terminal("admin create ann")
    terminal("user add ada")
    row = RepairRow("b-1", "us-east-1", "claude-opus-5-5", "beta", "some-beta", "refused", 0, NOW, NOW.replace(day=8))
    database = open_database(terminal.settings, pool_size=1)
    database.run(lambda c: write_repairs(c, [Change("b-1", "us-east-1", "claude-opus-5-5", lambda _: [row])], Room(10, 10), NOW))
    database.close()
    added = {
        "key": terminal("key issue --user ada --json"),
        "bedrock_key": terminal("bedrock-key add --user ada --key-stdin --json", stdin="a-bedrock-key\n"),
        "model": terminal("model add claude-old --bedrock anthropic.claude-old-v1:0 --like claude-opus-5-5 --json"),
        "price": terminal("price set claude-opus-5-5 --input 3 --output 4 --from 2026-04-01 --json"),
    }
    return {name: finished.document["id"] for name, finished in added.items()}


def audit_of(terminal: Terminal) -> list[Entry]:
    database = open_database(terminal.settings, pool_size=1)
    found = database.read(lambda c: entries(c, Filter(), 200).lines)
    database.close()
    return found


def ids_of(log: list[Entry]) -> set[str]:
    return {entry.id for entry in log}


def test_every_command_is_known_here_as_one_that_reads_or_one_that_changes() -> None:
    assert set(verbs(_parser())) == READING | set(CHANGING) | set(NO_ADMINS_DEED)


@pytest.mark.parametrize("verb", sorted(CHANGING))
def test_what_a_command_changes_is_in_the_audit_log(terminal: Terminal, ids: dict[str, str], verb: str) -> None:
    before = ids_of(audit_of(terminal))
    arguments, action = CHANGING[verb]
    finished = terminal(f"{verb} {arguments.format(**ids)} --json", stdin="a-bedrock-key\n" if verb == "bedrock-key add" else "")
    made = [entry for entry in audit_of(terminal) if entry.id not in before]
    assert (finished.code, action in {entry.action for entry in made}) == (0, True), finished.err
    assert {(entry.via, entry.username, entry.admin_id, entry.address) for entry in made} == {("cli", os_username(), "", "")}


@pytest.mark.parametrize("verb", sorted(READING - {"usage sessions", "doctor", "user show", "ledger reconcile"}))
def test_what_only_reads_leaves_no_entry(terminal: Terminal, verb: str) -> None:
    before = ids_of(audit_of(terminal))
    assert terminal(verb).code == 0
    assert ids_of(audit_of(terminal)) == before


REFUSED = ("admin disable boss", "user add ada", "key revoke key_none", "repairs clear rep_none", "price remove p")


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_leaves_no_entry(terminal: Terminal, words: str) -> None:
    before = ids_of(audit_of(terminal))
    assert terminal(words).code == 1
    assert ids_of(audit_of(terminal)) == before


def test_no_secret_is_in_what_commands_wrote_down(terminal: Terminal, ids: dict[str, str]) -> None:
    password = terminal("admin reset-password ann --json").document["password"]
    rotated = terminal(f"key rotate {ids['key']} --json").document["access_key"]
    link = terminal("key link --user ada --json").document["url"].rpartition("/")[2]
    text = repr(audit_of(terminal))
    assert [secret for secret in (password, rotated, link, "a-bedrock-key", "$2b$", "sha384:") if secret in text] == []


def test_who_has_no_name_at_the_machine_is_called_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> Any:
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert os_username() == NOBODY_KNOWN
