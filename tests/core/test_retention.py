"""Records go when their time has come, whole hours at a time, however many workers are at it; sums stay."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from core import retention
from core.db import Database, DatabaseAway, open_database
from core.housekeeping import Housekeeper
from core.ledger import write_batch
from core.models import jobs, requests, usage_hourly
from core.record import RequestRecord
from core.retention import purge, purged_through
from core.settings import Settings

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ONE = RequestRecord("req_1", NOW.timestamp(), "user_1", "key_1", provider="plan", status=200, input_tokens=5)


def fill(database: Database, *ages: timedelta) -> None:
    records = [replace(ONE, request_id=f"req_{n:05d}", started_at=(NOW - age).timestamp()) for n, age in enumerate(ages)]
    database.run(lambda connection: write_batch(connection, records))


def left(database: Database) -> list[str]:
    wanted = select(requests.c.request_id).order_by(requests.c.request_id)
    return list(database.read(lambda connection: connection.execute(wanted).scalars().all()))


def sums(database: Database) -> int:
    return int(database.read(lambda connection: connection.execute(select(func.sum(usage_hourly.c.requests))).scalar_one()))


def no_rest(_: float) -> None: ...


def keeper(database: Database, now: datetime = NOW, pause: Any = no_rest) -> Housekeeper:
    return Housekeeper(database, 30, lambda: now, pause, lambda: 1.0)


def test_whole_hours_that_are_older_than_thirty_days_go_and_their_sums_stay(database: Database) -> None:
    fill(database, 31 * DAY, 30 * DAY + HOUR, 30 * DAY + timedelta(minutes=10), DAY)
    assert purge(database, 30, NOW, no_rest) == 2
    assert (left(database), sums(database)) == (["req_00002", "req_00003"], 4)


def test_a_mark_says_how_far_records_are_gone_and_never_goes_back(database: Database) -> None:
    assert database.read(purged_through) is None
    purge(database, 7, NOW, no_rest)
    purge(database, 30, NOW, no_rest)
    assert database.read(purged_through) == (NOW - 7 * DAY).replace(minute=0)


def test_many_records_go_in_batches_with_a_rest_between(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    fill(database, *[31 * DAY] * 10)
    rests: list[float] = []
    assert purge(database, 30, NOW, rests.append) == 10
    assert rests == [retention.REST_S] * 2


def test_the_oldest_go_first(database: Database) -> None:
    fill(database, 31 * DAY, 33 * DAY, 32 * DAY)
    database.run(lambda connection: retention.delete_batch(connection, NOW - 30 * DAY, 2))
    assert left(database) == ["req_00000"]


def test_several_may_purge_at_a_time(database_url: str, database: Database) -> None:
    fill(database, *[31 * DAY] * 3000)
    purged: list[int] = []

    def one() -> None:
        own = open_database(Settings(database_url=database_url), pool_size=1)
        purged.append(purge(own, 30, NOW, no_rest))
        own.close()

    threads = [threading.Thread(target=one) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert (sum(purged), left(database), sums(database)) == (3000, [], 3000)


def test_of_all_workers_one_does_it_a_day(database: Database) -> None:
    fill(database, 31 * DAY)
    keeper(database).look()
    fill(database, 32 * DAY, 32 * DAY)
    keeper(database).look()
    assert left(database) == ["req_00000", "req_00001"]
    keeper(database, NOW + DAY).look()
    assert left(database) == []


def test_a_worker_that_dies_with_it_leaves_it_to_another_an_hour_later(database: Database) -> None:
    assert database.run(lambda connection: retention.claim(connection, NOW, 3600))
    fill(database, 31 * DAY)
    keeper(database, NOW + timedelta(minutes=59)).look()
    assert left(database) == ["req_00000"]
    keeper(database, NOW + HOUR).look()
    assert left(database) == []


def test_a_database_that_is_away_ends_nothing(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        def run(self, work: Any) -> Any:
            raise DatabaseAway("switched off")

    keeper(Away()).look()  # type: ignore[arg-type]
    assert "housekeeping has to wait" in caplog.text


def test_workers_that_start_together_do_not_look_together(database: Database) -> None:
    pauses: list[float] = []
    stopped = Housekeeper(database, 30, lambda: NOW, pauses.append, lambda: 0.25)
    stopped.look = stopped.stop  # type: ignore[method-assign]
    stopped.run()
    assert pauses == [375.0]


def test_the_job_waits_for_its_time_on_a_new_installation_too(database: Database) -> None:
    due = database.read(lambda connection: connection.execute(select(jobs.c.due_at)).scalar_one())
    assert due < datetime(2026, 11, 1, tzinfo=UTC)
    database.run(lambda connection: connection.execute(update(jobs).values(due_at=NOW + DAY)))
    fill(database, 31 * DAY)
    keeper(database).look()
    assert left(database) == ["req_00000"]


def test_rows_that_another_holds_are_left_to_it(postgres_server: Any) -> None:
    url = postgres_server.migrated()
    first, second = (open_database(Settings(database_url=url), pool_size=1) for _ in range(2))
    fill(first, *[31 * DAY] * 3)

    def while_held(connection: Any) -> int:
        connection.execute(text("SELECT 1 FROM requests WHERE request_id = 'req_00000' FOR UPDATE"))
        return second.run(lambda other: retention.delete_batch(other, NOW, 10))

    assert first.run(while_held) == 2
    assert left(first) == ["req_00000"]
    first.close()
    second.close()


def test_other_chores_are_done_with_the_purge_by_one_worker_once_a_day(database: Database) -> None:
    done: list[datetime] = []
    keepers = [Housekeeper(database, 30, lambda: NOW, no_rest, lambda: 1.0, (done.append,)) for _ in range(2)]
    for each in keepers:
        each.look()
    assert done == [NOW]
