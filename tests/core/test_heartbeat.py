"""Workers in sight of each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.db import Database, open_database
from core.heartbeat import KEPT_FOR, SILENT_AFTER, Heartbeat, Load, Worker, WorkerSeen, list_workers
from core.settings import Settings

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
READY = Load("ready")


class Clock:
    """Runs when somebody pauses."""

    def __init__(self) -> None:
        self.now = NOW

    def pause(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def worker(name: str) -> Worker:
    return Worker(name, "host", 7, NOW, "1.2.3")


def beating(database: Database, name: str, clock: Clock, load: Load = READY) -> Heartbeat:
    return Heartbeat(database, worker(name), lambda: load, lambda: clock.now, clock.pause)


def rows(database: Database) -> list[WorkerSeen]:
    return database.read(list_workers)


def test_a_beat_says_who_the_worker_is_and_how(database: Database) -> None:
    load = Load("degraded", "open until noon", 3, 40, 1)

    beating(database, "wrk_a", Clock(), load).beat()

    assert rows(database) == [WorkerSeen(worker("wrk_a"), load, NOW)]


def test_the_next_beat_writes_the_same_row_again(database: Database) -> None:
    clock = Clock()
    heartbeat = beating(database, "wrk_a", clock)
    heartbeat.beat()
    clock.pause(10)
    heartbeat.beat()

    assert [row.seen_at for row in rows(database)] == [NOW + timedelta(seconds=10)]


def test_a_worker_that_ends_in_good_order_leaves_no_row(database: Database) -> None:
    heartbeat = beating(database, "wrk_a", Clock())
    heartbeat.beat()
    beating(database, "wrk_b", Clock()).beat()

    heartbeat.stop()

    assert [row.worker.id for row in rows(database)] == ["wrk_b"]


def test_a_killed_worker_goes_silent_and_is_swept_away_later(database: Database) -> None:
    clock = Clock()
    beating(database, "wrk_killed", clock).beat()
    clock.pause(SILENT_AFTER.total_seconds() + 1)
    other = beating(database, "wrk_b", clock)
    other.beat()
    silent = {row.worker.id: row.is_silent(clock.now) for row in rows(database)}
    clock.pause(KEPT_FOR.total_seconds())
    other.beat()

    assert silent == {"wrk_b": False, "wrk_killed": True}
    assert [row.worker.id for row in rows(database)] == ["wrk_b"]


def test_those_seen_last_come_first(database: Database) -> None:
    clock = Clock()
    beating(database, "wrk_a", clock).beat()
    clock.pause(1)
    beating(database, "wrk_b", clock).beat()

    assert [row.worker.id for row in rows(database)] == ["wrk_b", "wrk_a"]


def test_a_change_of_state_is_told_at_the_next_look(database: Database) -> None:
    clock, states = Clock(), ["starting", "ready", "ready", "ready"]
    heard: list[str] = []

    def pause(seconds: float) -> None:
        heard.append(rows(database)[0].load.state)
        clock.pause(seconds)
        states.pop(0)
        if len(states) == 1:
            heartbeat.stop()

    heartbeat = Heartbeat(database, worker("wrk_a"), lambda: Load(states[0]), lambda: clock.now, pause)
    heartbeat.run()

    assert heard == ["starting", "ready", "ready"]


def test_without_a_database_a_beat_is_silent_and_stopping_too(tmp_path: object) -> None:
    nowhere = open_database(Settings(database_url=f"sqlite:///{tmp_path}"), pool_size=1)  # a folder, no file
    heartbeat = beating(nowhere, "wrk_a", Clock())

    heartbeat.beat()
    heartbeat.stop()

    assert heartbeat.seen().load.state == "ready"
