"""A budget that is nearly used up is told of once, and each budget anew."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, text

from core.access_keys import KeyOptions, change_key
from core.db import Database, open_database
from core.settings import Settings
from core.spend_rows import DueWarning, first_warning
from core.users import change_user
from tests.live.bare import until
from tests.proxy_app.sharing_world import Fickle
from tests.proxy_app.spending_world import DOLLAR, LIMITS, World, costs, grant, refusal

EIGHTY, HUNDRED = "a Bedrock budget is used to 80 %", "a Bedrock budget is used to 100 %"


@pytest.fixture
def world(database: Database) -> World:
    return World(Fickle(database))


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "budget is used" in record.getMessage()]


def test_each_warning_is_given_once_over_all_workers(world: World, caplog: pytest.LogCaptureFixture) -> None:
    user_id, _ = world.customer(10 * DOLLAR)
    one, other = world.worker(), world.worker()
    for worker in (one, other):
        worker.reserve(replace(grant(), user_id=user_id), costs(1)).release()
    world.flush(replace(world.record(8 * DOLLAR), user_id=user_id))
    with caplog.at_level(logging.WARNING):
        world.tick(one, other)
        world.tick(one, other)
    assert alarms(caplog) == [EIGHTY]


def test_a_budget_that_is_not_in_force_any_more_is_not_warned_of(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Another worker serves the user since it was raised, and this one has not heard of it."""
    user_id, _ = world.customer(10 * DOLLAR)
    worker = world.worker()
    worker.reserve(replace(grant(), user_id=user_id), costs(1)).release()
    world.raise_budget(user_id, 100 * DOLLAR)
    world.flush(replace(world.record(9 * DOLLAR), user_id=user_id))
    world.tick(worker)
    assert alarms(caplog) == []


def test_a_budget_that_was_taken_away_is_not_warned_of(world: World, caplog: pytest.LogCaptureFixture) -> None:
    user_id, _ = world.customer(10 * DOLLAR)
    worker = world.worker()
    worker.reserve(replace(grant(), user_id=user_id), costs(1)).release()
    world.raise_budget(user_id, None)
    world.flush(replace(world.record(9 * DOLLAR), user_id=user_id))
    world.tick(worker)
    assert alarms(caplog) == []


def test_a_raised_budget_has_warnings_of_its_own(world: World, caplog: pytest.LogCaptureFixture) -> None:
    user_id, _ = world.customer(10 * DOLLAR)
    one, other = world.worker(), world.worker()
    world.flush(replace(world.record(10 * DOLLAR), user_id=user_id))
    [refusal(worker, replace(grant(), user_id=user_id), 1) for worker in (one, other)]
    world.tick(one, other)
    world.raise_budget(user_id, 20 * DOLLAR)
    world.flush(replace(world.record(7 * DOLLAR), user_id=user_id))
    [worker.reserve(replace(grant(20 * DOLLAR), user_id=user_id), costs(1)).release() for worker in (one, other)]
    world.tick(one, other)
    assert alarms(caplog) == [EIGHTY, HUNDRED, EIGHTY]


def test_a_keys_raised_budget_has_warnings_of_its_own(world: World, caplog: pytest.LogCaptureFixture) -> None:
    user_id, key_id = world.customer(None, 10 * DOLLAR)
    mine = replace(grant(None, 10 * DOLLAR, key_id), user_id=user_id)
    worker = world.worker()
    world.flush(replace(world.record(9 * DOLLAR, key_id), user_id=user_id))
    worker.reserve(mine, costs(1)).release()
    world.tick(worker)
    options = KeyOptions(monthly_budget_micros=11 * DOLLAR)
    world.database.run(lambda c: change_key(c, key_id, lambda _: options, LIMITS, world.moment))
    worker.reserve(replace(mine, key_budget_micros=11 * DOLLAR), costs(1)).release()
    world.tick(worker)
    assert alarms(caplog) == [EIGHTY, EIGHTY]


def test_a_change_of_something_else_repeats_no_warning(world: World, caplog: pytest.LogCaptureFixture) -> None:
    user_id, _ = world.customer(10 * DOLLAR)
    mine = replace(grant(), user_id=user_id)
    world.flush(replace(world.record(9 * DOLLAR), user_id=user_id))
    for _ in range(2):
        worker = world.worker()
        worker.reserve(mine, costs(1)).release()
        world.tick(worker)
        world.database.run(lambda c: change_user(c, user_id, lambda user: replace(user, name="Somebody"), world.moment))
    assert alarms(caplog) == [EIGHTY]


def test_another_key_that_asks_while_a_warning_is_written_keeps_none_of_them_from_being_given(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    user_id, key_id = world.customer(10 * DOLLAR, 10 * DOLLAR)
    mine = replace(grant(10 * DOLLAR, 10 * DOLLAR, key_id), user_id=user_id)
    worker = world.worker()
    world.flush(replace(world.record(8 * DOLLAR, key_id), user_id=user_id))
    worker.reserve(mine, costs(1)).release()
    world.database.meanwhile = lambda: worker.reserve(replace(mine, access_key_id="key_2"), costs(1)).release()
    world.tick(worker)
    assert alarms(caplog) == [EIGHTY, EIGHTY]


@pytest.fixture
def crowded(postgres_server: Any) -> Iterator[World]:
    url = postgres_server.migrated()
    opened = open_database(Settings(database_url=url), pool_size=3)
    yield World(Fickle(opened))
    opened.close()
    postgres_server.drop(url)


def test_a_warning_that_is_given_while_its_budget_is_raised_keeps_none_of_the_new_budget_from_being_given(crowded: World) -> None:
    user_id, _ = crowded.customer(10 * DOLLAR)
    due = DueWarning("2026-11", user_id, "", 80)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    beside = threading.Thread(target=crowded.raise_budget, args=(user_id, 20 * DOLLAR))

    def warn_while_it_is_raised(connection: Connection) -> bool | None:
        said = first_warning(connection, due, 10 * DOLLAR, crowded.moment)
        beside.start()
        assert until(lambda: not beside.is_alive() or crowded.database.read(lambda c: c.execute(waiting).scalar_one()) > 0)
        return said

    first = crowded.database.run(warn_while_it_is_raised)
    beside.join(30)
    again = crowded.database.run(lambda c: first_warning(c, due, 20 * DOLLAR, crowded.moment))
    assert (first, again) == (True, True)
