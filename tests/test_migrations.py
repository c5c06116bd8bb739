"""The migrations lead to the tables that the code believes in, on both databases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

import core.admin_models
import core.audit
import core.idempotency
import core.session_models
import core.spend_models  # noqa: F401  all add their tables
from core.db import MIGRATIONS, Database, migrate, open_database, schema_is_current
from core.models import access_keys, metadata
from core.settings import Settings


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    opened = open_database(Settings(database_url=empty_database_url), pool_size=1)
    yield opened
    opened.close()


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def versions(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())


def test_the_migrated_schema_is_what_the_models_say(empty: Database) -> None:
    migrate(empty)

    assert empty.read(differences) == []


def test_a_difference_between_schema_and_models_would_be_seen(database: Database) -> None:
    database.run(lambda connection: connection.execute(text("ALTER TABLE users DROP COLUMN note")))

    assert len(database.read(differences)) == 1


def test_the_one_row_of_revisions_is_there_after_migrating(empty: Database) -> None:
    migrate(empty)

    assert empty.read(lambda c: c.execute(text("SELECT id, grants, circuits, prices, repairs FROM revisions")).all()) == [
        (1, 1, 1, 1, 1)
    ]


def test_a_schema_is_current_only_after_migrating(empty: Database) -> None:
    assert not schema_is_current(empty)

    migrate(empty)

    assert schema_is_current(empty)


def test_migrating_twice_changes_nothing(empty: Database) -> None:
    migrate(empty)
    before = empty.read(versions)

    migrate(empty)

    assert empty.read(versions) == before


def test_the_schema_of_a_later_release_is_good_enough_and_left_alone(database: Database) -> None:
    database.run(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))

    migrate(database)

    assert schema_is_current(database)
    assert database.read(versions) == ["9999"]


def test_two_migrations_at_the_same_time_do_not_clash(empty: Database, empty_database_url: str) -> None:
    program = (
        "import sys; from core.db import migrate, open_database; from core.settings import Settings;"
        "migrate(open_database(Settings(database_url=sys.argv[1]), pool_size=1))"
    )
    command = [sys.executable, "-c", program, empty_database_url]
    migrators = [subprocess.Popen(command, cwd=MIGRATIONS.parent, stderr=subprocess.PIPE, text=True) for _ in range(2)]

    assert [(migrator.communicate()[1], migrator.returncode) for migrator in migrators] == [("", 0), ("", 0)]
    assert schema_is_current(empty)
    assert empty.read(versions) == [max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))]


def test_foreign_keys_are_enforced_again_after_a_migration(empty: Database) -> None:
    migrate(empty)

    now = datetime(2026, 1, 1, tzinfo=UTC)
    orphan = {"id": "key_1", "user_id": "nobody", "prefix": "ak_", "secret_hash": "h", "created_at": now, "updated_at": now}
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        empty.run(lambda connection: connection.execute(access_keys.insert(), [orphan]))
