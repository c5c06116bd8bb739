"""Budgets over several workers and one ledger: nothing is spent twice, nothing is counted in neither place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from core.db import Database
from proxy_app.spending import Reservation
from tests.proxy_app.sharing_world import Fickle
from tests.proxy_app.spending_world import DOLLAR, World, costs, grant, refusal, unasked

T = TypeVar("T")


@pytest.fixture
def world(database: Database) -> World:
    return World(Fickle(database))


def test_who_has_no_budget_is_never_asked_for_an_estimate(world: World) -> None:
    reservation = world.worker().reserve(grant(None, None), unasked)
    assert reservation.micros == 0


def test_what_the_ledger_says_counts(world: World) -> None:
    world.spend(9 * DOLLAR)
    worker = world.worker()
    worker.reserve(grant(), costs(DOLLAR)).release()
    assert refusal(worker, grant(), DOLLAR + 1).wire == (402, "billing_error")


def test_two_requests_cannot_reserve_the_same_rest(world: World) -> None:
    worker = world.worker()
    first = worker.reserve(grant(), costs(6 * DOLLAR))
    refusal(worker, grant(), 6 * DOLLAR)
    first.release()
    first.release()
    worker.reserve(grant(), costs(6 * DOLLAR))


def test_a_request_that_is_over_counts_with_what_it_cost_at_once(world: World) -> None:
    worker = world.worker()
    reservation = worker.reserve(grant(), costs(2 * DOLLAR))
    worker.finished(world.record(9 * DOLLAR))
    reservation.release()
    refusal(worker, grant(), 2 * DOLLAR)
    assert worker.spent_micros("usr_1") == 9 * DOLLAR


def test_between_the_flush_and_the_next_look_at_the_ledger_it_counts_once(world: World) -> None:
    worker = world.worker()
    worker.reserve(grant(), costs(1)).release()
    record = world.record(4 * DOLLAR)
    worker.finished(record)
    world.flush(record)
    worker.flushed([record])
    before = worker.spent_micros("usr_1")
    world.tick(worker)
    assert (before, worker.spent_micros("usr_1")) == (4 * DOLLAR, 4 * DOLLAR)


def test_the_other_workers_reservations_count_from_the_next_tick_on(world: World) -> None:
    one, other = world.worker(), world.worker()
    held = one.reserve(grant(), costs(7 * DOLLAR))
    other.reserve(grant(), costs(1)).release()
    world.tick(one, other)
    refusal(other, grant(), 4 * DOLLAR)
    held.release()
    world.tick(one, other)
    other.reserve(grant(), costs(4 * DOLLAR))


def test_what_a_dead_worker_had_reserved_is_free_again(world: World) -> None:
    dead, other = world.worker(), world.worker()
    dead.reserve(grant(), costs(9 * DOLLAR))
    other.reserve(grant(), costs(1)).release()
    world.tick(dead, other)
    refusal(other, grant(), 2 * DOLLAR)
    world.now += 16
    world.tick(other)
    assert isinstance(other.reserve(grant(), costs(9 * DOLLAR)), Reservation)


def test_a_user_and_a_key_have_budgets_of_their_own(world: World) -> None:
    worker, small = world.worker(), grant(10 * DOLLAR, 2 * DOLLAR)
    world.spend(DOLLAR)
    assert "of this access key" in str(refusal(worker, small, DOLLAR + 1))
    worker.reserve(small, costs(DOLLAR)).release()
    world.spend(8 * DOLLAR, key_id="key_2")
    world.tick(worker)
    assert "of its user" in str(refusal(worker, small, DOLLAR + 1))


def test_the_message_has_the_amount_and_the_day_over_there(world: World) -> None:
    world.spend(9_990_000)
    words = str(refusal(world.worker(), grant(), DOLLAR))
    assert "has no room for this request: $9.99 of $10.00" in words
    assert "anew on 2026-12-01 (Europe/Berlin)" in words


def test_a_budget_of_which_nothing_is_left_is_said_to_be_used_up(world: World) -> None:
    world.spend(10 * DOLLAR)
    assert "is used up: $10.00 of $10.00" in str(refusal(world.worker(), grant(), 1))


def test_last_months_spend_is_no_matter_any_more(world: World) -> None:
    world.spend(10 * DOLLAR)
    worker = world.worker()
    refusal(worker, grant(), 1)
    world.now = datetime(2026, 11, 30, 23, tzinfo=UTC).timestamp()  # midnight in Berlin
    worker.reserve(grant(), costs(10 * DOLLAR))


def test_a_request_belongs_to_the_month_in_which_it_began(world: World) -> None:
    midnight = datetime(2026, 10, 31, 23, tzinfo=UTC).timestamp()
    world.spend(3 * DOLLAR, at=midnight - 1)
    world.spend(4 * DOLLAR, at=midnight)
    worker = world.worker()
    worker.reserve(grant(), costs(1)).release()
    assert worker.spent_micros("usr_1") == 4 * DOLLAR


def test_a_record_that_comes_twice_is_spent_once(world: World) -> None:
    record = world.record(4 * DOLLAR)
    world.flush(record)
    world.flush(record)
    worker = world.worker()
    worker.reserve(grant(), costs(1)).release()
    assert worker.spent_micros("usr_1") == 4 * DOLLAR


def test_of_a_key_that_finished_some_twice_the_mean_is_reserved(world: World) -> None:
    worker = world.worker()
    for _ in range(5):
        worker.finished(world.record(100_000))
    assert worker.reserve(grant(), unasked).micros == 200_000


@dataclass
class Overtaken(Database):
    """The real database, whose first answer is under way while something else happens."""

    real: Database
    meanwhile: Callable[[], None]

    def read(self, work: Callable[[Connection], T]) -> T:
        found = self.real.read(work)
        happens, self.meanwhile = self.meanwhile, lambda: None
        happens()
        return found

    def run(self, work: Callable[[Connection], T]) -> T:
        return self.real.run(work)


def test_a_slow_look_at_the_ledger_does_not_undo_a_quicker_one(world: World) -> None:
    worker = world.worker()
    worker.reserve(grant(), costs(1)).release()

    def a_quicker_one() -> None:
        world.now += 1
        world.spend(4 * DOLLAR)
        worker.absorb()

    worker._database = Overtaken(world.database, a_quicker_one)
    worker.absorb()
    assert worker.spent_micros("usr_1") == 4 * DOLLAR


def test_who_asks_for_the_first_time_while_the_ledger_is_read_is_not_forgotten(world: World) -> None:
    worker = world.worker()
    worker.reserve(grant(), costs(1)).release()
    worker._database = Overtaken(
        world.database, lambda: worker.reserve(replace(grant(), user_id="usr_2"), costs(DOLLAR)) and None
    )

    worker.absorb()
    assert worker.spent_micros("usr_2") == DOLLAR
