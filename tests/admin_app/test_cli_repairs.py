"""What Bedrock was found to refuse, on the command line."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from admin_app.cli_repairs import export_of
from admin_app.model_operations import CLEAR_ALL
from core.db import Database, open_database
from core.repairs import Change, RepairRow, Room, write_repairs
from proxy_app.bedrock import capabilities
from proxy_app.bedrock.capabilities import load_capabilities
from tests.admin_app.desk import Desk
from tests.admin_app.test_cli import NOW, Terminal

OPUS, AFK, SYSTEM = "claude-opus-5-5", "afk-mode-2026-01-31", "messages.system"


def row(kind: str, name: str, key: str = "b-1", standing: str = "refused") -> RepairRow:
    return RepairRow(key, "us-east-1", OPUS, kind, name, standing, 0, NOW, NOW + timedelta(days=7))


ROWS = [row("beta", AFK), row("beta", "effort-2025-11-24", standing="suspect"), row("field", SYSTEM)]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    run = Terminal(tmp_path / "var")
    run("migrate")
    database = open_database(run.settings, pool_size=1)
    change = Change("b-1", "us-east-1", OPUS, lambda _: ROWS)
    database.run(lambda connection: write_repairs(connection, [change], Room(10, 10), NOW))
    database.close()
    return run


def listed(terminal: Terminal) -> list[tuple[str, str]]:
    return [(each["name"], each["standing"]) for each in terminal("repairs list --json").document]


def test_lessons_and_suspects_are_listed_with_their_place_and_end(terminal: Terminal) -> None:
    assert listed(terminal) == [(AFK, "refused"), ("effort-2025-11-24", "suspect"), (SYSTEM, "refused")]
    [first, *_] = terminal("repairs list --json").document
    assert (first["bedrock_key_id"], first["region"], first["model"]) == ("b-1", "us-east-1", OPUS)
    assert (first["learned_at"], first["expires_at"]) == ("2026-05-01T12:00:00Z", "2026-05-08T12:00:00Z")


def test_one_is_cleared_and_then_all(terminal: Terminal) -> None:
    assert terminal(f"repairs clear {ROWS[0].id} --json").document == {"cleared": 1}
    assert listed(terminal) == [("effort-2025-11-24", "suspect"), (SYSTEM, "refused")]
    assert terminal("repairs clear --all").code == 0
    assert listed(terminal) == []


@pytest.mark.parametrize(("line", "code"), [("repairs clear", 2), ("repairs clear x --all", 2), ("repairs clear rep_none", 1)])
def test_a_wrong_call_clears_nothing(terminal: Terminal, line: str, code: int) -> None:
    assert terminal(line).code == code
    assert len(listed(terminal)) == 3


def test_the_export_is_one_document_by_model_without_suspects(terminal: Terminal) -> None:
    document = json.loads(terminal("repairs export").out)
    assert document["models"] == {OPUS: {"without_betas": [AFK], "without": [SYSTEM]}}
    witness = {"bedrock_key_id": "b-1", "region": "us-east-1", "learned_at": "2026-05-01T12:00:00Z"}
    assert document["seen"][OPUS][0] == {"kind": "beta", "name": AFK, **witness}


def test_a_name_that_two_keys_saw_is_exported_once_and_witnessed_twice() -> None:
    document = export_of([row("beta", AFK), row("beta", AFK, key="b-2")], NOW)
    assert document["models"][OPUS] == {"without_betas": [AFK]}
    assert [each["bedrock_key_id"] for each in document["seen"][OPUS]] == ["b-1", "b-2"]


def test_an_export_that_is_merged_into_the_capability_file_is_in_force(tmp_path: Path) -> None:
    shipped: dict[str, Any] = json.loads((Path(capabilities.__file__).parent / "data" / "capabilities.json").read_text())
    shipped["models"][OPUS] |= export_of([ROWS[0], ROWS[2]], NOW)["models"][OPUS]
    merged = tmp_path / "capabilities.json"
    merged.write_text(json.dumps(shipped))
    before, after = (table.of(OPUS, "opus") for table in (load_capabilities(), load_capabilities(merged)))
    assert (before.betas - after.betas, before.features - after.features) == ({AFK}, {SYSTEM})


def test_forgetting_all_of_nothing_is_done_as_often_as_one_likes(database: Database) -> None:
    desk = Desk(database)

    assert (desk.does(CLEAR_ALL).cleared, desk.does(CLEAR_ALL).cleared) == (0, 0)
