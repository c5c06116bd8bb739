"""A database with rows, as an older release left it, brought up to date: nothing in it is lost or changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, Table, insert, select

from core.db import Database, migrate, migration_configuration, open_database, schema_is_current
from core.settings import Settings

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
SAMPLES: Mapping[type, Any] = {
    str: "x",
    int: 7,
    float: 0.5,
    bool: True,
    bytes: b"sealed",
    datetime: AT,
    date: AT.date(),
    Decimal: Decimal(4),
    dict: {},
}


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    opened = open_database(Settings(database_url=empty_database_url), pool_size=1)
    yield opened
    opened.close()


def upgrade_to(revision: str, connection: Connection) -> None:
    configuration = migration_configuration()
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, revision)


def reflected(connection: Connection) -> list[Table]:
    """Those that hold something of the product's, in an order in which rows can be added."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name not in ("alembic_version", "revisions")]


def row_of(table: Table) -> dict[str, Any]:
    """One value for each column by its type, the same for all of a type: so foreign keys find what they point to."""
    return {column.name: SAMPLES[column.type.python_type] for column in table.columns}


def fill(connection: Connection) -> None:
    """One row into each table."""
    for table in reflected(connection):
        connection.execute(insert(table), [row_of(table)])


def contents(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    return {table.name: [dict(row) for row in connection.execute(select(table)).mappings()] for table in reflected(connection)}


def missing(before: Mapping[str, list[dict[str, Any]]], after: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Rows that are no longer there as they were. What a later release adds to one is left out."""
    lost = {name: [row for row in rows if not is_in(after[name], row)] for name, rows in before.items()}
    return {name: rows for name, rows in lost.items() if rows}


def is_in(rows: list[dict[str, Any]], wanted: dict[str, Any]) -> bool:
    return any(wanted.items() <= row.items() for row in rows)


@pytest.mark.parametrize("revision", ["0001", "0008", "0012"])
def test_the_rows_of_an_older_release_are_there_after_its_upgrade(empty: Database, revision: str) -> None:
    empty.migrate(partial(upgrade_to, revision))
    empty.run(fill)
    before = empty.read(contents)

    migrate(empty)

    assert schema_is_current(empty)
    assert len(before) >= 6 and missing(before, empty.read(contents)) == {}
