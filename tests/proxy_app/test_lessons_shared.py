"""Lessons in a worker's memory, and how workers come to know the same: places, bounds, time, and a database that is away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from core import repairs
from core.db import Database, DatabaseAway
from proxy_app.bedrock.lessons import BETA, Fact, Lessons, Verdict
from proxy_app.lesson_book import MOST_WAITING, Bounds, LessonBook, Place
from proxy_app.lesson_sharing import LessonSharing

NOON = 1_795_435_200.0
WEEK = 7 * 86_400.0
HERE = Place("b-1", "us-east-1", "claude-opus-5-5")
OTHER_KEY = Place("b-2", "us-east-1", "claude-opus-5-5")


def betas(*names: str) -> frozenset[tuple[str, str]]:
    return frozenset((BETA, name) for name in names)


def named(*names: str) -> Fact:
    return Fact(Verdict.NAMED, betas(*names))


def one_of(*names: str) -> Fact:
    return Fact(Verdict.ONE_OF, betas(*names))


def accepted(*names: str) -> Fact:
    return Fact(Verdict.ACCEPTED, betas(*names))


@dataclass
class Fickle:
    """The real database, which can be away."""

    real: Database
    away: bool = False

    def run(self, work: Callable[[Any], Any]) -> Any:
        return self._reached().run(work)

    def read(self, work: Callable[[Any], Any]) -> Any:
        return self._reached().read(work)

    def _reached(self) -> Database:
        if self.away:
            raise DatabaseAway("away")
        return self.real


@dataclass
class World:
    database: Fickle
    now: float = NOON
    bounds: Bounds = field(default_factory=Bounds)

    def worker(self) -> Worker:
        return Worker(self)


class Worker:
    def __init__(self, world: World) -> None:
        self.book = LessonBook(lambda: world.now, WEEK, world.bounds)
        self.sharing = LessonSharing(world.database, self.book)  # type: ignore[arg-type]

    def tick(self) -> None:
        """As if the tick had told of a change."""
        self.sharing.changed()
        self.look()

    def look(self) -> None:
        """What the service does at every tick."""
        self.sharing.publish()
        self.sharing.absorb()

    def refused(self, place: Place = HERE) -> frozenset[str]:
        return self.book.of(place).refused.betas

    def doubted(self, place: Place = HERE) -> frozenset[str]:
        return self.book.of(place).doubted


@pytest.fixture
def world(database: Database) -> World:
    return World(Fickle(database))


def test_what_one_worker_learned_another_knows_after_its_tick(world: World) -> None:
    first, second = world.worker(), world.worker()
    assert first.book.note(HERE, [named("x")]) == ("beta x",)
    first.tick()
    second.tick()
    assert second.refused() == {"x"}


def test_a_lesson_is_of_one_key_one_region_and_one_model(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.book.note(HERE, [named("x")])
    first.tick()
    second.tick()
    others = (OTHER_KEY, Place("b-1", "eu-west-1", HERE.model), Place("b-1", "us-east-1", "claude-sonnet-5-5"))
    assert [second.refused(place) for place in others] == [frozenset()] * 3


def test_two_workers_that_halve_the_same_suspects_add_to_each_other(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.book.note(HERE, [one_of("a", "b", "c", "d")])
    first.tick()
    second.tick()
    first.book.note(HERE, [accepted("a", "b")])
    second.book.note(HERE, [accepted("c")])
    first.tick()
    second.tick()
    assert second.refused() == {"d"}


def test_workers_that_learn_at_the_same_time_lose_nothing(world: World) -> None:
    workers = [world.worker() for _ in range(4)]
    names = ["w", "x", "y", "z"]
    news = [worker.book.note(HERE, [named(name)]) for worker, name in zip(workers, names, strict=True)]
    for worker in [*workers, *workers]:
        worker.tick()
    assert len(news) == 4
    assert [worker.refused() for worker in workers] == [frozenset(names)] * 4


def test_a_worker_that_starts_knows_what_is_known(world: World) -> None:
    first = world.worker()
    first.book.note(HERE, [named("x"), one_of("a", "b")])
    first.tick()
    late = world.worker()
    late.look()
    assert (late.refused(), late.doubted()) == ({"x"}, {"a", "b"})


def test_what_was_cleared_is_forgotten_by_every_worker(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.book.note(HERE, [named("x")])
    first.tick()
    second.tick()
    world.database.run(repairs.clear_repairs)
    first.tick()
    second.tick()
    assert (first.refused(), second.refused()) == (frozenset(), frozenset())


def test_while_the_database_is_away_a_worker_uses_its_own_lessons_and_shares_them_later(world: World) -> None:
    first, second = world.worker(), world.worker()
    world.database.away = True
    first.book.note(HERE, [named("x")])
    first.tick()
    assert (first.refused(), len(first.book.waiting)) == ({"x"}, 1)
    world.database.away = False
    first.look()
    second.tick()
    assert (second.refused(), first.book.waiting) == ({"x"}, [])


def test_what_changed_while_the_database_was_away_is_read_without_another_change(world: World) -> None:
    first, second = world.worker(), world.worker()
    first.book.note(HERE, [named("x")])
    first.tick()
    world.database.away = True
    second.tick()
    world.database.away = False
    second.look()
    assert second.refused() == {"x"}


def test_what_waits_is_not_lost_by_what_comes_in(world: World) -> None:
    first, second = world.worker(), world.worker()
    second.book.note(HERE, [named("y")])
    first.book.note(HERE, [named("x")])
    first.tick()
    second.sharing.read_again()
    assert second.refused() == {"x", "y"}


def test_a_lesson_ends_after_its_time_in_memory_and_in_the_table(world: World) -> None:
    first = world.worker()
    first.book.note(HERE, [named("x")])
    first.tick()
    world.now += WEEK
    assert first.refused() == frozenset()
    first.tick()
    assert first.book.of(HERE) == Lessons.none()


def test_one_key_has_a_bound_and_does_not_push_others_out() -> None:
    book = LessonBook(lambda: NOON, WEEK, Bounds(per_key=3, total=100))
    book.note(OTHER_KEY, [named("x")])
    places = [Place("b-1", "us-east-1", f"model-{number}") for number in range(5)]
    news = [book.note(place, [named("x")]) for place in places]
    assert len(news) == 5
    assert [bool(book.of(place).marks) for place in [OTHER_KEY, *places]] == [True, False, False, True, True, True]


def test_all_have_a_bound_and_the_longest_unused_goes() -> None:
    book = LessonBook(lambda: NOON, WEEK, Bounds(per_key=10, total=2))
    first, second, third = (Place(f"b-{number}", "us-east-1", "m") for number in range(3))
    book.note(first, [named("x")])
    book.note(second, [named("x")])
    book.of(first)
    book.note(third, [named("x")])
    assert [bool(book.of(place).marks) for place in (first, second, third)] == [True, False, True]


def test_what_waits_for_the_database_is_bounded() -> None:
    book = LessonBook(lambda: NOON, WEEK)
    news = [book.note(Place(f"b-{number}", "us-east-1", "m"), [named("x")]) for number in range(MOST_WAITING + 5)]
    assert (len(news), len(book.waiting)) == (MOST_WAITING + 5, MOST_WAITING)


def test_only_one_request_at_a_time_asks_about_suspects() -> None:
    book = LessonBook(lambda: NOON, WEEK)
    assert [book.begin_test(HERE), book.begin_test(HERE), book.begin_test(OTHER_KEY)] == [True, False, True]
    book.end_test(HERE)
    assert book.begin_test(HERE)


def test_a_model_name_without_room_in_the_table_stays_with_its_worker(world: World) -> None:
    worker, long = world.worker(), Place("b-1", "us-east-1", "m" * 300)
    worker.book.note(long, [named("x")])
    worker.sharing.publish()
    assert (worker.refused(long), worker.book.waiting) == ({"x"}, [])
