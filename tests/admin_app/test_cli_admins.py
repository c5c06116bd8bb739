"""The command line's `admin`, as a person and as a script meet it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.admins import find_login
from core.crypto import check_password
from core.db import open_database
from core.managed_owner import ensure_managed_owner
from tests.admin_app.test_cli import NOW, Terminal
from tests.installations import with_tables


@pytest.fixture
def terminal(tmp_path: Path, sqlite_template: Path) -> Terminal:
    made = Terminal(tmp_path / "var")
    with_tables(made.settings, sqlite_template)
    return made


def opens(terminal: Terminal, name: str, password: str) -> bool:
    database = open_database(terminal.settings, pool_size=1)
    login = database.read(lambda c: find_login(c, name))
    database.close()
    return login is not None and check_password(password, login.password_hash)


def test_an_admin_is_created_with_a_password_that_is_shown_once(terminal: Terminal) -> None:
    made = terminal("admin create ann --role owner --json")
    listed = terminal("admin list --json")

    assert opens(terminal, "ann", made.document["password"])
    assert [(row["username"], row["role"], row["status"]) for row in listed.document] == [("ann", "owner", "active")]
    assert made.document["password"] not in listed.out + made.err


def test_a_new_admin_only_looks_unless_told_otherwise(terminal: Terminal) -> None:
    assert terminal("admin create ann --json").document["role"] == "viewer"


def test_roles_and_status_change_and_the_list_says_so(terminal: Terminal) -> None:
    terminal("admin create boss --role owner")
    terminal("admin create ann")

    codes = [terminal(f"admin {words}").code for words in ("set-role ann editor", "disable ann", "enable ann", "reset-totp ann")]
    row = next(row for row in terminal("admin list --json").document if row["username"] == "ann")

    assert (codes, row["role"], row["status"]) == ([0] * 4, "editor", "active")
    assert (terminal("admin delete ann").code, len(terminal("admin list --json").document)) == (0, 1)


def test_a_forgotten_password_is_replaced_by_one_shown_once(terminal: Terminal) -> None:
    first = terminal("admin create ann --json").document["password"]

    second = terminal("admin reset-password ann --json").document["password"]

    assert (opens(terminal, "ann", first), opens(terminal, "ann", second)) == (False, True)


@pytest.mark.parametrize("words", ["set-role ann viewer", "disable ann", "delete ann"])
def test_the_last_owner_stays(terminal: Terminal, words: str) -> None:
    terminal("admin create ann --role owner")

    answer = terminal(f"admin {words}")

    assert (answer.code, "last active owner" in answer.err) == (1, True)


def test_the_managed_owner_is_refused_with_the_settings_to_change(terminal: Terminal) -> None:
    database = open_database(terminal.settings, pool_size=1)
    database.run(lambda c: ensure_managed_owner(c, "admin", "$2b$04$" + "." * 53, NOW))
    database.close()

    answer = terminal("admin reset-password admin")

    assert (answer.code, "PROXY_ADMIN_PASSWORD_HASH" in answer.err) == (1, True)


@pytest.mark.parametrize(("words", "code"), [("create ann --role king", 2), ("disable nobody", 1), ("create a<b", 1)])
def test_what_cannot_be_is_refused(terminal: Terminal, words: str, code: int) -> None:
    assert terminal(f"admin {words}").code == code
