"""What sessions cost, as a person and as a script ask for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.db import open_database
from core.ledger import write_batch
from core.record import RequestRecord
from tests.admin_app.test_cli import NOW, Terminal

NESTED = {"agent_id": "b", "parent_agent_id": "a", "provider": "bedrock", "fault": "plan_exhausted", "cost_micros": 1_500_001}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """With a user `u` who has a key and one session of three agents."""
    terminal = Terminal(tmp_path / "var")
    assert terminal("migrate").code == 0
    user_id = terminal("user add u --json").document["id"]
    key_id = terminal("key issue --user u --json").document["id"]
    plain = RequestRecord("req_1", NOW.timestamp() - 60, user_id, key_id, session_id="one", provider="plan", status=200)
    changes: list[dict[str, Any]] = [{}, {"agent_id": "a"}, NESTED]
    records = [replace(plain, request_id=f"req_{n}", started_at=plain.started_at + n, **more) for n, more in enumerate(changes)]
    database = open_database(terminal.settings, pool_size=1)
    database.run(lambda connection: write_batch(connection, records))
    database.close()
    return terminal


def test_the_latest_sessions_of_a_user_are_listed(terminal: Terminal) -> None:
    document = terminal("usage sessions --user u --json").document
    assert document["total"] == 1
    line = document["sessions"][0]
    assert (line["session_id"], line["agents"], line["requests"]) == ("one", 3, 3)
    assert (line["cost_usd"], line["plan"], line["bedrock"], line["fallbacks"]) == ("1.500001", 2, 1, 1)


def test_the_agents_of_a_session_are_shown_below_each_other(terminal: Terminal) -> None:
    key_id = terminal("key list --json").document[0]["id"]
    lines = terminal(f"usage sessions --key {key_id} --session one").out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["main", "a", "b"]
    assert [len(line) - len(line.lstrip()) for line in lines[1:4]] == [0, 2, 4]
    assert "1.500001" in lines[1]


def test_the_tree_for_programs_has_each_agents_own_figures_too(terminal: Terminal) -> None:
    agents = terminal("usage sessions --user u --session one --json").document["agents"]
    assert [(each["agent_id"], each["depth"], each["own"]["requests"], each["with_below"]["requests"]) for each in agents] == [
        ("", 0, 1, 3),
        ("a", 1, 1, 2),
        ("b", 2, 1, 1),
    ]


def test_a_session_that_is_not_theirs_is_refused(terminal: Terminal) -> None:
    terminal("user add other")
    refused = terminal("usage sessions --user other --session one")
    assert (refused.code, refused.err.strip()) == (1, "there is no session one of theirs")


def test_a_user_without_sessions_has_an_empty_list(terminal: Terminal) -> None:
    terminal("user add other")
    assert terminal("usage sessions --user other").out.strip() == "There are no sessions."
    assert terminal("usage sessions --user other --json").document == {"sessions": [], "total": 0}


def test_the_latest_sessions_of_all_say_who_and_why_bedrock_answered(terminal: Terminal) -> None:
    [line] = terminal("usage sessions --json").document["sessions"]
    assert (line["user"], line["session_id"], line["fault"]) == ("u", "one", "plan_exhausted")
    assert terminal("usage sessions --answered plan").out.strip() == "There are no sessions."


def test_a_session_of_which_nobody_says_whose_is_that_of_who_used_it_last(terminal: Terminal) -> None:
    assert len(terminal("usage sessions --session one --json").document["agents"]) == 3
    assert terminal("usage sessions --session none").code == 1


@pytest.mark.parametrize("words", ["--answered someone", "--user u --key k", "--user u --page 0"])
def test_a_call_that_contradicts_itself_is_wrong(terminal: Terminal, words: str) -> None:
    assert terminal(f"usage sessions {words}").code == 2


def test_a_user_or_key_that_does_not_exist_is_refused(terminal: Terminal) -> None:
    assert terminal("usage sessions --user nobody").code == 1
    assert terminal("usage sessions --key key_none").code == 1
