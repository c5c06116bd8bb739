"""Budgets while the database is away: no request waits for it, an allowance may be spent, nothing is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from core.db import Database, DatabaseAway
from proxy_app.spending import Spending
from tests import machine
from tests.proxy_app.sharing_world import Fickle
from tests.proxy_app.spending_world import DOLLAR, World, costs, grant, refusal

T = TypeVar("T")
OUTAGE = datetime(2026, 11, 30, 23, tzinfo=UTC).timestamp()  # midnight in Berlin: a month begins


@dataclass
class Silent(Database):
    """The real database, which accepts a question and does not answer: its host is gone."""

    speaks: threading.Event = field(default_factory=threading.Event)
    questions: int = 0
    silent_s: float = 0.5

    def read(self, work: Callable[[Connection], T]) -> T:
        self.questions += 1
        self.speaks.wait(self.silent_s)
        raise DatabaseAway("silent for the test")

    run = read


@contextmanager
def silence(worker: Spending) -> Iterator[Silent]:
    silent = Silent()
    worker._database, worker._rules = silent, replace(worker._rules, patience_s=1.0)
    yield silent
    silent.speaks.set()


@pytest.fixture
def world(database: Database) -> World:
    return World(Fickle(database))


def test_with_the_database_away_an_allowance_may_be_spent_and_no_more(world: World) -> None:
    worker = world.worker()
    worker.reserve(grant(100 * DOLLAR), costs(1)).release()
    world.database.away = True
    world.now += 11
    reservation = worker.reserve(grant(100 * DOLLAR), costs(DOLLAR))
    worker.finished(world.record(DOLLAR + 500_000))
    reservation.release()
    assert "cannot be looked up" in str(refusal(worker, grant(100 * DOLLAR), DOLLAR))
    world.database.away = False
    world.tick(worker)
    worker.reserve(grant(100 * DOLLAR), costs(DOLLAR))


def test_a_silent_database_holds_one_request_up_and_the_others_not_at_all(world: World) -> None:
    worker = world.worker()
    worker.reserve(grant(), costs(1)).release()
    world.now += 11
    began = machine.now()
    with silence(worker) as database:
        worker.reserve(grant(), costs(1)).release()
        worker.reserve(grant(key=DOLLAR), costs(1)).release()
        worker.reserve(replace(grant(), user_id="usr_2"), costs(1)).release()
    assert (database.questions, machine.now().since(began) < 1.4) == (1, True)


def test_a_request_waits_a_second_and_not_until_the_question_is_given_up(world: World) -> None:
    worker = world.worker()
    with silence(worker) as database:
        database.silent_s = 5
        began = machine.now()
        worker.reserve(grant(), costs(1)).release()
        worker.reserve(grant(), costs(1)).release()
        assert machine.now().since(began) < 2.5


def test_a_tick_that_could_not_tell_the_others_keeps_requests_from_asking(world: World) -> None:
    worker = world.worker()
    worker.reserve(grant(), costs(1))
    with silence(worker) as database:
        worker.publish()
        world.now += 11
        worker.reserve(grant(), costs(1))
    assert database.questions == 1


def test_the_tick_finds_out_that_the_database_is_back(world: World) -> None:
    worker = world.worker()
    world.spend(9 * DOLLAR)
    world.database.away = True
    worker.reserve(grant(), costs(DOLLAR + 1)).release()
    world.database.away = False
    world.tick(worker)
    refusal(worker, grant(), DOLLAR + 1)


def test_a_month_that_begins_while_the_database_is_away_begins_with_nothing_spent(world: World) -> None:
    world.now = OUTAGE - 1
    world.spend(10 * DOLLAR)
    worker = world.worker()
    refusal(worker, grant(), 1)
    world.database.away = True
    world.now = OUTAGE
    worker.finished(world.record(DOLLAR, at=OUTAGE - 1))
    worker.reserve(grant(), costs(DOLLAR))
    assert worker.spent_micros("usr_1") == DOLLAR
    assert "looked up" in str(refusal(worker, grant(), 2 * DOLLAR))


def test_an_outage_has_one_allowance_however_long_a_key_rests(world: World) -> None:
    worker = world.worker()
    worker.reserve(grant(100 * DOLLAR), costs(1)).release()
    world.database.away = True
    world.now += 11
    worker.finished(world.record(DOLLAR + 500_000))
    world.now += 3600
    world.tick(worker)
    assert "looked up" in str(refusal(worker, grant(100 * DOLLAR), DOLLAR))


def test_what_was_spent_is_remembered_while_the_database_is_away_however_long_a_key_rests(world: World) -> None:
    world.spend(10 * DOLLAR)
    worker = world.worker()
    refusal(worker, grant(), 1)
    world.database.away = True
    world.now += 3600
    world.tick(worker)
    assert "used up" in str(refusal(worker, grant(), 1))


def test_a_request_that_outlasts_its_users_other_requests_is_counted_at_its_end(world: World) -> None:
    worker = world.worker()
    long = worker.reserve(grant(), costs(DOLLAR))
    world.now += 3600
    world.tick(worker)
    worker.finished(world.record(9 * DOLLAR))
    long.release()
    refusal(worker, grant(), 2 * DOLLAR)


def test_an_hour_of_requests_that_wait_for_the_database_makes_no_question_slower(world: World) -> None:
    worker, rich = world.worker(), grant(10**6 * DOLLAR, 10**6 * DOLLAR)
    worker.reserve(rich, costs(1)).release()
    [worker.finished(world.record(1)) for _ in range(30_000)]
    began = time.thread_time()
    [worker.reserve(rich, costs(1)).release() for _ in range(100)]
    assert time.thread_time() - began < 0.3 * machine.slowness()
