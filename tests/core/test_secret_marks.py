"""A database belongs to the secrets that it was filled with: none is made anew in silence, and no other one is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.db import Database, open_database
from core.local_files import LocalSecrets, ensure_local
from core.secret_marks import accept, marks_in, secrets_of
from core.settings import BadSettings, Settings
from tests.core.office import Office

NAMES = ["server_secret", "vault_key"]


@pytest.fixture
def make(settings: Any, database_url: str) -> Callable[..., Settings]:
    """Settings of servers of this database; each has its data folder."""
    return lambda folder="var", **more: settings(
        data_dir=settings().data_dir.with_name(folder), database_url=database_url, **more
    )


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    opened = open_database(Settings(database_url=empty_database_url), pool_size=1)
    yield opened
    opened.close()


def files(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.data_dir.iterdir()) if settings.data_dir.exists() else []


def refusal(settings: Settings, database: Database) -> str:
    with pytest.raises(BadSettings) as refused:
        secrets_of(settings, database)
    return "\n".join(refused.value.problems)


def test_a_new_installation_makes_its_secrets_and_finds_them_again(make: Any, database: Database) -> None:
    first = secrets_of(make(), database)

    assert secrets_of(make(), database) == first == ensure_local(make())


def test_a_database_without_tables_is_new(settings: Any, empty: Database) -> None:
    made = secrets_of(settings(), empty)

    assert made == ensure_local(settings())
    assert empty.read(marks_in) is None


def test_of_two_workers_of_a_new_installation_the_slower_one_takes_what_the_faster_one_made(
    make: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one sees no file; by the time it asks the database the other has made them and left its marks."""
    unhindered = Database.read
    made_by_the_faster: list[LocalSecrets] = []

    def read_late(slower: Database, work: Any) -> Any:
        monkeypatch.undo()
        made_by_the_faster.append(secrets_of(make(), database))
        return unhindered(slower, work)

    monkeypatch.setattr(Database, "read", read_late)
    assert secrets_of(make(), database) == made_by_the_faster[0]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_database_was_begun_with_is_missed_and_not_made_anew(make: Any, database: Database, name: str) -> None:
    secrets_of(make(), database)
    (make().data_dir / name).unlink()

    assert f"{name}: is missing" in (said := refusal(make(), database))
    assert "restore it from a backup" in said
    assert "python -m admin_app secrets accept" in said
    assert name not in files(make())


def test_a_folder_that_was_lost_whole_is_told_with_all_that_was_in_it(make: Any, database: Database) -> None:
    secrets_of(make(), database)

    said = refusal(make("lost"), database)
    assert [f"{name}: is missing" in said for name in NAMES] == [True, True]
    assert files(make("lost")) == []


def test_keys_of_an_earlier_release_are_reason_enough(make: Any, database: Database) -> None:
    office = Office(database)
    user = office.add("ann")
    office.issue(user)
    office.attach(user)

    assert [f"{name}: is missing" in refusal(make(), database) for name in NAMES] == [True, True]
    assert files(make()) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_second_server_with_secrets_of_its_own_is_refused(make: Any, database: Database, name: str) -> None:
    secrets_of(make(), database)
    other = ensure_local(make("other"))
    copied = next(each for each in NAMES if each != name)
    (make("other").data_dir / copied).write_bytes((make().data_dir / copied).read_bytes())

    said = refusal(make("other"), database)
    assert f"this database belongs to another {name} (its mark is " in said
    assert copied not in said.replace("PROXY_SERVER_SECRET", "")
    assert other.server_secret not in said


def test_another_server_secret_from_the_settings_is_refused(make: Any, database: Database) -> None:
    production = partial(make, environment="production", kms_key_id="a-key")
    secrets_of(production(server_secret="s" * 32), database)

    assert secrets_of(production(server_secret="s" * 32), database).server_secret == "s" * 32
    assert "PROXY_SERVER_SECRET" in refusal(production(server_secret="t" * 32), database)


def test_with_kms_no_vault_key_is_asked_for(make: Any, database: Database) -> None:
    secrets_of(make(), database)
    (make().data_dir / "vault_key").unlink()

    assert secrets_of(make(kms_key_id="a-key"), database).vault_key is None


def test_what_is_accepted_holds_from_then_on(make: Any, database: Database) -> None:
    office = Office(database)
    user = office.add("ann")
    office.issue(user)
    ensure_local(make())
    secrets_of(make(), database)
    other = ensure_local(make("other"))

    done = database.run(lambda connection: accept(connection, make("other"), other))
    assert (done.access_keys, done.bedrock_keys) == (1, 0)
    assert secrets_of(make("other"), database) == other
    assert "another server_secret" in refusal(make(), database)


def test_accepting_with_kms_leaves_the_mark_of_the_vault_key(make: Any, database: Database) -> None:
    """Until all is sealed anew the local key is needed still."""
    made = secrets_of(make(), database)

    done = database.run(lambda connection: accept(connection, make(kms_key_id="a-key"), made))
    assert done.before == done.after
    assert sorted(database.read(marks_in) or {}) == NAMES


def test_files_that_are_there_serve_while_the_database_is_away_and_none_is_made(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "no-folder").touch()
    gone = settings(database_url=f"sqlite:///{tmp_path}/no-folder/test.sqlite")
    away = open_database(gone, pool_size=1)
    assert "server_secret, vault_key in " in (said := refusal(gone, away))
    assert "cannot be reached" in said
    assert files(gone) == []

    made: LocalSecrets = ensure_local(gone)
    assert secrets_of(gone, away) == made
    away.close()


def test_marks_tell_nothing_of_the_secret(make: Any, database: Database) -> None:
    made = secrets_of(make(), database)

    marks = database.read(marks_in)
    assert marks is not None
    assert sorted(marks) == NAMES
    assert [len(mark) for mark in marks.values()] == [16, 16]
    assert made.server_secret not in str(marks)
