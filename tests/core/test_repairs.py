"""The rows by which workers share what Bedrock was found to refuse."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.access import NotFound
from core.db import Database
from core.repairs import Change, RepairRow, Room, clear_repairs, fits, list_repairs, write_repairs
from core.revision import current

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
ROOM = Room(per_key=4, total=6)


def row(name: str, key: str = "b-1", model: str = "opus", standing: str = "refused", at: datetime = NOON) -> RepairRow:
    return RepairRow(key, "us-east-1", model, "beta", name, standing, 0, at, at + WEEK)


def add(database: Database, *rows: RepairRow, now: datetime = NOON) -> None:
    changes = [Change(each.bedrock_key_id, each.region, each.model, _adding(each)) for each in rows]
    database.run(lambda connection: write_repairs(connection, changes, ROOM, now))


def _adding(each: RepairRow):  # type: ignore[no-untyped-def]
    return lambda rows: [*(old for old in rows if old.name != each.name), each]


def found(database: Database, now: datetime = NOON) -> list[RepairRow]:
    return database.read(lambda connection: list_repairs(connection, now))


def test_a_row_comes_back_as_it_was_written_and_the_tick_tells(database: Database) -> None:
    before = database.read(current)["repairs"]
    add(database, row("x"))
    assert found(database) == [row("x")]
    assert database.read(current)["repairs"] == before + 1


def test_an_id_is_that_of_the_name_at_its_place() -> None:
    assert row("x").id == row("x", at=NOON + WEEK).id
    assert len({row("x").id, row("y").id, row("x", key="b-2").id, row("x", model="sonnet").id}) == 4


def test_what_has_expired_is_not_in_force_and_goes_with_the_next_write(database: Database) -> None:
    add(database, row("x"))
    assert found(database, NOON + WEEK) == []
    add(database, row("y", at=NOON + WEEK), now=NOON + WEEK)
    assert [each.name for each in found(database)] == ["y"]


def test_one_key_and_all_have_a_bound_and_the_oldest_places_go(database: Database) -> None:
    names = [(f"n{number}", f"m{number}", NOON + timedelta(minutes=number)) for number in range(6)]
    add(database, *(row(name, model=model, at=at) for name, model, at in names))
    assert [each.name for each in found(database)] == ["n2", "n3", "n4", "n5"]
    add(database, *(row(f"o{number}", key=f"k-{number}", at=NOON + WEEK / 2) for number in range(4)))
    assert [each.name for each in found(database)] == ["n4", "n5", "o0", "o1", "o2", "o3"]


def test_writers_at_the_same_time_lose_nothing(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: add(database, row(name)), "abcd"))
    assert [each.name for each in found(database)] == ["a", "b", "c", "d"]


def test_one_is_cleared_and_the_tick_tells(database: Database) -> None:
    add(database, row("x"), row("y"))
    before = database.read(current)["repairs"]
    assert database.run(lambda connection: clear_repairs(connection, row("x").id)) == 1
    assert [each.name for each in found(database)] == ["y"]
    assert database.read(current)["repairs"] == before + 1


def test_a_suspect_is_cleared_with_all_of_its_place(database: Database) -> None:
    suspects = [row("s", standing="suspect"), row("t", standing="suspect"), row("u", standing="untested")]
    add(database, *suspects, row("x"))
    add(database, replace(suspects[0], bedrock_key_id="b-2"))
    assert database.run(lambda connection: clear_repairs(connection, suspects[0].id)) == 3
    assert [(each.bedrock_key_id, each.name) for each in found(database)] == [("b-1", "x"), ("b-2", "s")]


def test_all_are_cleared(database: Database) -> None:
    add(database, row("x"), row("x", key="b-2"))
    assert database.run(clear_repairs) == 2
    assert found(database) == []


def test_who_clears_what_is_not_there_is_told(database: Database) -> None:
    with pytest.raises(NotFound, match="rep_none"):
        database.run(lambda connection: clear_repairs(connection, "rep_none"))


def test_a_name_without_room_in_the_table_does_not_fit() -> None:
    assert fits("b-1", "us-east-1", "claude-opus-5-5")
    assert not fits("b-1", "us-east-1", "m" * 201)
    assert not fits("b-1", "us-east-1", "a\0b")
