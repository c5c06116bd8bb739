"""Several workers, one database: what one saw of a plan's windows, all know at their next tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from core.db import Database
from core.plan_window_rows import history
from core.plan_windows import PREFIX
from proxy_app import plan_watch
from proxy_app.plan_watch import PlanWatch
from tests.proxy_app.sharing_world import Fickle

NOON = 1_795_435_200.0
SINCE = datetime.fromtimestamp(NOON, UTC) - timedelta(days=1)


@dataclass
class World:
    database: Fickle
    now: float = NOON

    def worker(self) -> PlanWatch:
        return PlanWatch(self.database, lambda: self.now)


@pytest.fixture
def world(database: Database) -> World:
    return World(Fickle(database))


def said(share: str, status: str = "allowed") -> tuple[tuple[str, str], ...]:
    return ((f"{PREFIX}Status", status), (f"{PREFIX}5H-Utilization", share), (f"{PREFIX}5h-reset", "1795440000"), ("date", "x"))


def share(worker: PlanWatch, key: str = "key-1") -> float | None:
    seen = worker.latest(key)
    window = seen.window("5h") if seen is not None else None
    return window.utilization if window is not None else None


def test_what_one_worker_saw_another_knows_after_its_tick(world: World) -> None:
    one, other = world.worker(), world.worker()
    one.observe("key-1", said("0.31"))
    assert (share(one), share(other)) == (0.31, None)
    one.publish()
    other.absorb()
    assert other.latest("key-1") == one.latest("key-1")


def test_of_two_sightings_the_later_one_stays(world: World) -> None:
    one, other = world.worker(), world.worker()
    one.observe("key-1", said("0.31"))
    one.publish()
    world.now += 5
    other.observe("key-1", said("0.40"))
    other.absorb()
    assert share(other) == 0.40


def test_a_worker_that_starts_knows_what_was_seen_before(world: World) -> None:
    one = world.worker()
    one.observe("key-1", said("0.31"))
    one.publish()
    world.now += 86_400
    late = world.worker()
    late.absorb()
    assert share(late) == 0.31


def test_what_has_not_changed_is_written_once_a_minute(world: World) -> None:
    one = world.worker()
    one.observe("key-1", said("0.31"))
    assert one.publish() == 1
    world.now += 5
    one.observe("key-1", said("0.31"))
    assert one.publish() == 0
    world.now += 61
    one.observe("key-1", said("0.31"))
    assert one.publish() == 1


def test_while_the_database_is_away_the_latest_of_each_key_waits(world: World) -> None:
    one, other = world.worker(), world.worker()
    world.database.away = True
    one.observe("key-1", said("0.31"))
    one.observe("key-1", said("0.32"))
    assert (one.publish(), other.absorb()) == (0, 0)
    world.database.away = False
    assert one.publish() == 1
    other.absorb()
    assert share(other) == 0.32


def test_history_keeps_the_last_share_of_each_quarter_of_an_hour(world: World) -> None:
    one = world.worker()
    for seconds, seen in ((0, "0.1"), (600, "0.2"), (600, "0.3")):
        world.now += seconds
        one.observe("key-1", said(seen))
        one.publish()
    points = world.database.read(lambda c: history(c, "key-1", SINCE))
    noon = datetime.fromtimestamp(NOON, UTC)
    assert points == [(noon, "5h", 0.2), (noon + timedelta(minutes=15), "5h", 0.3)]


def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_watch, "MOST_KEYS", 2)
    one = world.worker()
    for key in ("key-1", "key-2", "key-3"):
        one.observe(key, said("0.31"))
    assert [share(one, key) for key in ("key-1", "key-2", "key-3")] == [None, 0.31, 0.31]
    assert one.publish() == 2
