"""Users and keys over their whole life, from the command line (SPEC section 8)."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.admin_app.test_cli import NOW, Terminal, issued
from tests.installations import with_tables


@pytest.fixture
def terminal(tmp_path: Path, sqlite_template: Path) -> Terminal:
    made = Terminal(tmp_path / "var")
    with_tables(made.settings, sqlite_template)
    return made


def only(terminal: Terminal, line: str) -> dict[str, Any]:
    [row] = terminal(line).document
    return dict(row)


def test_a_user_is_added_with_all_there_is_to_say_and_changed_later(terminal: Terminal) -> None:
    terminal("user add ann --strategy plan_only --budget 12.50 --email ann@example.com --note desk-3")
    before = only(terminal, "user list --json")

    changed = terminal("user set ann --name ann-b --strategy bedrock_only --budget none --json")
    assert (before["strategy"], before["monthly_budget_usd"], before["email"], before["note"]) == (
        "plan_only", "12.5", "ann@example.com", "desk-3",
    )  # fmt: skip
    assert changed.document == {**before, "name": "ann-b", "strategy": "bedrock_only", "monthly_budget_usd": None}
    assert only(terminal, "user list --json") == changed.document


@pytest.mark.parametrize("budget", ["x", "-1", "nan", "inf", "1e12", "0.0000001"])
def test_a_budget_that_is_none_is_a_wrong_call(terminal: Terminal, budget: str) -> None:
    finished = terminal(f"user add ann --budget={budget}")

    assert (finished.code, finished.out) == (2, "")
    assert "US dollars" in finished.err


def test_a_user_is_shown_with_all_their_keys(terminal: Terminal) -> None:
    key = issued(terminal)
    terminal("bedrock-key add --user ann --key-stdin", stdin="a-bedrock-key\n")

    shown = terminal("user show ann --json").document
    assert ([each["id"] for each in shown["keys"]], len(shown["bedrock_keys"])) == ([key["id"]], 1)
    text = terminal("user show ann").out
    assert key["id"] in text
    assert key["access_key"] not in text
    assert "a-bedrock-key" not in text


def test_an_inactive_user_is_let_in_again_and_a_deleted_one_never(terminal: Terminal) -> None:
    key = issued(terminal)
    terminal("user deactivate ann")
    cut = terminal.is_accepted(key["access_key"])
    assert terminal("user activate ann --json").document["status"] == "active"
    assert (cut, terminal.is_accepted(key["access_key"])) == (False, True)

    assert terminal("user delete ann --json").document["status"] == "deleted"
    assert not terminal.is_accepted(key["access_key"])
    assert (terminal("user activate ann").code, terminal("user list --json").document) == (1, [])


def test_a_key_has_its_options_from_its_issue_and_others_later(terminal: Terminal) -> None:
    terminal("user add ann")
    options = "--name laptop --expires-days 9 --strategy plan_only --budget 5 --requests-per-minute 30"
    key_id = terminal(f"key issue --user ann {options} --json").document["id"]
    before = only(terminal, "key list --json")
    assert (before["name"], before["strategy"], before["monthly_budget_usd"]) == ("laptop", "plan_only", "5")
    assert (before["requests_per_minute"], before["expires_at"]) == (30, "2026-05-10T12:00:00Z")

    changed = terminal(f"key set {key_id} --expires-days none --strategy none --requests-per-minute 5 --json").document
    assert changed == {**before, "expires_at": None, "strategy": None, "requests_per_minute": 5}
    assert terminal(f"key set {key_id} --name desk --json").document == {**changed, "name": "desk"}


@pytest.mark.parametrize("rate", ["0", "10001", "x", "-5", "1.5"])
def test_a_limit_that_is_none_is_refused(terminal: Terminal, rate: str) -> None:
    terminal("user add ann")

    assert terminal(f"key issue --user ann --requests-per-minute={rate}").code in (1, 2)
    assert terminal("key list --json").document == []


def test_the_old_secret_of_a_rotated_key_is_good_for_five_minutes_by_itself_and_is_seen_in_the_list(terminal: Terminal) -> None:
    old = issued(terminal)
    terminal(f"key rotate {old['id']}")

    grace = [terminal.is_accepted(old["access_key"], NOW + timedelta(seconds=after)) for after in (299, 300)]
    assert grace == [True, False]
    assert only(terminal, "key list --json")["old_secret_until"] == "2026-05-01T12:05:00Z"


def test_the_grace_of_a_rotation_can_be_chosen(terminal: Terminal) -> None:
    old = issued(terminal)
    terminal(f"key rotate {old['id']} --grace 10")

    assert [terminal.is_accepted(old["access_key"], NOW + timedelta(seconds=after)) for after in (9, 10)] == [True, False]


# Links


def test_a_link_is_printed_with_the_public_address_and_holds_no_key(terminal: Terminal) -> None:
    terminal.environ["PROXY_PUBLIC_URL"] = "https://proxy.example.com"
    terminal("user add ann")

    made = terminal("key link --user ann --name laptop --json").document
    assert re.fullmatch(r"https://proxy\.example\.com/claim/[0-9A-Za-z_-]{22}", made["url"])
    assert made["expires_at"] == "2026-05-02T12:00:00Z"
    assert terminal("key list --json").document == []
    assert "https://proxy.example.com/claim/" in terminal("key link --user ann").out


def test_links_are_withdrawn(terminal: Terminal) -> None:
    terminal("user add ann")
    terminal("key link --user ann"), terminal("key link --user ann")

    assert terminal("key link --user ann --withdraw --json").document == {"withdrawn": 2}
    assert terminal("key link --user ann --withdraw --json").document == {"withdrawn": 0}


# Export


def test_users_and_keys_are_exported_without_secrets_and_without_formulas(terminal: Terminal) -> None:
    terminal("user add =cmd|calc --email a@example.com --note @note")
    key = terminal("key issue --user =cmd|calc --name +laptop --json").document

    users, keys = terminal("user list --csv"), terminal("key list --csv")
    [user] = csv.DictReader(io.StringIO(users.out, newline=""))
    [row] = csv.DictReader(io.StringIO(keys.out, newline=""))
    assert (user["name"], user["note"], user["email"]) == ("'=cmd|calc", "'@note", "a@example.com")
    assert (row["id"], row["user"], row["name"]) == (key["id"], "'=cmd|calc", "'+laptop")
    assert key["access_key"] not in users.out + keys.out


# Bedrock keys


def test_several_bedrock_keys_are_listed_in_the_order_they_are_tried_with_what_is_wrong(terminal: Terminal) -> None:
    terminal("user add ann")
    adds = [f"bedrock-key add --user ann --key-stdin --json --name {name}" for name in ("first", "second", "third")]
    for line in (f"{adds[0]} --expires-days 90", f"{adds[1]} --expires-days 5", adds[2]):
        assert terminal(line, stdin="a-key\n").code == 0

    rows = terminal("bedrock-key list --user ann --json").document
    assert sorted((row["name"], row["warning"], row["expires_at"]) for row in rows) == [
        ("first", "", "2026-07-30T12:00:00Z"),
        ("second", "expires in 5 days", "2026-05-06T12:00:00Z"),
        ("third", "", None),
    ]


def test_a_removed_bedrock_key_is_gone(terminal: Terminal) -> None:
    terminal("user add ann")
    key_id = terminal("bedrock-key add --user ann --key-stdin --json", stdin="a-key\n").document["id"]

    assert terminal(f"bedrock-key remove {key_id} --json").document == {"id": key_id, "removed": True}
    assert terminal("bedrock-key list --json").document == []
    assert terminal(f"bedrock-key test {key_id}").code == 1


def test_resealing_keeps_every_secret(terminal: Terminal) -> None:
    terminal("user add ann")
    key_id = terminal("bedrock-key add --user ann --key-stdin --json", stdin="a-key\n").document["id"]

    assert terminal("bedrock-key reseal --json").document == {"resealed": 1, "cannot_open": []}
    assert terminal(f"bedrock-key test {key_id}").code == 0
    assert terminal.probe.asked[-1][1] == "a-key"


def test_what_cannot_be_resealed_is_named(terminal: Terminal) -> None:
    terminal("user add ann")
    key_id = terminal("bedrock-key add --user ann --key-stdin --json", stdin="a-key\n").document["id"]
    (terminal.settings.data_dir / "vault_key").write_bytes(b"?" * 32)
    terminal("secrets accept")

    finished = terminal("bedrock-key reseal --json")
    assert (finished.code, finished.document) == (1, {"resealed": 0, "cannot_open": [key_id]})
