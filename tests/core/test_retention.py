"""Records go when their time has come, whole hours at a time, however many workers are at it; sums stay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, text, update

from core import retention
from core.budget import month_name
from core.columns import UtcTime
from core.db import Database, DatabaseAway, open_database
from core.housekeeping import Housekeeper
from core.kept import STAYS, all_kept, request_records
from core.ledger import write_batch
from core.models import jobs, metadata, requests, usage_hourly, users
from core.record import RequestRecord
from core.retention import Kept, purge, purged_through
from core.settings import Settings
from core.spend_models import spend_monthly

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
RECORDS, EVERY = request_records(30), all_kept(Settings())
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


def keeper(database: Database, now: datetime = NOW, every: Sequence[Kept] = (RECORDS,)) -> Housekeeper:
    return Housekeeper(database, every, lambda: now, no_rest, lambda: 1.0)


def shortest() -> tuple[Kept, ...]:
    """As somebody may set it who wants to keep nothing."""
    return all_kept(Settings(retention_days=1, plan_history_days=1, spend_retention_days=1))


def test_whole_hours_that_are_older_than_thirty_days_go_and_their_sums_stay(database: Database) -> None:
    fill(database, 31 * DAY, 30 * DAY + HOUR, 30 * DAY + timedelta(minutes=10), DAY)
    assert purge(database, request_records(30), NOW, no_rest) == 2
    assert (left(database), sums(database)) == (["req_00002", "req_00003"], 4)


def test_a_mark_says_how_far_records_are_gone_and_never_goes_back(database: Database) -> None:
    assert database.read(purged_through) is None
    purge(database, request_records(7), NOW, no_rest)
    purge(database, request_records(30), NOW, no_rest)
    assert database.read(purged_through) == (NOW - 7 * DAY).replace(minute=0)


def test_many_records_go_in_batches_with_a_rest_between(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    fill(database, *[31 * DAY] * 10)
    rests: list[float] = []
    assert purge(database, request_records(30), NOW, rests.append) == 10
    assert rests == [retention.REST_S] * 2


def test_the_oldest_go_first(database: Database) -> None:
    fill(database, 31 * DAY, 33 * DAY, 32 * DAY)
    database.run(lambda connection: retention.delete_batch(connection, RECORDS, NOW - 30 * DAY, 2))
    assert left(database) == ["req_00000"]


def test_every_table_is_kept_for_so_long_or_for_good() -> None:
    assert {kept.table for kept in EVERY} | set(STAYS) == set(metadata.tables.values())
    assert {kept.table for kept in EVERY}.isdisjoint(STAYS)


OLD, YOUNG = NOW - 500 * DAY, NOW - HOUR
ROWS: dict[str, Callable[[datetime], dict[str, Any]]] = {
    "plan_window_history": lambda at: {"access_key_id": "key_1", "window": "5h", "at": at, "utilization": 0.5},
    "plan_windows": lambda at: {
        "access_key_id": f"key_{at.year}", "window": "5h", "status": "allowed", "claim": "", "in_use": False, "seen_at": at,
    },
    "spend_monthly": lambda at: {"month": f"{at:%Y-%m}", "access_key_id": "key_1", "user_id": "user_1", "cost_micros": 1},
    "budget_warnings": lambda at: {"month": f"{at:%Y-%m}", "holder": "key_1", "percent": 80, "created_at": at},
    "spend_pending": lambda at: {
        "worker_id": f"w{at.year}", "access_key_id": "key_1", "user_id": "user_1", "micros": 1, "seen_at": at,
    },
    "claims": lambda at: {
        "id": f"lnk_{at.year}", "token_hash": f"{at.year}", "user_id": "user_1", "expires_at": at, "created_at": at,
    },
    "repairs": lambda at: {
        "id": f"rep_{at.year}", "bedrock_key_id": "b", "region": "r", "model": "m", "kind": "beta", "name": f"{at.year}",
        "standing": "refused", "cohort": 0, "learned_at": at, "expires_at": at,
    },
    "workers": lambda at: {
        "id": f"wrk_{at.year}", "host": "h", "pid": 1, "version": "1", "started_at": at, "seen_at": at, "state": "ready",
        "plan": "closed", "streams": 0, "waiting": 0, "lost": 0,
    },
}  # fmt: skip


def rows_of(database: Database, table: Any) -> int:
    return int(database.read(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()))


@pytest.fixture
def with_a_user(database: Database) -> Database:
    user = {"id": "user_1", "name": "ann", "strategy": "plan_first", "status": "active", "created_at": NOW, "updated_at": NOW}
    database.run(lambda connection: connection.execute(insert(users), [user]))
    return database


@pytest.mark.parametrize("name", ROWS)
def test_of_every_table_that_grows_what_is_old_goes_and_what_is_young_stays(with_a_user: Database, name: str) -> None:
    kept = next(each for each in EVERY if each.name == name)
    with_a_user.run(lambda connection: connection.execute(insert(kept.table), [ROWS[name](OLD), ROWS[name](YOUNG)]))
    keeper(with_a_user, every=EVERY).look()
    left = with_a_user.read(lambda connection: connection.execute(select(kept.since)).scalars().all())
    assert left == [ROWS[name](YOUNG)[str(kept.since.name)]]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("hours", range(0, 48, 6))
def test_a_month_that_is_not_over_anywhere_never_goes(database: Database, zone: str, hours: int) -> None:
    now = datetime(2026, 11, 30, 12, 30, tzinfo=UTC) + hours * HOUR
    month = month_name(now, ZoneInfo(zone))
    database.run(lambda c: c.execute(insert(spend_monthly), [{**ROWS["spend_monthly"](now), "month": month}]))
    purge(database, next(each for each in shortest() if each.name == "spend_monthly"), now, no_rest)
    assert rows_of(database, spend_monthly) == 1


def test_a_table_that_cannot_be_purged_does_not_keep_the_others(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = Table("nowhere", MetaData(), Column("id", Integer, primary_key=True), Column("at", UtcTime))
    fill(database, 31 * DAY)
    keeper(database, every=[Kept("nowhere", nowhere, nowhere.c.at, 1), RECORDS]).look()
    assert (left(database), "old rows could not be deleted" in caplog.text) == ([], True)


def test_several_may_purge_at_a_time(database_url: str, database: Database) -> None:
    fill(database, *[31 * DAY] * 3000)
    purged: list[int] = []

    def one() -> None:
        own = open_database(Settings(database_url=database_url), pool_size=1)
        purged.append(purge(own, request_records(30), NOW, no_rest))
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
    stopped = Housekeeper(database, [RECORDS], lambda: NOW, pauses.append, lambda: 0.25)
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
        return second.run(lambda other: retention.delete_batch(other, RECORDS, NOW, 10))

    assert first.run(while_held) == 2
    assert left(first) == ["req_00000"]
    first.close()
    second.close()


def test_other_chores_are_done_with_the_purge_by_one_worker_once_a_day(database: Database) -> None:
    done: list[datetime] = []
    keepers = [Housekeeper(database, (RECORDS,), lambda: NOW, no_rest, lambda: 1.0, (done.append,)) for _ in range(2)]
    for each in keepers:
        each.look()
    assert done == [NOW]


def test_a_purge_that_found_nothing_says_nothing(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    Housekeeper(database, (RECORDS,), lambda: NOW, no_rest, lambda: 1.0).look()

    assert [record.getMessage() for record in caplog.records if record.name == "core.housekeeping"] == []
