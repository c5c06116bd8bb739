"""Lost secrets and others than the database's, from the command line: every command refuses, until they are accepted by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin_app.__main__ import serve
from core.settings import Settings
from tests.admin_app.test_cli import Terminal, issued


@pytest.fixture
def terminal(tmp_path: Path, database_url: str) -> Terminal:
    """Somebody's, with a key; the database is elsewhere than the secrets."""
    made = Terminal(tmp_path / "var")
    made.environ["PROXY_DATABASE_URL"] = database_url
    made.settings = Settings(data_dir=tmp_path / "var", database_url=database_url)
    issued(made)
    made("bedrock-key add --user ann --key-stdin", stdin="a-bedrock-key\n")
    return made


def elsewhere(terminal: Terminal) -> Terminal:
    """The same database, from a data folder that holds nothing."""
    moved = Terminal(terminal.settings.data_dir.with_name("elsewhere"))
    moved.environ["PROXY_DATABASE_URL"] = terminal.environ["PROXY_DATABASE_URL"]
    return moved


@pytest.mark.parametrize("line", ["user list", "migrate", "key issue --user ann", "bedrock-key list --user ann"])
def test_without_the_secrets_every_command_says_what_to_do_and_makes_nothing(terminal: Terminal, line: str) -> None:
    lost = elsewhere(terminal)
    finished = lost(line)

    assert (finished.code, finished.out) == (1, "")
    assert "elsewhere/server_secret: is missing" in finished.err
    assert "elsewhere/vault_key: is missing" in finished.err
    assert not lost.settings.data_dir.exists()


def test_a_server_without_the_secrets_does_not_start(terminal: Terminal) -> None:
    lost = Settings(
        data_dir=elsewhere(terminal).settings.data_dir, database_url=terminal.settings.database_url, bind="127.0.0.1:0"
    )
    with pytest.raises(Exception, match="server_secret: is missing"):
        serve(lost, True)

    assert not lost.data_dir.exists()


def test_the_doctor_tells_lost_secrets_and_others(terminal: Terminal) -> None:
    lost = elsewhere(terminal)
    missing = lost("doctor").out
    made = not lost.settings.data_dir.exists()
    lost.settings.data_dir.mkdir()
    (lost.settings.data_dir / "server_secret").write_text("o" * 64)
    (lost.settings.data_dir / "vault_key").write_bytes(b"o" * 32)
    other = lost("doctor").out

    assert ("X    secrets" in missing, "server_secret: is missing" in missing, made) == (True, True, True)
    assert "X    secrets" in other
    assert "belongs to another server_secret" in other
    assert "belongs to another vault_key" in other


def test_going_on_with_new_secrets_is_possible_by_name_alone_and_tells_what_it_costs(terminal: Terminal) -> None:
    lost = elsewhere(terminal)
    accepted = lost("secrets accept")
    again = lost("secrets accept")

    assert (accepted.code, again.code) == (0, 0)
    assert "1 access key made with another server_secret" in accepted.out
    assert "1 Bedrock key sealed with another vault_key" in accepted.out
    assert "nothing has changed" in again.out
    assert lost("user list").code == 0
    assert "belongs to another server_secret" in terminal("user list").err


def test_who_accepted_which_secrets_is_in_the_audit_log(terminal: Terminal) -> None:
    document = elsewhere(terminal)("secrets accept --json").document

    assert sorted(document["before"]) == sorted(document["after"]) == ["server_secret", "vault_key"]
    assert (document["access_keys"], document["bedrock_keys"]) == (1, 1)
    assert document["before"] != document["after"]


def test_a_database_that_is_not_migrated_can_belong_to_nobody(tmp_path: Path) -> None:
    finished = Terminal(tmp_path / "var")("secrets accept")

    assert finished.code == 1
    assert "not migrated" in finished.err
