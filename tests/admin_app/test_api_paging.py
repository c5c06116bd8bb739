"""Lists to their end: nobody twice, nobody left out, while others come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from sqlalchemy import update

from core.db import Database
from core.models import access_keys
from core.settings import Settings
from core.users import find_user
from tests.admin_app.api_world import ApiWorld
from tests.core.office import NOW, Office

SORTS = ["name", "created", "last_seen", "spend"]


@pytest.fixture
def world(database: Database) -> ApiWorld:
    world = ApiWorld(database, settings=Settings(max_users=100))
    office = Office(database)
    for number in range(11):
        world.now = NOW.timestamp() + number % 3
        user = world.add_user(f"{'abcdefghijk'[number * 7 % 11]} user")
        if number % 2:
            be_seen(office, user["id"])
    return world


def be_seen(office: Office, user_id: str) -> None:
    key = office.issue(office.database.read(lambda c: find_user(c, user_id)))
    seen = update(access_keys).where(access_keys.c.id == key.id).values(last_seen_at=NOW)
    office.database.run(lambda c: c.execute(seen))


def pages(world: ApiWorld, sort: str, between: Callable[[int], object] = lambda _: None) -> Iterator[list[str]]:
    cursor, number = "", 0
    while cursor is not None:
        listed = world.ask("GET", f"/users?sort={sort}&limit=3&cursor={cursor}").json
        yield [user["id"] for user in listed["data"]]
        cursor, number = listed["next_cursor"], number + 1
        between(number)


def together(found: Iterable[list[str]]) -> list[str]:
    return [each for page in found for each in page]


def whole(world: ApiWorld, sort: str) -> list[str]:
    return [user["id"] for user in world.ask("GET", f"/users?sort={sort}&limit=100").json["data"]]


@pytest.mark.parametrize("sort", SORTS)
def test_pages_put_together_are_the_whole_list_in_its_order(world: ApiWorld, sort: str) -> None:
    found = list(pages(world, sort))

    assert [len(page) for page in found] == [3, 3, 3, 2]
    assert together(found) == whole(world, sort)


@pytest.mark.parametrize("sort", SORTS)
def test_whoever_was_there_is_listed_once_while_others_are_added(world: ApiWorld, sort: str) -> None:
    before = whole(world, sort)

    found = together(pages(world, sort, lambda number: [world.add_user(f"{letter}{number}") for letter in "ahz"]))

    assert len(set(found)) == len(found)
    assert [user_id for user_id in found if user_id in before] == before


@pytest.mark.parametrize("sort", SORTS)
def test_nobody_is_left_out_while_others_are_deleted(world: ApiWorld, sort: str) -> None:
    before = whole(world, sort)

    found = together(pages(world, sort, lambda number: world.ask("DELETE", f"/users/{before[number - 1]}")))

    assert found == before
